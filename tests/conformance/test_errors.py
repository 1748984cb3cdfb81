"""Every row of the table of errors, provoked: the right shape in every protocol, and the SDKs' own exceptions."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import ollama
import openai
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors as google
from google.genai import types
from msgspec import Struct

from tests.support.installation import Site

PLATFORMS = {
    "anthropic": "claude-console",
    "openai_chat": "openai",
    "openai_responses": "openai-responses",
    "gemini": "gemini",
    "ollama": "ollama",
}
RAISED = (anthropic.APIError, openai.APIError, google.APIError, ollama.ResponseError)
PROTOCOLS = tuple(PLATFORMS)
GOOD = "sandbox-echo"


class Ask(Struct):
    """What to ask, and with what."""

    key: str
    model: str = GOOD
    base: str = ""
    headers: dict[str, str] = {}
    stream: bool = False


@asynccontextmanager
async def scene(site: Site, protocol: str, **fields: Any) -> AsyncGenerator[Ask]:
    """A key for this protocol's platform alone."""
    yield Ask(await site.key(**{"platforms": [PLATFORMS[protocol]], **fields}))


async def asked(site: Site, protocol: str, ask: Ask) -> Any:
    """Through the vendor's own SDK, which raises its own exceptions; without its retries."""
    url = site.url + ask.base
    words = [{"role": "user", "content": "Hello"}]
    match protocol:
        case "anthropic":
            async with anthropic.AsyncAnthropic(base_url=url, api_key=ask.key, max_retries=0, timeout=20) as client:
                messages: Any = client.messages
                made = await messages.create(
                    model=ask.model, max_tokens=9, messages=words, stream=ask.stream, extra_headers=ask.headers
                )
                return [event async for event in made] if ask.stream else made
        case "gemini":
            options = types.HttpOptions(base_url=url, headers=ask.headers)
            client = genai.Client(api_key=ask.key, http_options=options)
            try:
                if ask.stream:
                    stream = await client.aio.models.generate_content_stream(model=ask.model, contents="Hello")
                    return [event async for event in stream]
                return await client.aio.models.generate_content(model=ask.model, contents="Hello")
            finally:
                await client.aio.aclose()
        case "ollama":
            header = {"authorization": f"Bearer {ask.key}", **ask.headers}
            async with ollama.AsyncClient(url, headers=header, timeout=20, trust_env=False) as client:
                made: Any = await client.chat(ask.model, words, stream=ask.stream)
                return [event async for event in made] if ask.stream else made
        case _:
            async with openai.AsyncOpenAI(
                base_url=url + "/v1", api_key=ask.key, max_retries=0, timeout=20, default_headers=ask.headers
            ) as client:
                every: Any = client
                if protocol == "openai_chat":
                    made = await every.chat.completions.create(model=ask.model, messages=words, stream=ask.stream)
                else:
                    made = await every.responses.create(model=ask.model, input="Hello", stream=ask.stream)
                return [event async for event in made] if ask.stream else made


class Row(Struct, frozen=True):
    """Status, code, and the vendors' types: Anthropic's, OpenAI's, Gemini's; the SDKs' exceptions."""

    status: int
    code: str
    anthropic: str
    openai: str
    gemini: str
    raises: str
    google: type[Exception] = google.ClientError
    param: str | None = None


INVALID = ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT")
UNKNOWN = ("authentication_error", "authentication_error", "UNAUTHENTICATED")
DENIED = ("permission_error", "permission_error", "PERMISSION_DENIED")
LIMITED = ("rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED")
AWAY = ("overloaded_error", "server_error", "UNAVAILABLE")
BROKEN = ("api_error", "api_error", "UNAVAILABLE")
SERVER = google.ServerError


def check(protocol: str, row: Row, raised: Exception) -> Any:
    """The exception is the SDK's own, and the body is the protocol's. Gives the answer, for its headers."""
    vendor: Any = anthropic if protocol == "anthropic" else openai
    if protocol == "ollama":
        return check_ollama(row, raised)
    if protocol == "gemini":
        assert type(raised) is row.google
        about: Any = raised
        assert (about.code, about.status) == (row.status, row.gemini)
        error = about.details["error"]
        assert error["details"] == [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": row.code.upper(), "domain": "poolgate"}
        ]
        assert error["message"]
        return about.response
    named = {"OverloadedError": "OverloadedError" if protocol == "anthropic" else "InternalServerError"}
    wanted = getattr(vendor, named.get(row.raises, row.raises), None) or getattr(vendor._exceptions, row.raises)
    assert isinstance(raised, wanted), (type(raised), raised)
    about = raised
    assert about.status_code == row.status
    body = about.response.json()
    if protocol == "anthropic":
        assert body["type"] == "error"
        assert (body["error"]["type"], body["error"]["code"]) == (row.anthropic, row.code)
        assert body["request_id"] == about.response.headers["request-id"] == about.response.headers["x-request-id"]
    else:
        assert (body["error"]["type"], body["error"]["code"]) == (row.openai, row.code)
        assert body["error"]["param"] == row.param
    assert body["error"]["message"]
    assert about.response.headers["content-type"] == "application/json"
    assert about.response.headers["x-request-id"].startswith("req_")
    return about.response


