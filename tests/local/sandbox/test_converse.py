"""Converse as AWS' own client reads it: in one piece and streamed, and what of a conversation is refused."""

import json
from base64 import b64encode
from typing import Any

import httpx2
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import EventStreamError
from botocore.validate import ParamValidator

from gateway.local.sandbox.bedrock import KNOWN_KEYS
from tests.translation.converse.recorded import aws_events, aws_message, aws_whole, operation

HELLO: Any = [{"role": "user", "content": [{"text": "one two"}]}]
SPEC = {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
TOOLS: Any = {"tools": [{"toolSpec": {**SPEC, "description": "d"}}]}
CALL: Any = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"n": 1}}}]}
SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/bedrock/aws4_request, x"}


def result(*content: Any, call_id: str = "t1", **more: str) -> Any:
    return {"role": "user", "content": [{"toolResult": {"toolUseId": call_id, "content": list(content), **more}}]}


@pytest.fixture
async def http(sandbox):
    async with httpx2.AsyncClient(base_url=sandbox.url, headers=SIGNED) as client:
        yield client


async def whole(http, model: str, body: Any) -> dict[str, Any]:
    answer = await http.post(f"/model/{model}/converse", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    said = aws_whole(answer.text)
    del said["ResponseMetadata"]
    report = ParamValidator().validate(said, operation("Converse").output_shape)
    assert not report.has_errors(), report.generate_report()
    return said


async def events(http, model: str, body: Any) -> list[dict[str, Any]]:
    answer = await http.post(f"/model/{model}/converse-stream", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
    found = aws_events({"response_b64": b64encode(answer.content)})
    shape = operation("ConverseStream").output_shape.members["stream"]
    for event in found:
        report = ParamValidator().validate(event, shape)
        assert not report.has_errors(), report.generate_report()
    return found


@pytest.mark.parametrize(
    ("model", "more", "content", "stop"),
    [
        ("sandbox-echo", {}, [{"text": "one two"}], "end_turn"),
        ("sandbox-tokens-3", {}, [{"text": "the relay passes"}], "end_turn"),
        ("meta.llama-sandbox-length-tokens-2", {}, [{"text": "the relay"}], "max_tokens"),
        ("sandbox-echo", {"inferenceConfig": {"maxTokens": 1}}, [{"text": "one"}], "max_tokens"),
        ("sandbox-refuse", {}, [{"text": "I can't help with that request."}], "content_filtered"),
        ("sandbox-tool-tokens-2", {}, [{"text": "the relay"}], "end_turn"),
        ("sandbox-tool", {"toolConfig": TOOLS}, [{"name": "weather", "input": {}}], "tool_use"),
        ("m", {"toolConfig": TOOLS | {"toolChoice": {"any": {}}}}, [{"name": "weather", "input": {}}], "tool_use"),
        ("m", {"toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}, *TOOLS["tools"]],
                              "toolChoice": {"tool": {"name": "weather"}}}},
         [{"name": "weather", "input": {}}], "tool_use"),
        ("sandbox-echo", {"toolConfig": TOOLS | {"toolChoice": {"auto": {}}}}, [{"text": "one two"}], "end_turn"),
        ("sandbox-tokens-3-think-2", {}, [{"text": "Let me"}, {"text": "the"}], "end_turn"),
        ("sandbox-echo-cached-70-wrote-20-wrote-1h-10", {}, [{"text": "one two"}], "end_turn"),
    ],
)  # fmt: skip
async def test_a_stream_says_what_one_piece_says(sandbox, http, model, more, content, stop) -> None:
    body = {"messages": HELLO, **more}
    first = await whole(http, model, body)
    found = await events(http, model, body)
    assert [next(iter(event)) for event in (found[0], *found[-2:])] == ["messageStart", "messageStop", "metadata"]
    second = aws_message(found)
    for answer in (first, second):
        for block in answer["output"]["message"]["content"]:
            assert block.get("toolUse", {}).pop("toolUseId", "tooluse_").startswith("tooluse_")
    first["output"]["message"].pop("role")
    assert second == first
    said = [
        block.get("toolUse") or block.get("reasoningContent", {}).get("reasoningText") or block
        for block in first["output"]["message"]["content"]
    ]
    assert (said, first["stopReason"]) == (content, stop)
    usage = first["usage"]
    details = {each["ttl"]: each["inputTokens"] for each in usage.get("cacheDetails", [])}
    for row in sandbox.bill().rows:
        assert (row.protocol, row.operation, row.model, row.outcome) == (
            "bedrock-converse", "generate", model, "complete",
        )  # fmt: skip
        assert (row.input_tokens, row.output_tokens) == (usage["inputTokens"], usage["outputTokens"])
        assert row.cache_read_tokens == usage.get("cacheReadInputTokens", 0)
        assert (row.cache_write_5m_tokens, row.cache_write_1h_tokens) == (details.get("5m", 0), details.get("1h", 0))
        assert usage.get("cacheWriteInputTokens", 0) == sum(details.values())
        caches = usage.get("cacheReadInputTokens", 0) + sum(details.values())
        assert usage["totalTokens"] == row.input_tokens + caches + row.output_tokens
    assert [row.stream for row in sandbox.bill().rows] == [False, True]


async def test_figures_of_caches_stand_where_there_are_caches(http) -> None:
    plain = await whole(http, "sandbox-echo", {"messages": HELLO})
    assert not {"cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails"} & set(plain["usage"])
    long = [{"role": "user", "content": [{"text": "x" * 8000}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}]
    usage = (await whole(http, "sandbox-tokens-1", {"messages": long}))["usage"]
    assert usage["cacheReadInputTokens"] > usage["inputTokens"] > usage["cacheWriteInputTokens"] > 200
    assert usage["cacheDetails"] == [{"ttl": "1h", "inputTokens": usage["cacheWriteInputTokens"]}]


@pytest.mark.parametrize(
    ("model", "sealed"), [("us.anthropic.claude-x-sandbox-think-3", True), ("sandbox-think-3", False)]
)
async def test_only_claude_signs_its_thinking(http, model, sealed) -> None:
    answer = await whole(http, model, {"messages": HELLO})
    thinking = answer["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]
    assert ("signature" in thinking) is sealed
    assert thinking["text"] == "Let me think"
    assert answer["usage"]["outputTokens"] > 3


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"text": "sunny"}], "sunny"),
        ([{"json": {"t": [1]}}, {"text": "b"}], '{"t": [1]}\nb'),
        ([], ""),
    ],
)
async def test_a_result_in_the_second_turn(http, content, text) -> None:
    body = {"messages": [*HELLO, CALL, result(*content)], "toolConfig": TOOLS}
    answer = await whole(http, "sandbox-tool", body)
    assert answer["output"]["message"]["content"][0]["text"].strip() == f"The tool answered: {text}".strip()
    assert aws_message(await events(http, "sandbox-tool", body))["stopReason"] == "end_turn"


