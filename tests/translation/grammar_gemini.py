"""The form of Gemini's streams: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent, as
server-sent events and as a JSON array. An object is what the SDK's own type takes, which forbids unknown members; what
the documentation says beyond the types is written out here."""

import json
from typing import Any

from google.genai import types
from pydantic import ValidationError

_STATUSES = range(400, 600)


def check(data: bytes) -> list[str]:
    """The violations of a stream, whole or broken off by an error."""
    text = data.decode()
    found = _array(text) if text.lstrip().startswith("[") else _events(text)
    return found if isinstance(found, list) else _objects(*found)


def check_one(data: bytes) -> list[str]:
    """Of an answer in one piece."""
    return _objects([json.loads(data)], "")


def error_faults(body: dict[str, Any]) -> list[str]:
    """Of the body of an error: https://cloud.google.com/apis/design/errors"""
    return _error(body)


def objects(data: bytes) -> list[dict[str, Any]]:
    """Those of a valid stream."""
    text = data.decode()
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line[6:]) for line in text.split("\n") if line]


def _array(text: str) -> list[str] | tuple[list[Any], str]:
    try:
        return json.loads(text), ""
    except ValueError as error:
        return [f"no JSON array: {error}"]


def _events(text: str) -> list[str] | tuple[list[Any], str]:
    """One `data: ` line an event: Google's Python SDK reads any other line as JSON of an error."""
    if text and not text.endswith("\n\n"):
        return ["the last event has no end"]
    found = []
    for line in text.split("\n"):
        if not line:
            continue
        if not line.startswith("data: "):
            return [f"a line that is no data: {line[:40]!r}"]
        try:
            found.append(json.loads(line[6:]))
        except ValueError:
            return [f"no JSON: {line[:40]!r}"]
    return found, ""


def _objects(found: list[Any], faults: str) -> list[str]:
    said: list[str] = []
    if not found:
        return ["there is nothing"]
    for number, each in enumerate(found):
        last = number == len(found) - 1
        if "error" in each:
            said += [f"{number}: {fault}" for fault in _error(each)] + ([] if last else [f"{number}: not the last"])
            return said
        said += [f"{number}: {fault}" for fault in _object(each, last)]
    if len({(each["responseId"], each["modelVersion"]) for each in found if "responseId" in each}) != 1:
        said.append("ids or models differ")
    return said


def _error(found: dict[str, Any]) -> list[str]:
    error = found["error"]
    good = type(error["code"]) is int and error["code"] in _STATUSES and error["message"] and error["status"].isupper()
    return [] if good and set(found) == {"error"} else [f"no error of Google's: {found}"]


def _object(found: dict[str, Any], last: bool) -> list[str]:
    try:
        types.GenerateContentResponse.model_validate(found)
    except ValidationError as error:
        return [str(error)]
    said = [f"{name} is missing" for name in ("responseId", "modelVersion") if not found.get(name)]
    if len(found["candidates"]) != 1 or found["candidates"][0].get("index") != 0:
        return [*said, "there is one candidate"]
    candidate = found["candidates"][0]
    content = candidate["content"]
    if content.get("role") != "model" or not content.get("parts"):
        said.append("content is a model's, with parts")
    for part in content["parts"]:
        said += _part(part)
    if ("finishReason" in candidate) is not last:
        said.append("the finish reason is the last object's, and its alone")
    if "usageMetadata" in found:
        said += _usage(found["usageMetadata"])
    return said


def _part(part: dict[str, Any]) -> list[str]:
    data = [name for name in ("text", "functionCall") if name in part]
    if len(data) != 1 or set(part) - {*data, "thought", "thoughtSignature"}:
        return [f"a part is one thing: {sorted(part)}"]
    if "thought" in part and (part["thought"] is not True or "text" not in part):
        return ["a thought is a text"]
    call = part.get("functionCall")
    if call is not None and not (call.get("name") and call.get("id") and isinstance(call.get("args"), dict)):
        return ["a call has an id, a name and arguments"]
    return []


def _usage(figures: dict[str, Any]) -> list[str]:
    total = sum(figures.get(name, 0) for name in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"))
    if total + figures.get("toolUsePromptTokenCount", 0) != figures["totalTokenCount"]:
        return ["the total is not that of its parts"]
    return ["more cached than asked"] if figures.get("cachedContentTokenCount", 0) > figures["promptTokenCount"] else []