def check_ollama(row: Row, raised: Exception) -> Any:
    """Its errors are a sentence: the status alone says which."""
    assert isinstance(raised, ollama.ResponseError)
    assert raised.status_code == row.status
    cause: Any = raised.__context__
    answer = cause.response
    assert answer.json() == {"error": raised.error}
    assert raised.error
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    return answer


async def provoke(site: Site, protocol: str, ask: Ask, row: Row) -> Any:
    with pytest.raises(RAISED) as caught:
        await asked(site, protocol, ask)
    return check(protocol, row, caught.value)


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def accounts(site: Site) -> None:
    for platform in PLATFORMS.values():
        await site.account(platform, models=["sandbox*"])


numbers = itertools.count()
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


# ---------------------------------------------------------------- 401

BAD_KEYS = {
    "malformed": ("sk-nobody", "key_invalid"),
    "unknown": ("sk-" + "0" * 45 + "2Tgx9h", "key_invalid"),
}


@every_protocol
@pytest.mark.parametrize("name", BAD_KEYS)
async def test_bad_keys(site: Site, protocol: str, name: str) -> None:
    key, code = BAD_KEYS[name]
    await provoke(site, protocol, Ask(key), Row(401, code, *UNKNOWN, "AuthenticationError"))


@every_protocol
async def test_disabled_and_expired(site: Site, protocol: str) -> None:
    for fields, code in (
        ({"enabled": False}, "key_disabled"),
        ({"expires_at": datetime.now(UTC) - timedelta(minutes=1)}, "key_expired"),
    ):
        async with scene(site, protocol, **fields) as ask:
            await provoke(site, protocol, ask, Row(401, code, *UNKNOWN, "AuthenticationError"))


async def test_all_bad_keys_hear_the_same_words(site: Site) -> None:
    said: set[Any] = set()
    for key, _ in BAD_KEYS.values():
        got = await site.http.post("/v1/messages", headers={"x-api-key": key}, json={})
        said.add((got.status_code, got.json()["error"]["message"], got.json()["error"]["code"]))
    assert len(said) == 1


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/models", "/v1/key"])
async def test_no_key(site: Site, path: str) -> None:
    how = "GET" if path in {"/v1/models", "/v1/key"} else "POST"
    got = await site.http.request(how, path)
    assert (got.status_code, got.json()["error"]["code"]) == (401, "key_missing")


# ---------------------------------------------------------------- 403

DENIALS: dict[str, tuple[dict[str, Any], Callable[[Ask], None], str, str | None]] = {
    "platform": ({"platforms": ["claude-ccr"]}, lambda ask: None, "platform_forbidden", "model"),
    "model": ({"models": ["other-*"]}, lambda ask: None, "model_forbidden", "model"),
    "a model that is not there": (
        {"models": ["other-*"]},
        lambda ask: setattr(ask, "model", "nothing"),
        "model_forbidden",
        "model",
    ),
    "group": ({"groups": []}, lambda ask: setattr(ask, "base", "/team"), "group_forbidden", None),
    "address": ({"allowed_ips": ["10.0.0.0/8"]}, lambda ask: None, "ip_forbidden", None),
    "client": ({"allowed_clients": ["curl/*"]}, lambda ask: None, "client_forbidden", None),
}


@every_protocol
@pytest.mark.parametrize("name", DENIALS)
async def test_denials(site: Site, protocol: str, name: str) -> None:
    fields, change, code, param = DENIALS[name]
    async with scene(site, protocol, **fields) as ask:
        change(ask)
        await provoke(site, protocol, ask, Row(403, code, *DENIED, "PermissionDeniedError", param=param))


# ---------------------------------------------------------------- 400, 404, 413, 415


@every_protocol
async def test_unknown_prefix(site: Site, protocol: str) -> None:
    async with scene(site, protocol) as ask:
        ask.model = "nowhere,sandbox"
        row = Row(400, "invalid_model", *INVALID, "BadRequestError", param="model")
        await provoke(site, protocol, ask, row)