async def test_an_answer_by_a_schema(http) -> None:
    schema = {"type": "object", "properties": {"city": {"const": "Rome"}}, "required": ["city"]}
    form = {"type": "json_schema", "structure": {"jsonSchema": {"name": "a", "schema": json.dumps(schema)}}}
    answer = await whole(http, "m", {"messages": HELLO, "outputConfig": {"textFormat": form}})
    assert json.loads(answer["output"]["message"]["content"][0]["text"]) == {"city": "Rome"}


BLANK = [{"role": "user", "content": [{"text": "a"}, {"text": " \n"}]}]
BAD_SCHEMA = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}}


def conversation(*messages: Any, tools: bool = True) -> dict[str, Any]:
    return {"messages": list(messages)} | ({"toolConfig": TOOLS} if tools else {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "A conversation must start with a user message"),
        (conversation(CALL), "A conversation must start with a user message"),
        (conversation(*HELLO, *HELLO), "A conversation must alternate between user and assistant roles"),
        ({"messages": [{"role": "user", "content": []}]}, "Message object at messages.0 is empty"),
        ({"messages": BLANK}, "at messages.0.content.1 is blank"),
        (conversation(*HELLO, CALL, *HELLO), "Expected toolResult blocks at messages.2.content for the following"),
        (conversation(*HELLO, CALL, result({"text": "a"}, call_id="t2")), "for the following Ids: t1"),
        (conversation(result({"text": "a"})), "toolResult blocks at messages.0.content exceeds"),
        (conversation(*HELLO, CALL, result({"text": "a"}), tools=False), "The toolConfig field must be defined"),
        (conversation(*HELLO, CALL, result(status="error")), "messages.2.content.0.toolResult cannot be empty when"),
        ({"messages": HELLO, "inferenceConfig": {"maxTokens": 0}}, "'inferenceConfig.maxTokens' failed to satisfy"),
        ({"messages": HELLO, "outputConfig": BAD_SCHEMA}, "output_config.format.schema: Invalid JSON"),
    ],
)
@pytest.mark.parametrize("action", ["converse", "converse-stream"])
async def test_what_bedrock_refuses(sandbox, http, body, message, action) -> None:
    answer = await http.post(f"/model/sandbox-echo/{action}", json=body)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert message in answer.json()["message"]
    assert [(row.status, row.outcome, row.input_tokens) for row in sandbox.bill().rows] == [(400, "error", 0)]


