"""Claude on Bedrock: AWS' own client at the sandbox, and Anthropic's SDK through poolgate, are told the same."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import anthropic
import boto3
import httpx
import pytest
import pytest_asyncio
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from gateway.local.sandbox.bedrock import KNOWN_KEYS, SECRET
from tests.support.installation import Site
from tests.translation.converse.recorded import aws_message

KEYS = {"access_key_id": f"{KNOWN_KEYS}1", "secret_access_key": SECRET}
#: The client's names, and the upstream's: an ARN among them, which has slashes and colons.
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/sandbox-tool"
MODELS = {
    "claude-echo": "us.anthropic.claude-echo-sandbox-echo-v1:0",
    "claude-arn": ARN,
    "claude-late": "anthropic.claude-late-sandbox-late-error-500",
    "claude-first": "anthropic.claude-first-sandbox-first-error-429",
    "claude-throttled": "anthropic.claude-throttled-sandbox-error-429",
    "claude-cut": "anthropic.claude-cut-sandbox-cut-3",
}
TOOL: Any = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK: dict[str, Any] = {"max_tokens": 300, "messages": [{"role": "user", "content": "one two thrée"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(site: Site) -> str:
    await site.account("bedrock", credentials=KEYS, options={"region": "us-east-1"}, models=["none"], model_map=MODELS)
    return await site.key()


@pytest_asyncio.fixture
async def claude(site: Site, key: str) -> Any:
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def aws(site: Site) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime", endpoint_url=site.sandbox.url, region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"], aws_secret_access_key=KEYS["secret_access_key"],
        config=Config(retries={"max_attempts": 1, "mode": "standard"}),
    )  # fmt: skip
    yield client
    client.close()


def _theirs(body: dict[str, Any]) -> str:
    # as the other client writes it: the sandbox counts the bytes of a prompt
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", **body}, ensure_ascii=False, separators=(",", ":"))


async def _by_boto3(aws: Any, model: str, body: dict[str, Any]) -> list[bytes]:
    def read() -> list[bytes]:
        answer = aws.invoke_model_with_response_stream(modelId=model, body=_theirs(body))
        with closing(answer["body"]) as events:
            return [event["chunk"]["bytes"] for event in events]

    return await asyncio.to_thread(read)


async def _by_gateway(site: Site, key: str, model: str, body: dict[str, Any]) -> tuple[httpx.Response, list[bytes]]:
    answer = await site.http.post(
        "/v1/messages", headers={"x-api-key": key}, json={"model": model, "stream": True, **body}
    )
    data = [line[6:] for line in answer.content.split(b"\n") if line.startswith(b"data: ")]
    return answer, data


def _same(events: list[bytes]) -> list[Any]:
    """What the sandbox makes anew for each answer, its serial, is left out."""
    found = [json.loads(event) for event in events]
    for event in found:
        event.get("message", {}).pop("id", None)
        event.get("content_block", {}).pop("id", None)
    return found


@pytest.mark.parametrize("body", [ASK, ASK | {"tools": [TOOL], "tool_choice": {"type": "any"}}])
@pytest.mark.parametrize("model", ["claude-echo", "claude-arn"])
async def test_boto3_and_the_gateway_are_told_the_same(site: Site, key: str, aws: Any, model: str, body) -> None:
    site.sandbox.bill().clear()
    theirs = await _by_boto3(aws, MODELS[model], body)
    answer, ours = await _by_gateway(site, key, model, body)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert _same(ours) == _same(theirs)
    assert [len(event) for event in ours] == [len(event) for event in theirs]
    first, second = site.sandbox.bill().rows
    assert (first.input_tokens, first.output_tokens) == (second.input_tokens, second.output_tokens)
    row = await site.row(answer.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens) == (first.input_tokens, first.output_tokens)
    metrics = json.loads(ours[-1])["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == row.output_tokens
    assert (row.platform, row.model_used, row.ending) == ("bedrock", MODELS[model], "complete")


async def test_the_sdk_in_one_piece_and_streamed(site: Site, claude: anthropic.AsyncAnthropic) -> None:
    sent = site.sandbox.requests
    whole: Any = await claude.messages.create(model="claude-echo", **ASK)
    assert whole.content[0].text == "one two thrée"
    request = sent()[-1]
    assert request.target == "/model/us.anthropic.claude-echo-sandbox-echo-v1%3A0/invoke"
    names = {name for name, _ in request.headers}
    assert not names & {"anthropic-version", "anthropic-beta", "x-api-key", "x-stainless-os"}
    async with claude.messages.stream(model="claude-echo", **ASK) as stream:
        said = "".join([text async for text in stream.text_stream])
        final = await stream.get_final_message()
    assert said == "one two thrée"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        whole.usage.input_tokens, whole.usage.output_tokens,
    )  # fmt: skip
    assert sent()[-1].target.endswith("/invoke-with-response-stream")


async def test_the_sdk_with_tools_and_betas(site: Site, claude: anthropic.AsyncAnthropic) -> None:
    asked = ASK | {"tools": [TOOL], "tool_choice": {"type": "any"}, "model": "claude-arn"}
    betas = ["claude-code-20250219", "interleaved-thinking-2025-05-14", "oauth-2025-04-20"]
    whole: Any = await claude.beta.messages.create(betas=betas, service_tier="auto", **asked)
    assert (whole.stop_reason, whole.content[0].name) == ("tool_use", "weather")
    async with claude.beta.messages.stream(betas=betas, **asked) as stream:
        final: Any = await stream.get_final_message()
    assert final.content[0].input == whole.content[0].input
    assert site.sandbox.requests()[-1].target.startswith("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3A")


async def test_an_exception_inside_a_stream(site: Site, key: str, aws: Any) -> None:
    with pytest.raises(EventStreamError, match="internalServerException"):
        await _by_boto3(aws, MODELS["claude-late"], ASK)
    answer, events = await _by_gateway(site, key, "claude-late", ASK)
    assert answer.status_code == 200
    last = json.loads(events[-1])
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert b"message_stop" not in answer.content
    assert (await site.row(answer.headers["x-request-id"])).ending == "upstream_error"


async def test_a_stream_that_breaks_off_is_never_an_end(site: Site, key: str) -> None:
    answer, events = await _by_gateway(site, key, "claude-cut", ASK)
    assert json.loads(events[-1])["type"] == "error"
    assert b"message_stop" not in answer.content


@pytest.mark.parametrize("model", ["claude-first", "claude-throttled"])
async def test_an_account_that_is_throttled_is_left_for_another(site: Site, key: str, aws: Any, model: str) -> None:
    if model == "claude-throttled":
        with pytest.raises(ClientError, match="ThrottlingException"):
            await _by_boto3(aws, MODELS[model], ASK)
    other = await site.account("claude-console", models=[model], model_map={model: "sandbox-echo"}, priority=99)
    answer, events = await _by_gateway(site, key, model, ASK)
    assert answer.status_code == 200
    assert json.loads(events[-1])["type"] == "message_stop"
    row = await site.row(answer.headers["x-request-id"])
    assert row.account_id == other
    assert [attempt["outcome"] for attempt in row.attempts] == ["overloaded", "ok"]


async def test_the_callers_own_fault_comes_in_anthropics_words(claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        await claude.messages.create(model="claude-echo", max_tokens=0, messages=ASK["messages"])
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert "max_tokens" in body["error"]["message"]


async def test_a_signature_by_the_wrong_secret_is_refused(site: Site) -> None:
    await site.account(
        "bedrock", credentials=KEYS | {"secret_access_key": "other"}, options={"region": "us-east-1"},
        model_map={"claude-wrong": "anthropic.claude-wrong-sandbox-echo"}, models=["none"],
    )  # fmt: skip
    answer, _ = await _by_gateway(site, await site.key(), "claude-wrong", ASK)
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "api_error"
    row = await site.row(answer.headers["x-request-id"])
    assert [(attempt["status"], attempt["outcome"]) for attempt in row.attempts] == [(403, "credentials")]


# ---------------------------------------------------------------- AWS' client and Converse, at the sandbox itself

SAID: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "one two thrée"}]}]}
TOOLS: Any = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": TOOL["input_schema"]}}}]}
NOVA = "us.amazon.nova-pro-sandbox-{}-v1:0"


async def _converse(aws: Any, model: str, body: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The answer; of a stream, what its events amount to."""

    def read() -> dict[str, Any]:
        if not stream:
            return aws.converse(modelId=model, **body)
        with closing(aws.converse_stream(modelId=model, **body)["stream"]) as events:
            return aws_message(list(events))

    return await asyncio.to_thread(read)


