"""Models of other makers on Bedrock, by Converse: what five vendors' clients are told, what Bedrock billed and what the
ledger says are the same."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from gateway.core import models as m
from gateway.local.sandbox import Row
from gateway.local.sandbox.bedrock import KNOWN_KEYS, SECRET, event
from gateway.platforms import PLATFORMS
from gateway.upstream import probe
from tests.conformance.converse import NAMES, Asked, Client, client_of
from tests.conformance.upstream import Told, Upstream
from tests.support.installation import Site

KEYS = {"access_key_id": f"{KNOWN_KEYS}2", "secret_access_key": SECRET}
REGION = {"region": "us-east-1"}
#: The client's names, and AWS'.
MODELS = {
    "echo": "us.amazon.nova-pro-sandbox-echo-v1:0",
    "tool": "us.amazon.nova-pro-sandbox-tool-v1:0",
    "think": "amazon.nova-2-lite-sandbox-tokens-9-think-4-v1:0",
    "length": "meta.llama3-sandbox-tokens-6-length-v1:0",
    "refuse": "mistral.mistral-large-sandbox-refuse-v1:0",
    "cached": "us.amazon.nova-lite-sandbox-echo-cached-70-wrote-20-wrote-1h-5-v1:0",
    "profile": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama4-sandbox-echo",
    "claude": "us.anthropic.claude-sonnet-sandbox-echo-v1:0",
}
#: By client: the end, the limit, a call, and what the model would not say.
STOPS = {
    "anthropic": ("end_turn", "max_tokens", "tool_use", "refusal"),
    "chat": ("stop", "length", "tool_calls", "content_filter"),
    "responses": ("completed", "max_output_tokens", "completed", "content_filter"),
    "google": ("STOP", "MAX_TOKENS", "STOP", "SAFETY"),
    "ollama": ("stop", "length", "stop", "stop"),
}
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def key(site: Site) -> str:
    account = await site.account("bedrock", credentials=KEYS, options=REGION, models=["none"], model_map=MODELS)
    return await site.key(account_id=account)


@pytest_asyncio.fixture(params=NAMES)
async def client(site: Site, key: str, request: Any) -> AsyncGenerator[Client]:
    site.sandbox.bill().clear()
    async with client_of(request.param, site.url, key) as made:
        yield made


def tokens(row: Row | m.Request) -> tuple[int, ...]:
    caches = (row.cache_read_tokens, row.cache_write_5m_tokens, row.cache_write_1h_tokens)
    return (row.input_tokens, *caches, row.output_tokens)


async def settled(site: Site, client: Client) -> Row:
    """The last request's row of the bill, which the ledger's is the same as."""
    billed = site.sandbox.bill().rows[-1]
    row = await site.row(client.ids[-1])
    assert tokens(row) == tokens(billed)
    assert (row.usage_source, row.ending, row.platform, row.model_used) == (
        "provider", "complete", "bedrock", billed.model,
    )  # fmt: skip
    return billed


async def asked(site: Site, client: Client, stream: bool, ask: Asked) -> Any:
    """What the client was told, its figures those of the bill."""
    said = await client.ask(ask, stream)
    billed = await settled(site, client)
    assert (billed.protocol, billed.stream, billed.model) == ("bedrock-converse", stream, MODELS[ask.model])
    read, wrote = billed.cache_read_tokens, billed.cache_write_5m_tokens + billed.cache_write_1h_tokens
    assert (said.input, said.output) == (billed.input_tokens + read + wrote, billed.output_tokens)
    assert said.cached == (0 if client.name == "ollama" else read)  # it has no word for it
    return said


@ways
@pytest.mark.parametrize("model", ["echo", "profile"])
async def test_text(site: Site, client: Client, stream: bool, model: str) -> None:
    said = await asked(site, client, stream, Asked(model))
    assert (said.text, said.stop, said.call, said.thinking) == ("one two thrée", STOPS[client.name][0], None, "")
    request = site.sandbox.requests()[-1]
    name = MODELS[model].replace(":", "%3A").replace("/", "%2F")
    assert request.target == f"/model/{name}/{'converse-stream' if stream else 'converse'}"
    assert {name for name, _ in request.headers} <= {
        "host", "user-agent", "content-type", "content-length", "accept", "accept-encoding", "x-amz-date",
        "authorization", "traceparent", "connection",
    }  # fmt: skip


@ways
async def test_a_call_and_its_result(site: Site, client: Client, stream: bool) -> None:
    said = await asked(site, client, stream, Asked("tool", tools=True))
    assert (said.text, said.stop) == ("", STOPS[client.name][2])
    assert (said.call.name, said.call.arguments) == ("weather", {"city": "sandbox"})
    second = await asked(site, client, stream, Asked("tool", tools=True, called=said.call, result="sunny"))
    assert (second.text, second.stop, second.call) == ("The tool answered: sunny", STOPS[client.name][0], None)


@ways
async def test_thinking(site: Site, client: Client, stream: bool) -> None:
    said = await asked(site, client, stream, Asked("think", think=True))
    assert (said.thinking, said.text) == ("Let me think about", "the relay passes every byte")
    assert said.output == 9


@ways
@pytest.mark.parametrize(("model", "at", "text"), [
    ("length", 1, "the relay passes every byte on"), ("refuse", 3, "I can't help with that request."),
])  # fmt: skip
async def test_other_ends(site: Site, client: Client, stream: bool, model: str, at: int, text: str) -> None:
    said = await asked(site, client, stream, Asked(model))
    assert (said.text, said.stop) == (text, STOPS[client.name][at])


@ways
async def test_caches(site: Site, client: Client, stream: bool) -> None:
    await asked(site, client, stream, Asked("cached"))
    assert tokens(site.sandbox.bill().rows[-1])[1:4] == (70, 20, 5)


@ways
async def test_claude_beside_them_is_asked_in_its_own_protocol(site: Site, client: Client, stream: bool) -> None:
    assert (await client.ask(Asked("claude"), stream)).text == "one two thrée"
    assert (await settled(site, client)).protocol == "bedrock"


# ---------------------------------------------------------------- errors


async def alone(site: Site, script: str, **fields: Any) -> tuple[str, str]:
    """(key, account) of an account whose model `m` has this script."""
    names = {"m": f"amazon.nova-pro-sandbox-tokens-30-{script}"}
    account = await site.account(
        "bedrock", credentials=KEYS, options=REGION, **{"models": ["none"], "model_map": names, **fields}
    )
    return await site.key(account_id=account), account


@ways
@pytest.mark.parametrize("name", NAMES)
async def test_the_callers_own_fault_comes_in_bedrocks_words(site: Site, name: str, stream: bool) -> None:
    key, account = await alone(site, "error-400")
    async with client_of(name, site.url, key) as client:
        with pytest.raises(client.fault) as refused:
            await client.ask(Asked("m"), stream)
        row = await site.row(client.ids[-1])
    error: Any = refused.value
    body = getattr(error, "body", None) or getattr(error, "details", None) or {"message": getattr(error, "error", "")}
    said = body.get("error", body)
    assert said["message"] == "Malformed input request, please reformat your input and try again."
    assert getattr(error, "status_code", None) == 400 or error.code == 400
    assert (row.status, row.usage_source, tokens(row)) == (400, "none", (0, 0, 0, 0, 0))
    assert site.gate.states.scopes(account) == {}


@ways
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("script", ["first-error-429", "error-429"])
async def test_one_that_is_throttled_is_left_for_another(site: Site, name: str, stream: bool, script: str) -> None:
    model = f"spare-{name}-{stream}-{script}"
    _, first = await alone(site, script, model_map={model: f"amazon.nova-pro-sandbox-{script}"})
    _, second = await alone(site, "echo", model_map={model: MODELS["echo"]}, priority=99)
    async with client_of(name, site.url, await site.key(models=[model])) as client:
        said = await client.ask(Asked(model), stream)
        row = await site.row(client.ids[-1])
    assert (said.text, row.account_id) == ("one two thrée", second)
    assert [(one["account_id"], one["outcome"]) for one in row.attempts] == [(first, "overloaded"), (second, "ok")]
    assert tokens(row) == tokens(site.sandbox.bill().rows[-1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("script", "words"),
    [("late-error-500", "The service is unavailable."), ("cut-4", "The upstream's answer was cut off.")],
)
async def test_a_stream_that_breaks_is_an_error_and_never_an_end(
    site: Site, name: str, script: str, words: str
) -> None:
    key, _ = await alone(site, script)
    async with client_of(name, site.url, key) as client:
        with pytest.raises(client.fault, match=words):
            await client.ask(Asked("m"), True)
        row = await site.row(client.ids[-1])
    assert (row.ending, row.status, row.usage_source) == ("upstream_error", 200, "estimated")
    assert row.input_tokens > 0
    assert 0 < row.output_tokens < 30


@pytest.mark.parametrize("name", NAMES)
async def test_an_output_that_cannot_be_used_is_an_error(site: Site, told: Upstream, name: str) -> None:
    """Bedrock bills it all the same."""
    figures = {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}
    said: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hm"}}),
        ("messageStop", {"stopReason": "malformed_tool_use"}),
        ("metadata", {"usage": figures, "metrics": {"latencyMs": 1}}),
    ]
    frames = [event(kind, payload) for kind, payload in said]
    model = told.tell(Told(200, "application/vnd.amazon.eventstream", frames))
    account = await site.account("bedrock", credentials=KEYS, options=REGION, base_url=told.url, models=["answer-*"])
    async with client_of(name, site.url, await site.key(account_id=account)) as client:
        with pytest.raises(client.fault, match="malformed_tool_use"):
            await client.ask(Asked(model), True)
        row = await site.row(client.ids[-1])
    assert (row.ending, row.usage_source) == ("upstream_error", "provider")
    assert (row.input_tokens, row.output_tokens) == (7, 5)


async def test_a_probe_asks_as_the_relay_does(site: Site, key: str) -> None:
    [account] = [one for one in site.gate.snapshot.accounts.values() if one.model_map == MODELS]
    for name, protocol in (("echo", "bedrock-converse"), ("claude", "bedrock")):
        site.sandbox.bill().clear()
        probed = await probe.run(site.gate.upstream, PLATFORMS["bedrock"], account, name)
        assert probed.ok, probed.words
        [billed] = site.sandbox.bill().rows
        assert (billed.protocol, billed.output_tokens) == (protocol, 1)
        assert json.loads(probed.body)["usage"]
