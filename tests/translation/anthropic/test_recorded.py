"""Every recorded answer of Anthropic through reader and writer: the SDK reads from ours what the original says."""

import json
import random
from typing import Any

import pytest
from anthropic import APIStatusError
from anthropic.types import Message

from gateway.protocols.codec import InvalidBody
from gateway.translation.anthropic import SPEECH
from gateway.translation.events import Failed
from gateway.translation.speech import Limits
from tests.protocols.cuts import at, needs_fixtures, pieces
from tests.protocols.test_recorded import failed, rows
from tests.translation.anthropic import sdk
from tests.translation.anthropic.sdk import ASKING, GENERATE, plain, read, streamed, validated, validated_whole, write
from tests.translation.generate import faults
from tests.translation.grammar_anthropic import check, message_faults

pytestmark = needs_fixtures

CROSSING = {"text", "thinking", "redacted_thinking", "tool_use"}
"""What is no tool of Anthropic's own."""
SPLICED = "spliced-message-start"
"""Two streams in one: the SDK's blocks are those of both under the same numbers."""


def answers() -> list[dict[str, Any]]:
    return [row for row in rows("anthropic.messages") if row["status"] == 200 and not failed(row)]


def blocks(message: Message) -> list[Any]:
    """The blocks that cross and say something, without citations and what only one of the forms has."""
    found = [block for block in plain(message)["content"] if block["type"] in CROSSING]
    for block in found:
        for name in ("citations", "caller", "toolset_name"):
            block.pop(name, None)
    return [block for block in found if block.get("text") != "" and (block.get("thinking") != "" or block["signature"])]


def told(message: Message) -> tuple[Any, ...]:
    usage = message.usage
    details, calls = usage.output_tokens_details, usage.server_tool_use
    return (
        blocks(message),
        message.stop_reason,
        message.stop_sequence,
        usage.input_tokens,
        usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or 0,
        usage.output_tokens,
        details.thinking_tokens if details else 0,
        calls.web_search_requests + (calls.web_fetch_requests or 0) if calls else 0,
    )


def sampled(row: dict[str, Any]) -> bool:
    """Its figures are sums of several samplings, which the SDK does not add."""
    return '"iterations":[{"' in row["response"].replace(" ", "").replace("\n", "")


def original(row: dict[str, Any]) -> Message:
    data = row["response"].encode()
    return streamed(data) if row["stream"] else sdk.whole(data)


def test_the_sdk_reads_the_same_from_ours():
    compared = 0
    for row in answers():
        if SPLICED in row["id"]:
            continue
        events = read([row["response"].encode()], row["stream"])
        assert faults(events) == [], row["id"]
        stream, one = write(events), SPEECH.whole(ASKING, events)
        assert check(stream) == [], row["id"]
        assert message_faults(json.loads(one)) == [], row["id"]
        validated(stream)
        validated_whole(one)
        expected = told(original(row))
        if sampled(row):
            expected = expected[:3]
        assert told(streamed(stream))[: len(expected)] == expected, row["id"]
        assert told(sdk.whole(one))[: len(expected)] == expected, row["id"]
        compared += 1
    assert compared >= 175


def test_every_stream_reads_the_same_however_it_is_cut():
    chance = random.Random(11)
    for row in rows("anthropic.messages"):
        data = row["response"].encode()
        events = read([data], row["stream"])
        assert read(list(pieces(data, 997)), row["stream"]) == events, row["id"]
        if not row["stream"]:
            continue
        assert read(list(pieces(data, 1))) == events, row["id"]
        if len(data) < 2500:
            assert all(read([data[:cut], data[cut:]]) == events for cut in range(len(data))), row["id"]
        for _ in range(20):
            assert read(at(data, [chance.randrange(len(data)) for _ in range(30)])) == events, row["id"]
        crlf = data.replace(b"\n", b"\r\n")
        assert read(list(pieces(crlf, 61))) == events, row["id"]


def test_streams_that_break_off_have_failed():
    for row in answers():
        if not row["stream"]:
            continue
        data = row["response"].encode()
        events = read([data[: data.rindex(b"message_stop") - 20]])
        assert isinstance(events[-1], Failed), row["id"]
        stream = write(events)
        assert check(stream) == [], row["id"]
        with pytest.raises(APIStatusError):
            streamed(stream)


def test_spliced_streams_are_written_in_the_form():
    for row in answers():
        if SPLICED in row["id"]:
            assert check(write(read([row["response"].encode()]))) == []


def test_an_errors_body_is_said_in_its_own_words():
    row = next(row for row in rows("anthropic.messages") if row["status"] == 400 and '"error"' in row["response"])
    problem = SPEECH.failure(row["status"], row["response"].encode())
    assert (problem.status, problem.code) == (400, "invalid_request_error")
    assert problem.message == json.loads(row["response"])["error"]["message"]


def test_recorded_requests_are_read_or_refused_by_name():
    """What can be read is written again, with roles that alternate."""
    read_whole = 0
    for row in rows("anthropic.messages"):
        if not isinstance(row.get("request"), dict):
            continue
        body = json.dumps(row["request"]).encode()
        try:
            prompt = SPEECH.parse(body, GENERATE)
        except InvalidBody as refused:
            assert refused.field is not None
            assert refused.field.endswith(".type") or refused.field == "mcp_servers", (row["id"], refused.field)
            continue
        again = json.loads(SPEECH.build(prompt, Limits(prompt.model)).body)
        roles = [message["role"] for message in again["messages"]]
        assert roles[::2] == ["user"] * len(roles[::2])
        assert roles[1::2] == ["assistant"] * len(roles[1::2])
        read_whole += 1
    assert read_whole >= 100
