"""Laws and known faults of translation that need a gateway: headers, silence, cuts, what is passed on when."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
import pytest_asyncio

from gateway.core.services import groups
from gateway.relay import exchange
from gateway.translation import SPEECHES
from tests.relay.world import Raw, World, answer, raw_upstream
from tests.support.installation import Site
from tests.translation.bodies import plain
from tests.translation.hearing import found
from tests.translation.wires import CALLING, PLAIN, Called, Said, wire

#: Accounts by what they speak.
PLATFORMS = {
    "anthropic": "claude-console",
    "openai_chat": "openai",
    "openai_responses": "openai-responses",
    "gemini": "gemini",
    "ollama": "ollama",
}
PATHS = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
    "ollama": "/api/chat",
}
TYPES = {"ollama": "application/x-ndjson"}
SSE = "text/event-stream"
CREDENTIAL = "sk-laws"
clients = pytest.mark.parametrize("client", PATHS)
PAIRS = [
    (client, upstream)
    for client in PATHS
    for upstream in ("anthropic", "openai_chat", "gemini")
    if client != upstream and not (upstream == "openai_chat" and client == "openai_responses")
]
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)


@pytest_asyncio.fixture(loop_scope="session")
async def world(site: Site) -> World:
    return await World.make(site)


@pytest_asyncio.fixture(loop_scope="session")
async def raw() -> AsyncGenerator[Raw]:
    async with raw_upstream() as made:
        yield made


def says(raw: Raw, upstream: str, *said: Any) -> None:
    """Gemini's credential is in a header that the raw upstream does not look into."""
    raw.say("" if upstream == "gemini" else CREDENTIAL, *said)


async def key_to(world: World, raw: Raw, upstream: str, **fields: Any) -> str:
    await world.account(PLATFORMS[upstream], base_url=raw.url, secret=CREDENTIAL, **fields)
    return await world.key()


def body_of(client: str, stream: bool = True, **members: Any) -> dict[str, Any]:
    """A chat client asks for the usage of a stream."""
    body = {**plain(client), **members}
    if client == "openai_chat" and stream:
        body["stream_options"] = {"include_usage": True}
    return body if client == "gemini" else {**body, "stream": stream}


def path_of(client: str, stream: bool = True) -> str:
    return PATHS[client] if stream else PATHS[client].replace("streamGenerateContent?alt=sse", "generateContent")


async def ask(world: World, key: str, client: str, stream: bool = True, **more: Any) -> Any:
    headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
    path = more.pop("prefix", "") + path_of(client, stream)
    return await world.site.http.post(path, headers=headers, json=body_of(client, stream, **more))


def streamed(upstream: str, said: Said | None = None, *headers: str) -> bytes:
    data = wire(upstream, said or Said(PLAIN[upstream]), True)
    return answer(200, data, *headers, content_type=TYPES.get(upstream, SSE))


class Halting:
    """An upstream that begins its stream, and goes on when it is told to."""

    def __init__(self, data: bytes, at: int, content_type: str = SSE) -> None:
        self._data, self._at, self._type = data, at, content_type
        self.go_on = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 X\r\ncontent-type: {self._type}\r\ncontent-length: {len(self._data)}\r\n\r\n"
        writer.write(head.encode() + self._data[: self._at])
        await writer.drain()
        await self.go_on.wait()
        writer.write(self._data[self._at :])
        await writer.drain()


def halting(upstream: str, mark: bytes) -> Halting:
    """It halts after the first event that has the mark."""
    data = wire(upstream, Said(PLAIN[upstream], "Hello"), True)
    end = {"gemini": b"\r\n\r\n", "ollama": b"\n"}.get(upstream, b"\n\n")
    return Halting(data, data.index(end, data.index(mark)) + len(end), TYPES.get(upstream, SSE))


async def until(pieces: Any, wanted: Callable[[bytes], bool]) -> bytes:
    """What has come when it is enough."""
    seen = b""
    async with asyncio.timeout(5):
        while not wanted(seen):
            seen += await anext(pieces)
    return seen


# ---------------------------------------------------------------- laws


@pytest.mark.parametrize("upstream", ["anthropic", "openai_chat"])
async def test_law_5_what_is_clamped_is_told_in_a_header(world: World, raw: Raw, upstream: str) -> None:
    key = await key_to(world, raw, upstream)
    says(raw, upstream, streamed(upstream))
    clamped = await ask(world, key, "gemini", generationConfig={"temperature": 1.5, "topK": 0})
    assert clamped.status_code == 200
    assert json.loads(raw.asked[-1].body)["temperature"] == (1 if upstream == "anthropic" else 1.5)
    expected = {"anthropic": "temperature", "openai_chat": "top_k"}[upstream]
    assert clamped.headers["x-poolgate-adjusted"] == expected
    plainly = await ask(world, key, "gemini", generationConfig={"temperature": 0.5})
    assert "x-poolgate-adjusted" not in plainly.headers