def _billed(site: Site, answer: dict[str, Any]) -> None:
    row, used = site.sandbox.bill().rows[-1], answer["usage"]
    assert (row.input_tokens, row.output_tokens) == (used["inputTokens"], used["outputTokens"])
    assert (row.cache_read_tokens, row.cache_write_5m_tokens + row.cache_write_1h_tokens) == (
        used.get("cacheReadInputTokens", 0), used.get("cacheWriteInputTokens", 0),
    )  # fmt: skip
    assert (row.protocol, row.outcome, row.credential) == ("bedrock-converse", "complete", "BOX1")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "content", "stop"),
    [
        (NOVA.format("echo"), [{"text": "one two thrée"}], "end_turn"),
        (MODELS["claude-echo"], [{"text": "one two thrée"}], "end_turn"),
        (ARN.replace("tool", "echo"), [{"text": "one two thrée"}], "end_turn"),
        (NOVA.format("tokens-3-length"), [{"text": "the relay passes"}], "max_tokens"),
        (NOVA.format("refuse"), [{"text": "I can't help with that request."}], "content_filtered"),
        (NOVA.format("echo-cached-9-wrote-8-wrote-1h-7"), [{"text": "one two thrée"}], "end_turn"),
        (
            NOVA.format("tokens-3-think-2"),
            [{"reasoningContent": {"reasoningText": {"text": "Let me"}}}, {"text": "the"}],
            "end_turn",
        ),
    ],
)
async def test_boto3_converses(site: Site, aws: Any, model: str, content: Any, stop: str, stream: bool) -> None:
    answer = await _converse(aws, model, SAID, stream=stream)
    assert (answer["output"]["message"]["content"], answer["stopReason"]) == (content, stop)
    _billed(site, answer)
    assert site.sandbox.bill().rows[-1].model == model