@every_protocol
async def test_nobody_serves_it(site: Site, protocol: str) -> None:
    names = ("not_found_error", "invalid_request_error", "NOT_FOUND")
    async with scene(site, protocol) as ask:
        ask.model = "nobodys-model"
        await provoke(site, protocol, ask, Row(404, "model_not_found", *names, "NotFoundError", param="model"))


@every_protocol
async def test_unknown_group(site: Site, protocol: str) -> None:
    names = ("not_found_error", "invalid_request_error", "NOT_FOUND")
    async with scene(site, protocol) as ask:
        ask.base = "/nobodys-group"
        await provoke(site, protocol, ask, Row(404, "not_found", *names, "NotFoundError"))


@every_protocol
async def test_a_compressed_body(site: Site, protocol: str) -> None:
    async with scene(site, protocol) as ask:
        ask.headers = {"content-encoding": "gzip"}
        await provoke(site, protocol, ask, Row(415, "unsupported_encoding", *INVALID, "APIStatusError"))


# ---------------------------------------------------------------- 429

WAITS = {
    "seconds": ({"type": "requests", "per": {"rolling": "30s"}, "max": 1}, "rate_limited", True),
    "rolling": ({"type": "requests", "per": {"rolling": "5h"}, "max": 1}, "rate_limited", False),
}


@every_protocol
@pytest.mark.parametrize("name", WAITS)
async def test_limits(site: Site, protocol: str, name: str) -> None:
    limit, code, soon = WAITS[name]
    async with scene(site, protocol, limits=[limit]) as ask:
        await asked(site, protocol, ask)
        answer = await provoke(site, protocol, ask, Row(429, code, *LIMITED, "RateLimitError"))
    wait = answer.headers["retry-after"]
    assert wait.isdigit()
    assert int(wait) >= 1
    assert (int(wait) <= 60, answer.headers.get("x-should-retry")) == ((True, None) if soon else (False, "false"))


@every_protocol
async def test_concurrency(site: Site, protocol: str) -> None:
    async with scene(site, protocol, limits=[{"type": "concurrency", "max": 1}]) as ask:
        slow = Ask(ask.key, f"sandbox-stall-2-{next(numbers)}")
        running = asyncio.ensure_future(asked(site, protocol, slow))
        async with asyncio.timeout(3):
            while not any(one.route.model == slow.model for one in site.gate.exchanges.values()):
                await asyncio.sleep(0.01)
        answer = await provoke(site, protocol, ask, Row(429, "concurrency_limited", *LIMITED, "RateLimitError"))
        assert answer.headers["retry-after"] == "1"
        assert "x-should-retry" not in answer.headers
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_the_sdks_obey_not_to_retry(site: Site) -> None:
    for protocol in ("anthropic", "openai_chat"):
        sent: list[object] = []

        async def count(request: object, sent: list[object] = sent) -> None:
            sent.append(request)

        client: Any = anthropic.DefaultAsyncHttpxClient if protocol == "anthropic" else openai.DefaultAsyncHttpxClient

        async with (
            scene(site, protocol, limits=[{"type": "requests", "per": "total", "max": 0}]) as ask,
            client(event_hooks={"request": [count]}, trust_env=False) as http,
        ):
            known: Any = {"api_key": ask.key, "max_retries": 3, "http_client": http}
            with pytest.raises((anthropic.RateLimitError, openai.RateLimitError)):
                if protocol == "anthropic":
                    await anthropic.AsyncAnthropic(base_url=site.url, **known).messages.create(
                        model=GOOD, max_tokens=1, messages=[{"role": "user", "content": "x"}]
                    )
                else:
                    await openai.AsyncOpenAI(base_url=site.url + "/v1", **known).embeddings.create(
                        model=GOOD, input="x"
                    )
            assert len(sent) == 1


# ---------------------------------------------------------------- 502, 503, 504


async def alone(site: Site, protocol: str, **fields: Any) -> Ask:
    """A key bound to an account of its own."""
    account = await site.account(PLATFORMS[protocol], models=["*"], **fields)
    return Ask(await site.key(account_id=account))


