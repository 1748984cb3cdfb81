"""AWS' own client as the judge of a body: it validates it by the service's model, and would send the same."""

import json
from base64 import b64decode
from typing import Any

from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from tests.translation.converse.recorded import operation


def judged(body: bytes) -> dict[str, Any]:
    """The body as JSON, which the client takes."""
    said = json.loads(body)
    asked = {"modelId": "m", **_blobs(said)}
    shape = operation("Converse").input_shape
    report = ParamValidator().validate(asked, shape)
    assert not report.has_errors(), report.generate_report()
    sent = create_serializer("rest-json").serialize_to_request(asked, operation("Converse"))
    assert json.loads(sent["body"]) == said
    return said


def _blobs(value: Any) -> Any:
    if isinstance(value, list):
        return [_blobs(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: b64decode(each) if name in ("bytes", "redactedContent") and isinstance(each, str) else _blobs(each)
        for name, each in value.items()
    }


def faults(messages: list[dict[str, Any]]) -> list[str]:
    """What Bedrock refuses in a conversation, beyond the form of its parts."""
    found = ["the assistant begins"] if messages and messages[0]["role"] != "user" else []
    called: list[str] = []
    for at, message in enumerate(messages):
        blocks = message["content"]
        if not blocks:
            found.append(f"{at} is empty")
        if at and messages[at - 1]["role"] == message["role"]:
            found.append(f"{at} has the role of the one before")
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        if not set(called) <= set(results):
            found.append(f"{at} leaves calls unanswered")
        if not set(called) >= set(results):
            found.append(f"{at} has results of no call")
        rest = [name for block in blocks for name in block if name != "cachePoint"]
        if any("toolResult" in name for name in rest[len(results) :]):
            found.append(f"{at} has results after others")
        if any("text" in block and not block["text"].strip() for block in blocks):
            found.append(f"{at} has a blank text")
        if "reasoningContent" in rest and rest[0] != "reasoningContent":
            found.append(f"{at} does not begin with its thinking")
        called = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    return [*found, *(["the last calls are unanswered"] if called else [])]
