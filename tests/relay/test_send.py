"""Failing over: what each answer of an upstream means for its account, for the client and for the row."""

import asyncio
import itertools
import json
import math
import time
from datetime import datetime
from typing import Any

import pytest

from gateway.core.settings import Settings
from gateway.local.sandbox import Rule
from gateway.platforms import signing
from tests.relay.world import (
    CHAT,
    MESSAGE,
    MESSAGES,
    OK,
    Raw,
    Said,
    World,
    answer,
    anthropic_error,
    body,
    code_of,
    drop,
    silence,
)
from tests.support.installation import environ_of

ONE, TWO = "sk-first-0001", "sk-second-0002"
MODEL = "claude-sonnet-x"
NOW = int(time.time())


def openai_error(code: str | None, kind: str, message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def retry(status: int, *headers: str, kind: str = "rate_limit_error", message: str = "no") -> bytes:
    return answer(status, anthropic_error(kind, message), *headers)


SSE_ERROR = b"event: error\ndata: " + json.dumps(anthropic_error("overloaded_error")).encode() + b"\n\n"

#: (name, what the first account says, state's scope or None, reason, seconds until its end, code when it is alone)
TABLE: list[tuple[str, Said, str | None, str, tuple[float, float], tuple[int, str]]] = [
    ("credit", answer(400, anthropic_error("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")),  # noqa: E501
     "account", "money", (1790, 1800), (503, "no_account")),
    ("disabled", answer(400, anthropic_error("invalid_request_error", "This organization has been disabled.")),
     "account", "disabled", (math.inf, math.inf), (502, "upstream_auth_failed")),
    ("quota", answer(429, openai_error("insufficient_quota", "insufficient_quota")),
     "account", "money", (1790, 1800), (503, "no_account")),
    ("402", answer(402, anthropic_error("billing_error")), "account", "money", (1790, 1800), (503, "no_account")),
    ("404 model", answer(404, anthropic_error("not_found_error", f"model: {MODEL}")),
     f"model:{MODEL}", "model", (1790, 1800), (404, "model_not_found")),
    ("401", answer(401, anthropic_error("authentication_error")),
     "account", "credentials", (1790, 1800), (502, "upstream_auth_failed")),
    ("403", answer(403, anthropic_error("permission_error")),
     "family:sonnet", "forbidden", (290, 300), (502, "upstream_auth_failed")),
    ("302", answer(302, b"", "location: http://127.0.0.1/"), None, "redirect", (0, 0), (502, "upstream_error")),
    ("408", answer(408), None, "slow", (0, 0), (504, "upstream_timeout")),
    ("504", answer(504), None, "slow", (0, 0), (504, "upstream_timeout")),
    ("window", retry(429, "anthropic-ratelimit-unified-status: rejected", f"anthropic-ratelimit-unified-5h-reset: {NOW + 9000}",  # noqa: E501
                     "anthropic-ratelimit-unified-5h-status: rejected"),
     "account", "rate_limited", (8000, 9000), (503, "no_account")),
    ("window of a family", retry(429, "anthropic-ratelimit-unified-status: rejected",
                                 "anthropic-ratelimit-unified-representative-claim: seven_day_sonnet",
                                 f"anthropic-ratelimit-unified-reset: {NOW + 90000}"),
     "family:sonnet", "rate_limited", (88000, 90000), (503, "no_account")),
    ("retry-after", retry(429, "retry-after: 77"), "family:sonnet", "rate_limited", (70, 77), (503, "no_account")),
    ("retry-after clamped", retry(429, "retry-after: 99999"), "family:sonnet", "rate_limited", (1790, 1800), (503, "no_account")),  # noqa: E501
    ("429", retry(429), "family:sonnet", "overloaded", (55, 60), (503, "no_account")),
    ("429 allowed", retry(429, "anthropic-ratelimit-unified-status: allowed", f"anthropic-ratelimit-unified-reset: {NOW + 9000}"),  # noqa: E501
     "family:sonnet", "overloaded", (55, 60), (503, "no_account")),
    ("500", answer(500), None, "fault", (0, 0), (502, "upstream_error")),
    ("502", answer(502), None, "fault", (0, 0), (502, "upstream_error")),
    ("503", answer(503), "family:sonnet", "overloaded", (55, 60), (503, "no_account")),
    ("529", answer(529, anthropic_error("overloaded_error")), "family:sonnet", "overloaded", (55, 60), (503, "no_account")),  # noqa: E501
    ("drop", drop, None, "network", (0, 0), (502, "upstream_error")),
    ("garbage", b"what is this\r\n\r\n", None, "fault", (0, 0), (502, "upstream_error")),
]  # fmt: skip


async def two(world: World, raw: Raw, **fields: Any) -> tuple[str, str]:
    """The first is tried first."""
    return (
        await world.account(secret=ONE, base_url=raw.url, priority=1, **fields),
        await world.account(secret=TWO, base_url=raw.url, priority=2, **fields),
    )


def _tenth(low: float, high: float) -> float:
    return 0.1


def _whole(low: float, high: float) -> float:
    return 1.0


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the pauses before the same account is asked again only a tenth, so that the table is quick."""
    monkeypatch.setattr("gateway.relay.send.random.uniform", _tenth)


@pytest.mark.parametrize(("name", "said", "scope", "reason", "ends", "alone"), TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_table(
    world: World, raw: Raw, stream: bool, name: str, said: Said, scope: str | None, reason: str,
    ends: tuple[float, float], alone: tuple[int, str],
) -> None:  # fmt: skip
    first, second = await two(world, raw)
    raw.say(ONE, said)
    raw.say(TWO, OK if not stream else answer(200, STREAM, content_type="text/event-stream"))
    key = await world.key(debug=True)
    got = await world.ask(key, MODEL, stream=stream)
    if not stream and name in {"drop", "garbage"}:
        assert (got.status_code, code_of(got)) == (502, "upstream_error"), "sent once, perhaps billed"
        assert len(raw.asked) == 1
    else:
        assert got.status_code == 200, got.text
        assert got.headers["x-poolgate-account"] == second
        assert [one.credential for one in raw.asked] == [ONE, TWO]
        assert raw.asked[0].body == raw.asked[1].body
    state = await world.state(first)
    assert (await world.state(second))["cooldowns"] == []
    if scope is None:
        assert state["cooldowns"] == []
    else:
        (one,) = state["cooldowns"]
        assert (one["scope"], one["reason"]) == (scope, reason)
        assert state["usable"] is (scope != "account")
        assert ends[0] <= _seconds(one["until"]) <= ends[1]
        assert state["recent"][0]["source"]["request_id"] == got.headers["x-request-id"]
    raw.say(TWO, said)
    await world.heal()
    no = await world.ask(await world.key(account_id=second), MODEL, stream=stream)
    assert (no.status_code, code_of(no)) == alone, no.text
    if alone[1] == "no_account" and scope != "account":
        assert "1 cooling down" in no.json()["error"]["message"]
        assert 1 <= int(no.headers["retry-after"]) <= ends[1]
    row, last = await asyncio.gather(*(world.site.row(one.headers["x-request-id"]) for one in (got, no)))
    if got.status_code == 200:
        assert [(a["account_id"], a["outcome"]) for a in row.attempts] == [(first, reason), (second, "ok")]
        assert (row.account_id, row.ending) == (second, "complete")
    assert (last.status, last.error_code) == (alone[0], alone[1])
    assert last.ending == ("stalled" if alone[0] == 504 else "upstream_error")


def _seconds(text: str | None) -> float:
    """Until then; null is for what does not end by itself."""
    return math.inf if text is None else datetime.fromisoformat(text).timestamp() - time.time()


STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n'  # noqa: E501
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
async def test_the_requests_own_fault_passes_and_marks_nothing(world: World, raw: Raw, status: int) -> None:
    first, second = await two(world, raw)
    said = answer(status, anthropic_error("invalid_request_error", "messages: at least one"), "x-special: 1")
    raw.say(ONE, said)
    key = await world.key()
    for _ in range(7):
        got = await world.ask(key, MODEL)
        assert (got.status_code, got.content) == (status, said.partition(b"\r\n\r\n")[2])
        assert got.headers["x-special"] == "1"
    assert len(raw.asked) == 7
    assert [(await world.state(one))["recent"] for one in (first, second)] == [[], []]


@pytest.mark.parametrize(
    "header",
    [("x-a", "\x80\xff"), ("x-b", "a\tb"), ("accept-encoding", "zip"), ("connection", "x-b"), ("te", "trailers")],
)
async def test_odd_headers_of_a_client_never_mark(world: World, raw: Raw, header: tuple[str, str]) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    raw.say(ONE, OK)
    key = await world.key()
    headers = [(b"x-api-key", key.encode()), (header[0].encode(), header[1].encode("latin-1"))]
    for _ in range(3):
        await world.site.http.post(MESSAGES, headers=headers, json=body(MODEL))
    assert (await world.ask(key, MODEL)).status_code == 200
    assert (await world.state(account))["recent"] == []


async def test_a_network_fault_counts_only_in_a_row(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    no = answer(400, anthropic_error("invalid_request_error"), "connection: close")
    raw.say(ONE, drop, no, drop, no, drop, no, drop, drop, no)
    for _ in range(6):
        await world.ask(key, MODEL)
    assert (await world.state(account))["cooldowns"] == [], "an answer between them breaks the row"
    await world.ask(key, MODEL)
    await world.ask(key, MODEL)
    (one,) = (await world.state(account))["cooldowns"]
    assert (one["scope"], one["reason"]) == ("family:sonnet", "network")
    assert 25 < _seconds(one["until"]) <= 30


async def test_a_refused_connection_moves_on_whatever_is_asked(world: World, raw: Raw) -> None:
    await world.account(base_url="http://127.0.0.1:9", priority=1)
    await world.account(secret=TWO, base_url=raw.url, priority=2)
    raw.say(TWO, OK)
    got = await world.ask(await world.key(debug=True), MODEL)
    assert (got.status_code, got.headers["x-poolgate-attempts"]) == (200, "2")


async def test_a_stale_connection_is_replaced_at_once_on_the_same_account(world: World, raw: Raw) -> None:
    first, _ = await two(world, raw)
    raw.say(ONE, OK, drop, OK)
    key = await world.key(debug=True)
    assert (await world.ask(key, MODEL)).status_code == 200
    got = await world.ask(key, MODEL)
    assert (got.status_code, got.headers["x-poolgate-attempts"]) == (200, "2"), got.text
    assert got.headers["x-poolgate-account"] == first, "a whole answer that was asked for must not be billed twice"


async def test_stale_connections_are_no_fault_of_the_account(world: World, raw: Raw) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    for _ in range(4):
        raw.say(ONE, OK, drop, OK)
        assert [(await world.ask(key, MODEL)).status_code for _ in range(2)] == [200, 200]
    assert (await world.state(account))["recent"] == []


@pytest.mark.parametrize(("stream", "asked"), [(True, 2), (False, 1)])
async def test_a_new_connection_that_breaks_is_tried_once_more_for_a_stream(
    world: World, raw: Raw, stream: bool, asked: int
) -> None:
    """A whole answer may have been made, and billed, before it broke."""
    account = await world.account(secret=ONE, base_url=raw.url)
    key = await world.key()
    raw.say(ONE, drop)
    assert (await world.ask(key, MODEL, stream=stream)).status_code == 502
    assert len(raw.asked) == asked
    assert (await world.state(account))["cooldowns"] == [], "one request's failures are one"
    raw.say(ONE, drop, answer(200, STREAM, content_type="text/event-stream"))
    if stream:
        assert (await world.ask(key, MODEL, stream=True)).status_code == 200


async def test_a_timeout_moves_a_stream_but_never_a_whole_answer(world: World, raw: Raw) -> None:
    await two(world, raw, timeouts={"connect": 5, "first_event": 0.4, "stream_idle": 5, "total": 0.4})
    raw.say(ONE, silence)
    raw.say(TWO, answer(200, STREAM, content_type="text/event-stream"))
    key = await world.key()
    assert (await world.ask(key, MODEL, stream=True)).content == STREAM
    assert len(raw.asked) == 2
    no = await world.ask(key, MODEL)
    assert (no.status_code, code_of(no)) == (504, "upstream_timeout")
    assert len(raw.asked) == 3


async def test_a_first_event_that_is_an_error_counts_as_its_type(world: World, raw: Raw) -> None:
    first, second = await two(world, raw)
    raw.say(ONE, answer(200, SSE_ERROR, content_type="text/event-stream"))
    raw.say(TWO, answer(200, STREAM, content_type="text/event-stream"))
    got = await world.ask(await world.key(debug=True), MODEL, stream=True)
    assert (got.content, got.headers["x-poolgate-account"]) == (STREAM, second)
    (one,) = (await world.state(first))["cooldowns"]
    assert one["reason"] == "overloaded"


@pytest.mark.parametrize(
    ("path", "platform", "said", "reason"),
    [
        (CHAT, "openai", openai_error("rate_limit_exceeded", "requests"), "overloaded"),
        (CHAT, "openai", openai_error("insufficient_quota", "insufficient_quota"), "money"),
        ("/v1/responses", "openai", {"type": "response.failed", "response": {"id": "resp_1", "status": "failed",
         "error": {"code": "rate_limit_exceeded", "message": "Try again in 7s."}}}, "overloaded"),
        ("/v1/responses", "openai", {"type": "error", "code": "insufficient_quota", "message": "no"}, "money"),
    ],
)  # fmt: skip
async def test_a_first_event_that_is_an_error_in_each_protocol(
    world: World, raw: Raw, path: str, platform: str, said: dict[str, Any], reason: str
) -> None:
    first, _ = await two(world, raw, platform=platform)
    event = b"data: " + json.dumps(said).encode() + b"\n\n"
    raw.say(ONE, answer(200, event, content_type="text/event-stream"))
    raw.say(TWO, answer(200, b"data: {}\n\n", content_type="text/event-stream"))
    asked = {"model": "gpt-x", "stream": True, "messages": [], "input": "hi"}
    got = await world.site.http.post(path, headers={"x-api-key": await world.key()}, json=asked)
    assert (got.status_code, got.content[:8]) == (200, b"data: {}")
    assert [one["reason"] for one in (await world.state(first))["cooldowns"]] == [reason]


async def test_never_after_the_first_event(world: World, raw: Raw) -> None:
    await two(world, raw)
    late = STREAM.partition(b"event: message_delta")[0] + SSE_ERROR
    raw.say(ONE, answer(200, late, content_type="text/event-stream"))
    got = await world.ask(await world.key(), MODEL, stream=True)
    assert (got.content, len(raw.asked)) == (late, 1)
    assert (await world.site.row(got.headers["x-request-id"])).ending == "upstream_error"


async def test_at_most_so_many_attempts_and_never_two_at_once(world: World, raw: Raw) -> None:
    for at in range(5):
        await world.account(secret=f"sk-many-000{at}", base_url=raw.url, priority=at + 1)
        raw.say(f"sk-many-000{at}", answer(500))
    no = await world.ask(await world.key(), MODEL)
    assert (no.status_code, code_of(no)) == (502, "upstream_error")
    assert [one.credential for one in raw.asked] == [f"sk-many-000{at}" for at in range(3)]
    row = await world.site.row(no.headers["x-request-id"])
    spans = [(one["started_at"], one["ended_at"]) for one in row.attempts]
    assert len(spans) == 3
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


async def test_no_new_attempt_after_the_deadline(world: World, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = world.site.gate
    short = Settings.from_environ({**environ_of(gate.settings), "POOLGATE_FAILOVER_DEADLINE": "1"})
    monkeypatch.setattr(gate, "settings", short)
    monkeypatch.setattr("gateway.relay.send.random.uniform", _whole)

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.7)
        writer.write(answer(500))

    await world.account(secret=ONE, base_url=raw.url)
    raw.say(ONE, late)
    started = time.monotonic()
    no = await world.ask(await world.key(), MODEL)
    assert (no.status_code, len(raw.asked)) == (502, 1), "0.7 s and a pause of 0.5 s are more than a second"
    assert time.monotonic() - started < 1.1


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (answer(500), 3),
        (answer(502), 3),
        (answer(503), 3),
        (answer(529), 3),
        (retry(429, "retry-after: 1"), 3),
        (retry(429, "retry-after: 30"), 1),
        (answer(504), 1),
        (answer(401), 1),
        (answer(302), 1),
    ],
)
async def test_the_same_account_again(world: World, raw: Raw, said: bytes, asked: int) -> None:
    account = await world.account(secret=ONE, base_url=raw.url)
    raw.say(ONE, said)
    await world.ask(await world.key(), MODEL)
    assert len(raw.asked) == asked
    raw.say(ONE, said, OK)
    await world.heal()
    got = await world.ask(await world.key(), MODEL)
    assert got.status_code == (200 if asked > 1 else got.status_code)
    if asked > 1:
        assert (await world.state(account))["cooldowns"] == [], "a later success clears the state"


async def test_the_last_usable_account_is_only_tried_last(world: World, raw: Raw) -> None:
    first, second = await two(world, raw)
    for credential in (ONE, TWO):
        raw.say(credential, answer(529))
    key = await world.key(debug=True)
    assert (await world.ask(key, MODEL)).status_code == 503
    assert [(await world.state(one))["cooldowns"][0]["reason"] for one in (first, second)] == ["overloaded"] * 2
    raw.say(TWO, OK)
    got = await world.ask(key, MODEL)
    assert (got.status_code, got.headers["x-poolgate-account"]) == (200, second)


async def test_nothing_of_one_attempt_is_in_the_next(world: World, raw: Raw) -> None:
    await world.account("claude-official", secret=ONE, base_url=raw.url, priority=1)
    await world.account("claude-official", credentials={"access_token": "sk-oauth-0003"}, base_url=raw.url, priority=2)
    await world.account("claude-console", secret=TWO, base_url=raw.url, priority=3, model_map={MODEL: "other"})
    raw.say(ONE, answer(500))
    raw.say("sk-oauth-0003", answer(500))
    raw.say(TWO, OK)
    headers = {"anthropic-beta": "a-1", "idempotency-key": "k", "cookie": "c=1"}
    got = await world.ask(await world.key(), MODEL, headers=headers)
    assert got.status_code == 200
    one, two, three = raw.asked
    assert (one.header.get("authorization"), one.header["anthropic-beta"]) == (None, "a-1")
    assert two.header.get("x-api-key") is None
    assert two.header["anthropic-beta"] == "a-1,oauth-2025-04-20"
    assert (three.header.get("authorization"), three.header["anthropic-beta"]) == (None, "a-1")
    assert json.loads(one.body) == json.loads(two.body)
    assert json.loads(three.body) == {**json.loads(one.body), "model": "other"}
    assert not any("cookie" in asked.header for asked in raw.asked)
    assert len({asked.header["idempotency-key"] for asked in raw.asked}) == 1
    assert one.header["idempotency-key"] != "k"


async def test_the_accounts_own_secrets_are_not_passed_on(world: World, raw: Raw) -> None:
    await world.account(secret=ONE, base_url=raw.url)
    raw.say(ONE, answer(400, anthropic_error("invalid_request_error", f"bad: {ONE}")))
    no = await world.ask(await world.key(), MODEL)
    assert (no.status_code, code_of(no)) == (400, "invalid_request")
    assert ONE not in no.text
    assert (await world.site.row(no.headers["x-request-id"])).error_code == "invalid_request"


async def test_a_stored_value_that_cannot_be_sent_is_the_accounts_fault(
    world: World, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await two(world, raw)
    raw.say(TWO, OK)
    key, bound = await world.key(debug=True), await world.key(account_id=first)
    account = world.site.gate.snapshot.accounts[first]
    monkeypatch.setitem(account.credentials, "api_key", type(account.credentials["api_key"])("a\r\nb"))  # type: ignore[arg-type]
    with pytest.raises(signing.InvalidAccount):
        signing.secret(account, "api_key")
    got = await world.ask(key, MODEL)
    assert (got.status_code, got.headers["x-poolgate-account"]) == (200, second)
    (one,) = (await world.state(first))["cooldowns"]
    assert (one["scope"], one["reason"]) == ("account", "credentials")
    no = await world.ask(bound, MODEL)
    assert (no.status_code, code_of(no)) == (503, "no_account")
    await world.heal()
    no = await world.ask(bound, MODEL)
    assert (no.status_code, code_of(no)) == (502, "upstream_auth_failed")


async def test_full_others_leave_the_last_word_to_the_upstream(world: World, raw: Raw) -> None:
    await two(world, raw, max_concurrency=1)
    raw.say(ONE, answer(401))

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(OK)

    raw.say(TWO, slow)
    busy = asyncio.ensure_future(world.ask(await world.key(), "claude-opus-x"))
    await asyncio.sleep(0.2)
    await world.heal()
    no = await world.ask(await world.key(), MODEL)
    assert (no.status_code, code_of(no)) == (502, "upstream_auth_failed")
    assert (await busy).status_code == 200


# ------------------------------------------------------------------ usage that was not asked for

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":null}\n\n'
FIGURES = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}\n\n'
DONE = b"data: [DONE]\n\n"
REFUSED = answer(400, openai_error(None, "invalid_request_error", "Unrecognized request argument: stream_options"))


async def test_usage_is_asked_for_and_taken_out_again(world: World, raw: Raw) -> None:
    await world.account("openai", secret=ONE, base_url=raw.url)
    raw.say(ONE, answer(200, CHUNK + FIGURES + DONE, content_type="text/event-stream"))
    key = await world.key()
    got = await world.ask(key, "gpt-x", CHAT, stream=True)
    assert got.content == CHUNK + DONE
    assert json.loads(raw.asked[-1].body)["stream_options"] == {"include_usage": True}
    row = await world.site.row(got.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (7, 5, "provider")
    got = await world.ask(key, "gpt-x", CHAT, stream=True, stream_options={"include_usage": True})
    assert got.content == CHUNK + FIGURES + DONE
    got = await world.ask(key, "gpt-x", CHAT, stream=True, stream_options={"include_obfuscation": False})
    assert got.content == CHUNK + DONE
    assert json.loads(raw.asked[-1].body)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    off = await world.account("openai", secret=TWO, base_url=raw.url, options={"usage_probe": False})
    raw.say(TWO, answer(200, CHUNK + DONE, content_type="text/event-stream"))
    await world.ask(await world.key(account_id=off), "gpt-x", CHAT, stream=True)
    assert "stream_options" not in json.loads(raw.asked[-1].body)


async def test_an_upstream_that_does_not_know_it_is_asked_without_and_remembered(world: World, raw: Raw) -> None:
    account = await world.account("openai", secret=ONE, base_url=raw.url)
    raw.say(ONE, REFUSED, answer(200, CHUNK + DONE, content_type="text/event-stream"))
    key = await world.key(debug=True)
    got = await world.ask(key, "gpt-x", CHAT, stream=True)
    assert (got.status_code, got.content) == (200, CHUNK + DONE)
    assert [("stream_options" in json.loads(one.body)) for one in raw.asked] == [True, False]
    row = await world.site.row(got.headers["x-request-id"])
    assert [one["status"] for one in row.attempts] == [400, 200]
    got = await world.ask(key, "gpt-x", CHAT, stream=True)
    assert (got.status_code, len(raw.asked)) == (200, 3)
    assert 86_000 < world.site.gate.without_usage[account] - time.time() <= 86_400
    assert (await world.state(account))["recent"] == []


async def test_a_clients_own_bad_stream_options_are_not_remembered(world: World, raw: Raw) -> None:
    account = await world.account("openai", secret=ONE, base_url=raw.url)
    raw.say(ONE, REFUSED)
    key = await world.key()
    got = await world.ask(key, "gpt-x", CHAT, stream=True, stream_options={"what": 1})
    assert (got.status_code, got.content) == (400, REFUSED.partition(b"\r\n\r\n")[2])
    assert json.loads(raw.asked[-1].body)["stream_options"] == {"what": 1}
    assert account not in world.site.gate.without_usage
    got = await world.ask(key, "gpt-x", CHAT, stream=True, stream_options="what")
    assert (got.status_code, code_of(got)) == (400, "invalid_request")
    assert MESSAGE["type"] == "message"


async def test_scripts_of_the_sandbox_agree(world: World) -> None:
    """The same through the simulated provider, in its protocols."""
    for platform, path in (("claude-console", MESSAGES), ("openai", CHAT)):
        first = await world.account(platform, secret="sk-box-0001", priority=1)
        second = await world.account(platform, secret="sk-box-0002", priority=2)
        key = await world.key(debug=True, platforms=[platform])
        for script in ("error-529", "error-500", "error-401", "error-429-quota", "drop", "first-error-529"):
            world.site.sandbox.rules([Rule(script, credential="sk-box-0001")])
            got = await world.ask(key, "sandbox-echo", path, stream=True)
            assert (got.status_code, got.headers["x-poolgate-account"]) == (200, second), (platform, script)
            await world.heal()
        world.site.sandbox.rules([])
        assert (await world.ask(key, "sandbox-echo", path)).headers["x-poolgate-account"] == first