@pytest.mark.parametrize("stream", [False, True])
async def test_boto3_calls_a_tool_and_says_its_result(site: Site, aws: Any, stream: bool) -> None:
    answer = await _converse(aws, NOVA.format("tool"), SAID | {"toolConfig": TOOLS}, stream=stream)
    assert answer["stopReason"] == "tool_use"
    [block] = answer["output"]["message"]["content"]
    assert (block["toolUse"]["name"], block["toolUse"]["input"]) == ("weather", {"city": "sandbox"})
    _billed(site, answer)
    result = {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "sunny"}], "status": "success"}
    talk = [
        *SAID["messages"],
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": [{"toolResult": result}]},
    ]
    second = await _converse(aws, NOVA.format("tool"), {"messages": talk, "toolConfig": TOOLS}, stream=stream)
    assert second["output"]["message"]["content"] == [{"text": "The tool answered: sunny"}]
    _billed(site, second)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "body", "error"),
    [
        ("error-429", SAID, "ThrottlingException"),
        ("error-403", SAID, "AccessDeniedException"),
        ("echo", {"messages": SAID["messages"] * 2}, "ValidationException"),
    ],
)
async def test_boto3_is_refused(aws: Any, script: str, body: dict[str, Any], error: str, stream: bool) -> None:
    with pytest.raises(ClientError) as refused:
        await _converse(aws, NOVA.format(script), body, stream=stream)
    assert refused.value.response["Error"]["Code"] == error
    assert refused.value.operation_name == ("ConverseStream" if stream else "Converse")


@pytest.mark.parametrize("script", ["tokens-30-late-error-500", "first-error-500"])
async def test_boto3_hears_an_exception_inside_a_stream(aws: Any, script: str) -> None:
    with pytest.raises(EventStreamError, match="internalServerException"):
        await _converse(aws, NOVA.format(script), SAID, stream=True)


async def test_boto3_with_the_wrong_secret(site: Site) -> None:
    client = boto3.client(
        "bedrock-runtime", endpoint_url=site.sandbox.url, region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"], aws_secret_access_key="other",
    )  # fmt: skip
    with closing(client), pytest.raises(ClientError, match="InvalidSignature"):
        await _converse(client, NOVA.format("echo"), SAID, stream=False)