async def test_errors(sandbox, http) -> None:
    body = {"messages": HELLO}
    for action in ("converse", "converse-stream"):
        answer = await http.post(f"/model/sandbox-error-429/{action}", json=body)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (429, "ThrottlingException")
        assert answer.json()["message"].startswith("Too many requests")
    whole = await http.post("/model/sandbox-first-error-503/converse", json=body)
    assert (whole.status_code, whole.headers["x-amzn-errortype"]) == (503, "ServiceUnavailableException")
    assert [row.outcome for row in sandbox.bill().rows] == ["error"] * 3


@pytest.mark.parametrize(("script", "heard"), [("first-error-429", 0), ("tokens-30-late-error-429", 5)])
async def test_an_exception_inside_a_stream(http, script, heard) -> None:
    answer = await http.post(f"/model/sandbox-{script}/converse-stream", json={"messages": HELLO})
    assert answer.status_code == 200
    buffer = EventStreamBuffer()
    buffer.add_data(answer.content)
    *before, last = buffer
    assert len(before) == heard
    assert last.headers[":exception-type"] == "throttlingException"
    with pytest.raises(EventStreamError, match="throttlingException"):
        aws_events({"response_b64": b64encode(answer.content)})


@pytest.mark.parametrize("script", ["cut-3", "drop"])
async def test_a_stream_that_breaks_off(sandbox, http, script) -> None:
    with pytest.raises(httpx2.TransportError):
        await http.post(f"/model/sandbox-tokens-30-{script}/converse-stream", json={"messages": HELLO})
    [row] = sandbox.bill().rows
    assert (row.outcome, row.output_tokens) == (("cut", 2) if script == "cut-3" else ("error", 0))


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"authorization": ""}, 401, "UnrecognizedClientException"),
        ({"authorization": "Bearer revoked"}, 401, "UnrecognizedClientException"),
        (
            {"authorization": f"AWS4-HMAC-SHA256 Credential={KNOWN_KEYS}1/20260101/us-east-1/bedrock/aws4_request"},
            403,
            "IncompleteSignatureException",
        ),
        ({"authorization": "Bearer bedrock-api-key-1"}, 200, None),
    ],
)
async def test_credentials(http, headers, status, kind) -> None:
    answer = await http.post("/model/m/converse", json={"messages": HELLO}, headers=headers)
    assert (answer.status_code, answer.headers.get("x-amzn-errortype")) == (status, kind)