FAILURES: dict[str, tuple[str, Row]] = {
    "a fault": ("sandbox-error-500", Row(502, "upstream_error", *BROKEN, "InternalServerError", SERVER)),
    "a dropped connection": ("sandbox-drop", Row(502, "upstream_error", *BROKEN, "InternalServerError", SERVER)),
    "a refused account": (
        "sandbox-error-401",
        Row(502, "upstream_auth_failed", *BROKEN, "InternalServerError", SERVER),
    ),
    "a forbidden account": (
        "sandbox-error-403",
        Row(502, "upstream_auth_failed", *BROKEN, "InternalServerError", SERVER),
    ),
    "a rate limit": ("sandbox-error-429-retry-after-77", Row(503, "no_account", *AWAY, "InternalServerError", SERVER)),
    "an overload": ("sandbox-error-503", Row(503, "no_account", *AWAY, "InternalServerError", SERVER)),
    "no money": ("sandbox-error-429-quota", Row(503, "no_account", *AWAY, "InternalServerError", SERVER)),
}


@every_protocol
@pytest.mark.parametrize("name", FAILURES)
async def test_failures_of_the_upstream(site: Site, protocol: str, name: str) -> None:
    model, row = FAILURES[name]
    ask = await alone(site, protocol)
    ask.model = model
    answer = await provoke(site, protocol, ask, row)
    if name == "a rate limit":
        assert 70 <= int(answer.headers["retry-after"]) <= 77
    assert "sandbox" not in str(answer.headers).lower()


@every_protocol
async def test_a_silent_upstream(site: Site, protocol: str) -> None:
    ask = await alone(site, protocol, timeouts={"connect": 1, "first_event": 1, "stream_idle": 1, "total": 1})
    ask.model = "sandbox-stall-5"
    names = ("timeout_error", "timeout_error", "DEADLINE_EXCEEDED")
    await provoke(site, protocol, ask, Row(504, "upstream_timeout", *names, "InternalServerError", SERVER))


@every_protocol
async def test_every_slot_taken(site: Site, protocol: str) -> None:
    ask = await alone(site, protocol, max_concurrency=1)
    slow = Ask(ask.key, f"sandbox-stall-2-{next(numbers)}")
    running = asyncio.ensure_future(asked(site, protocol, slow))
    async with asyncio.timeout(3):
        while not any(one.route.model == slow.model for one in site.gate.exchanges.values()):
            await asyncio.sleep(0.01)
    answer = await provoke(site, protocol, ask, Row(503, "overloaded", *AWAY, "InternalServerError", SERVER))
    assert answer.headers["retry-after"] == "1"
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@every_protocol
async def test_draining(site: Site, protocol: str) -> None:
    async with scene(site, protocol) as ask:
        site.gate.draining = True
        try:
            answer = await provoke(site, protocol, ask, Row(503, "draining", *AWAY, "InternalServerError", SERVER))
        finally:
            site.gate.draining = False
        assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "1")


@every_protocol
async def test_our_own_fault(site: Site, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr("gateway.relay.pipeline.choose", broken)
    names = ("api_error", "api_error", "INTERNAL")
    async with scene(site, protocol) as ask:
        answer = await provoke(site, protocol, ask, Row(500, "internal", *names, "InternalServerError", SERVER))
    assert "secret of the house" not in str(getattr(answer, "text", ""))


# ---------------------------------------------------------------- the request's own fault, and streams


@every_protocol
@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_the_requests_own_fault_passes_unchanged(site: Site, protocol: str, status: int) -> None:
    ask = await alone(site, protocol)
    ask.model = f"sandbox-error-{status}"
    with pytest.raises(RAISED) as caught:
        await asked(site, protocol, ask)
    about: Any = caught.value
    assert (about.code if protocol == "gemini" else about.status_code) == status
    told = about.details if protocol == "gemini" else about.error if protocol == "ollama" else about.response.text
    told = str(told)
    assert "poolgate" not in told
    assert '"code":"invalid_request"' not in told


@every_protocol
@pytest.mark.parametrize("cut", ["cut-3", "stall-after-3-4"])
async def test_a_stream_that_breaks(site: Site, protocol: str, cut: str) -> None:
    """After the first byte: the SDK raises in the midst of its stream."""
    ask = await alone(site, protocol, timeouts={"connect": 1, "first_event": 3, "stream_idle": 1, "total": 9})
    ask.model, ask.stream = f"sandbox-tokens-30-{cut}", True
    if protocol == "openai_responses":
        events = await asked(site, protocol, ask)
        assert events[-1].type == "response.failed"
        assert events[-1].response.error.code
        return
    with pytest.raises(RAISED) as caught:
        await asked(site, protocol, ask)
    about: Any = caught.value
    if protocol == "ollama":
        said = "The upstream stopped sending." if "stall" in cut else "The upstream's answer was cut off."
        assert (about.error, about.status_code) == (said, -1)
        return
    code = "upstream_timeout" if "stall" in cut else "upstream_error"
    assert code in str(about.details if protocol == "gemini" else about.body).lower()
