"""Recorded answers of Converse, as the relay hands them to the reader and as AWS' own client reads them."""

import json
from base64 import b64decode
from functools import cache
from typing import Any

import botocore.session
from botocore.eventstream import EventStream, EventStreamBuffer
from botocore.model import OperationModel
from botocore.parsers import RestJSONParser

from tests.protocols.cuts import FIXTURES


@cache
def rows(file: str) -> list[dict[str, Any]]:
    with (FIXTURES / f"{file}.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


@cache
def operation(name: str) -> OperationModel:
    return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model(name)


def reframed(data: bytes) -> bytes:
    """Each message of AWS' stream as a server-sent event: its type, its payload as it is."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    said = b""
    for message in buffer:
        kind = message.headers.get(":event-type") or message.headers[":exception-type"]
        said += b"event: %b\ndata: %b\n\n" % (kind.encode(), message.payload)
    return said


class _Raw:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self):
        yield self._data


def aws_whole(text: str) -> dict[str, Any]:
    """Some recordings were written by hand: their blocks have a `type`, which AWS' client does not know."""
    said = json.loads(text)
    for block in said["output"]["message"]["content"]:
        block.pop("type", None)
    answer = {"status_code": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(said).encode()}
    return RestJSONParser().parse(answer, operation("Converse").output_shape)


def aws_events(row: dict[str, Any]) -> list[dict[str, Any]]:
    shape = operation("ConverseStream").output_shape.members["stream"]
    raw = _Raw(b64decode(row["response_b64"]))
    return list(EventStream(raw, shape, RestJSONParser()._event_stream_parser, "ConverseStream"))


def aws_message(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer that a stream amounts to, in the form of one in one piece."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for event in events:
        ((name, said),) = event.items()
        if name == "contentBlockStart":
            blocks[said["contentBlockIndex"]] = {"toolUse": {**said["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            ((kind, delta),) = said["delta"].items()
            block = blocks.setdefault(said["contentBlockIndex"], {})
            if kind == "text":
                block["text"] = block.get("text", "") + delta
            elif kind == "toolUse":
                block["toolUse"]["input"] += delta["input"]
            else:
                _reason(block.setdefault("reasoningContent", {}), delta)
        elif name in ("messageStop", "metadata"):
            answer |= said
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return answer | {"output": {"message": {"content": [blocks[index] for index in sorted(blocks)]}}}


def _reason(content: dict[str, Any], delta: dict[str, Any]) -> None:
    if "redactedContent" in delta:
        content["redactedContent"] = content.get("redactedContent", b"") + delta["redactedContent"]
        return
    text = content.setdefault("reasoningText", {"text": ""})
    text["text"] += delta.get("text", "")
    if "signature" in delta:
        text["signature"] = delta["signature"]


def told(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """AWS' blocks in our words: without empty ones, and without the provider's own tools."""
    found = []
    for block in answer["output"]["message"]["content"]:
        thinking = block.get("reasoningContent", {})
        call = block.get("toolUse", {})
        if block.get("text"):
            found.append({"kind": "text", "text": block["text"]})
        elif "redactedContent" in thinking:
            found.append({"kind": "thinking", "text": "", "sealed": thinking["redactedContent"].decode()})
        elif thinking:
            text = thinking["reasoningText"]
            found.append({"kind": "thinking", "text": text["text"], "sealed": text.get("signature")})
        elif call and call.get("type") != "server_tool_use":
            found.append({"kind": "call", "id": call["toolUseId"], "name": call["name"], "input": call["input"]})
    return found