async def test_law_8_versions_of_anthropic(world: World, raw: Raw) -> None:
    key = await key_to(world, raw, "anthropic")
    says(raw, "anthropic", streamed("anthropic"))
    own = await ask(world, key, "anthropic", max_tokens=9, headers={"anthropic-version": "2026-10-21"})
    assert own.status_code == 200
    assert raw.asked[-1].header["anthropic-version"] == "2026-10-21"
    for temperature in (None, 0, 0.5):
        await ask(world, key, "openai_chat", temperature=temperature, headers={"anthropic-version": "2026-10-21"})
        assert raw.asked[-1].header["anthropic-version"] == "2023-06-01"
        assert json.loads(raw.asked[-1].body).get("temperature") == temperature


PINGS = {
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "openai_chat": b": ping\n\n",
    "openai_responses": b": ping\n\n",
    "gemini": b"\n",
}
MARKS = {"anthropic": b"text_delta", "openai_chat": b'"He"', "gemini": b'"He"'}


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[0] != "ollama"])
async def test_law_9_a_silent_translated_stream_is_kept_alive(
    world: World, raw: Raw, client: str, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PING_SECONDS", 0.05)
    key = await key_to(world, raw, upstream)
    upstreams_way = halting(upstream, MARKS[upstream])
    says(raw, upstream, upstreams_way)
    headers = {"authorization": f"Bearer {key}"}
    async with world.site.http.stream("POST", PATHS[client], headers=headers, json=body_of(client)) as got:
        pieces = got.aiter_raw()
        before = await until(pieces, lambda seen: b"He" in seen)
        pinged = await until(pieces, lambda seen: seen.count(PINGS[client]) >= 2)
        assert pinged == PINGS[client] * (len(pinged) // len(PINGS[client]))
        upstreams_way.go_on.set()
        rest = b"".join([piece async for piece in pieces])
    assert found(client, before + pinged + rest, True).text == "Hello"


async def test_law_9_nothing_is_put_into_a_stream_that_is_not_ours(
    world: World, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PING_SECONDS", 0.02)
    key = await key_to(world, raw, "anthropic")
    upstreams_way = halting("anthropic", b"text_delta")
    says(raw, "anthropic", upstreams_way)
    headers = {"authorization": f"Bearer {key}"}
    body = body_of("anthropic", max_tokens=9)
    async with world.site.http.stream("POST", PATHS["anthropic"], headers=headers, json=body) as got:
        pieces = got.aiter_raw()
        seen = await until(pieces, lambda seen: b"text_delta" in seen)
        await asyncio.sleep(0.1)
        upstreams_way.go_on.set()
        seen += b"".join([piece async for piece in pieces])
    assert seen == wire("anthropic", Said("end_turn", "Hello"), True)


@pairs
async def test_law_10_cuts_on_the_wire_change_nothing(world: World, raw: Raw, client: str, upstream: str) -> None:
    key = await key_to(world, raw, upstream)
    said = Said(CALLING[upstream], "é😀", "hm", (Called("c1", "f", '{"a": 1}'),))
    data = wire(upstream, said, True)

    async def by_the_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 X\r\ncontent-type: {TYPES.get(upstream, SSE)}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for at in range(len(data)):
            writer.write(b"1\r\n%b\r\n" % data[at : at + 1])
            if at % 16 == 0:
                await writer.drain()
                await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    seen: list[Any] = []
    for said_by in (streamed(upstream, said), by_the_byte):
        says(raw, upstream, said_by)
        got = await ask(world, key, client)
        assert got.status_code == 200
        seen.append(found(client, got.content, True))
    assert seen[0] == seen[1]
    assert seen[0].text == "é😀"


@pytest.mark.parametrize("upstream", ["anthropic", "gemini"])
async def test_law_11_a_response_of_another_protocol_cannot_be_gone_on_with(
    world: World, raw: Raw, upstream: str
) -> None:
    key = await key_to(world, raw, upstream)
    says(raw, upstream, streamed(upstream))
    refused = await ask(world, key, "openai_responses", previous_response_id="resp_1")
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "previous_response_id"
    assert raw.asked == []


# ---------------------------------------------------------------- known faults


@pairs
async def test_the_first_words_are_passed_on_while_the_rest_is_still_to_come(
    world: World, raw: Raw, client: str, upstream: str
) -> None:
    """Gateways gathered an answer and gave it out within a millisecond."""
    key = await key_to(world, raw, upstream)
    upstreams_way = halting(upstream, MARKS[upstream])
    says(raw, upstream, upstreams_way)
    headers = {"authorization": f"Bearer {key}"}
    async with world.site.http.stream("POST", PATHS[client], headers=headers, json=body_of(client)) as got:
        pieces = got.aiter_raw()
        before = await until(pieces, lambda seen: b"He" in seen)
        assert not upstreams_way.go_on.is_set()
        upstreams_way.go_on.set()
        rest = b"".join([piece async for piece in pieces])
    assert found(client, before + rest, True).text == "Hello"


@pairs
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_answer_that_is_compressed_all_the_same_is_read(
    world: World, raw: Raw, client: str, upstream: str, stream: bool
) -> None:
    """Compressed streams came out empty, and without their figures."""
    key = await key_to(world, raw, upstream)
    data = gzip.compress(wire(upstream, Said(PLAIN[upstream], "Hello"), stream))
    kind = TYPES.get(upstream, SSE) if stream else "application/json"
    says(raw, upstream, answer(200, data, "content-encoding: gzip", content_type=kind))
    got = await ask(world, key, client, stream)
    assert "content-encoding" not in got.headers
    seen = found(client, got.content, stream)
    assert (seen.text, seen.input, seen.output) == ("Hello", 7, 3)
    row = await world.site.row(got.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (7, 3, "provider")
    assert raw.asked[-1].header["accept-encoding"] == "identity"


ENDS = {
    "anthropic": b"message_stop",
    "openai_chat": b"[DONE]",
    "openai_responses": b"response.completed",
    "gemini": b"finishReason",
    "ollama": b'"done":true',
}
ERRORS = {
    "anthropic": b"event: error\n",
    "openai_chat": b'data: {"error":',
    "openai_responses": b"event: response.failed\n",
    "gemini": b'data: {"error":',
    "ollama": b'{"error":',
}


@pairs
async def test_a_stream_that_breaks_ends_with_an_error_and_counts_as_one(
    world: World, raw: Raw, client: str, upstream: str
) -> None:
    """It was told as an answer like any other, so that the client did not try again, or was charged twice."""
    key = await key_to(world, raw, upstream)
    data = wire(upstream, Said(PLAIN[upstream], "Hello"), True)
    at = data.index(b"\n", data.index(MARKS[upstream])) + 2

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 X\r\ncontent-type: {TYPES.get(upstream, SSE)}\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data[:at] + b"\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        raise ConnectionResetError

    says(raw, upstream, cut)
    got = await ask(world, key, client)
    assert got.status_code == 200
    assert b"He" in got.content
    assert ERRORS[client] in got.content
    assert ENDS[client] not in got.content
    row = await world.site.row(got.headers["x-request-id"])
    assert row.ending == "upstream_error"


@clients
async def test_an_error_before_the_answer_is_one_in_the_clients_words(world: World, raw: Raw, client: str) -> None:
    """Every failure of an upstream was a 500 of one kind, or a 200."""
    upstream = "openai_chat" if client == "anthropic" else "anthropic"
    key = await key_to(world, raw, upstream)
    told = {"error": {"message": "max_tokens: too many", "type": "invalid_request_error"}}
    says(raw, upstream, answer(400, {"type": "error", **told} if upstream == "anthropic" else told))
    got = await ask(world, key, client)
    assert got.status_code == 400
    error = got.json()["error"]
    assert "too many" in (error if client == "ollama" else error["message"])


@pytest.mark.parametrize("upstream", ["anthropic", "openai_chat"])
async def test_ollamas_clients_get_lines_unless_they_ask_for_one_piece(world: World, raw: Raw, upstream: str) -> None:
    """They were sent server-sent events, and one piece unless they had asked for a stream."""
    key = await key_to(world, raw, upstream)
    says(raw, upstream, streamed(upstream))
    got = await world.site.http.post("/api/chat", headers={"authorization": f"Bearer {key}"}, json=plain("ollama"))
    assert got.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in got.text.splitlines()]
    assert [line["done"] for line in lines][-1] is True
    assert len(lines) > 1


CALL_TEXT = '<pg:call name="f"><pg:arg name="a">1</pg:arg></pg:call>'
OFFERED = {
    "anthropic": {"max_tokens": 9, "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    "openai_chat": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    "openai_responses": {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]},
    "gemini": {"tools": [{"functionDeclarations": [{"name": "f"}]}]},
    "ollama": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
}


@clients
@pytest.mark.parametrize(("mode", "prefix", "compat"), [("compat", "", True), ("native", "/compat_mode", False)])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_the_groups_way_with_tools_beats_the_paths_in_both_directions(
    world: World, raw: Raw, client: str, mode: str, prefix: str, compat: bool, stream: bool
) -> None:
    """The request went by the group's setting, and the answer was read by the path's."""
    async with world.site.sessions.begin() as session:
        await groups.create(session, world.tenant_id, {"name": "g", "tool_mode": mode})
    upstream = "anthropic" if client == "openai_responses" else "openai_chat"
    key = await key_to(world, raw, upstream)
    said = wire(upstream, Said(PLAIN[upstream], f"so {CALL_TEXT}"), stream)
    says(raw, upstream, answer(200, said, content_type=SSE if stream else "application/json"))
    got = await ask(world, key, client, stream, prefix="/g" + prefix, **OFFERED[client])
    assert got.status_code == 200, got.text
    asked = json.loads(raw.asked[-1].body)
    assert ("tools" in asked) is not compat
    assert ("<pg:call" in json.dumps(asked)) is compat
    seen = found(client, got.content, stream)
    assert [(name, json.loads(arguments)) for _, name, arguments in seen.calls] == ([("f", {"a": 1})] if compat else [])
    assert ("<pg:call" in seen.text) is not compat


def test_all_clients_are_here() -> None:
    assert set(PATHS) == set(SPEECHES)
