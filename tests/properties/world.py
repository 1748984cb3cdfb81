"""The rules of permission, written anew from the contract, and worlds to hold the gateway against them.

Nothing here asks the gateway what a key may do: accounts are judged by this file's own few lines (and names read by
those of `naming`), so that a mistake in the gateway's predicate is not a mistake of its test too.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from msgspec import Struct

from gateway.core.domain import Account, Caller, Limit, Proxy
from gateway.core.groups import Alias, Group, Target
from gateway.core.secret import Secret
from gateway.core.state import FOR_EVER, State
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech
from gateway.platforms.target import speech
from gateway.protocols.codec import Endpoint
from tests.properties.naming import ALL, Groups, Way, fits_any, platforms_given

NOW = 1_700_000_000.0
MINE, FOREIGN = "ten_mine", "ten_foreign"

# ---------------------------------------------------------------- the contract, restated


def given_to(caller: Caller, account: Account) -> bool:
    """Whether the key was given this account at all, whatever it asks for."""
    return (
        account.tenant_id == caller.tenant_id
        and account.platform in platforms_given(caller.platforms)
        and caller.account_id in {None, "", account.id}
        and (not caller.pools or any(pool in account.pools for pool in caller.pools))
    )


def asked_of(account: Account, way: Way) -> bool:
    """Whether this way may lead to the account."""
    return (
        account.platform in way.platforms
        and way.provider in {"", account.provider}
        and (not way.pool or way.pool in account.pools)
        and way.account in {"", account.id}
        and (way.explicit or not account.explicit_only)
        and (way.model in account.model_map or _serves(account, way.model))
    )


def _serves(account: Account, model: str) -> bool:
    """A sentence is no name, unless the operator says so: what upstreams repeat of it must not sound like their own."""
    return model in account.models if " " in model else fits_any(model, account.models)


def family(model: str) -> str:
    """Claude's opus, sonnet, haiku by name; otherwise the model."""
    low = model.lower()
    return next((word for word in ("opus", "sonnet", "haiku") if "claude" in low and word in low), low)


def can_serve(account: Account, model: str, endpoint: Endpoint, stream: bool) -> bool:
    """Whether its platform does this kind of thing in any protocol: the rest is translation's. Tokens are counted for
    whom it can answer. Who asks for a stream of what comes in one piece is not translated."""
    platform, own = PLATFORMS[account.platform], (endpoint.protocol, endpoint.action or endpoint.operation)
    kinds = {endpoint.operation, "generate"} if endpoint.operation == "count" else {endpoint.operation}
    streams = stream and endpoint.operation == "generate"
    return any(
        speech(platform, account, model, *asked, streams) is not Speech.NONE
        for asked in _ASKED
        for kind in kinds
        if _KINDS.get(asked[1], asked[1]) == kind and (asked == own or kind == "generate" or not stream)
    )


_KINDS = {
    "batchEmbedContents": "embed",
    "chat": "generate",
    "converse": "generate",
    "countTokens": "count",
    "embedContent": "embed",
    "embeddings": "embed",
    "generateContent": "generate",
    "streamGenerateContent": "generate",
}
#: All that any of them serves: Claude on Vertex is asked in Anthropic's protocol.
_ASKED = frozenset[tuple[str, str]]().union(*(platform.serves for platform in PLATFORMS.values()))


def is_up(account: Account, model: str, states: Mapping[tuple[str, str], State], now: float, *, bound: bool) -> bool:
    """On, in time, not draining, and under no state of its own or of its way out that keeps it from everybody.
    `model`: its upstream's name."""
    if not account.enabled or (account.expires_at is not None and account.expires_at <= now):
        return False
    if account.draining and not bound:
        return False
    own = [states.get((account.id, scope)) for scope in ("account", f"family:{family(model)}", f"model:{model}")]
    if any(one is not None and one.until > now and not one.soft for one in own):
        return False
    out = states.get((account.proxy.id, "account")) if account.proxy else None
    return out is None or out.until <= now


# ---------------------------------------------------------------- generated worlds

MODELS = (
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    "Claude-Opus-4-1",
    "CLAUDE-haiku-4-5",
    "anthropic/claude-haiku-4.5",
    "us.anthropic.claude-opus-4-1-v1:0",
    "claude-sonnet-4-5@20250929",
    "gpt-5",
    "gpt-5 ",
    "GPT-5",
    "gemini-2.5-pro",
    "gemma3:12b",
    "text-embedding-3",
    "deep:seek:r1",
    "tunedModels/m/x",
    "models/x",
    "*",
    "?pt-5",
    "claude-*",
    "[cg]*",
    "[a-z]",
    "a/b/c:d",
    "модель-ё",
    "名前",
    "x,y",
    "..",
    "gpt-5\u200b",
    "gpt-5\n",
    "😀",
)
PATTERNS = (
    "*",
    "claude-*",
    "claude-opus-*",
    "*opus*",
    "*haiku*",
    "gpt-*",
    "gpt-?",
    "?pt-5",
    "[cg]*",
    "gem*",
    "text-*",
    "*:*",
    "*/*",
    "модель-*",
    "claude-sonnet-4-5",
    "gpt-5",
    "gpt-5 ",
    "gemma3:12b",
    "deep",
)
TARGETS = (
    "claude-opus-4-1",
    "claude-sonnet-4-5",
    "prod-deployment",
    "us.anthropic.claude-haiku-4-5-v1:0",
    "gpt-5-mini",
)
SLUGS = ("", "deepseek", "openrouter", "gemini", "Zed")
POOLS = ("pool_a", "pool_b", "pool_c")
LEFTS = (
    *sorted(ALL) * 2,
    "claude",
    "openai",
    "gemini",
    "ccr",
    "CCR",
    "Claude",
    "OPENAI",
    "Bedrock",
    "azure",
    "",
    "deep",
    *SLUGS,
)
SEGMENTS = (*("",) * 5, "claude", "openai", "gemini", "switch", *("team",) * 3, "default", "secret", "Claude", "OPENAI")
GROUPS = ("default", "team", "secret", "claude", "openai", "claude-sonnet-4-5", "gpt-5", "Claude")
ALIASES = (
    "fast",
    "smart",
    "*",
    "fa*",
    "gpt-?",
    "claude-*",
    "gpt-5",
    "[cg]*",
    "x,y",
    "openai:gpt-5",
    "deepseek:*",
    "?ast",
)
_KEY = Secret("sk-upstream")
_CREDENTIALS: Mapping[str, Sequence[tuple[Mapping[str, Secret], Mapping[str, Any]]]] = {
    "bedrock": (
        ({"access_key_id": _KEY, "secret_access_key": _KEY}, {"region": "us-east-1"}),
        ({"bearer_token": _KEY}, {"region": "us-east-1"}),
        ({}, {"region": "us-east-1"}),
    ),
    "gemini": (({"api_key": _KEY}, {}), ({"service_account": _KEY}, {"project": "p", "location": "global"})),
    "openai-responses": (({"api_key": _KEY}, {}), ({"access_token": _KEY}, {"account_id": "a"})),
    "azure-openai": (({"api_key": _KEY}, {"api_version": "2024-10-21"}), ({"api_key": _KEY}, {"api_version": "v1"})),
}
_MAPS = (
    {},
    {},
    *({asked: TARGETS[at % 5]} for at, asked in enumerate(MODELS)),
    dict(zip(MODELS, TARGETS, strict=False)),
)
_PROXIES = (None, None, Proxy("prx_1", "http", "h", 1), Proxy("prx_2", "socks5h", "h", 1))
_STATES = (
    State("rate_limited", NOW + 60, NOW - 1),
    State("disabled", FOR_EVER, NOW - 1),
    State("overloaded", NOW + 30, NOW - 1, status=529, soft=True),
    State("overloaded", NOW - 1, NOW - 60),
    State("breaker", NOW + 5, NOW - 25, faults=5),
    State("breaker", NOW - 5, NOW - 35, faults=5),
)


@cache
def some(values: Sequence[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    """Nothing, each alone, and a hundred mixtures. One draw: there are many in a world."""
    seeded = Random(most)
    mixed = [tuple(seeded.sample(values, seeded.randint(2, most))) for _ in range(100)]
    return st.sampled_from([(), *((one,) for one in values), *mixed])


_EVERY, _NOTHING = st.just(("*",)), st.just(())


@st.composite
def accounts(draw: st.DrawFn, number: int) -> Account:
    platform = draw(st.sampled_from((*sorted(PLATFORMS), "claude-console", "ollama", "openai", "openai")))
    credentials, options = draw(st.sampled_from(_CREDENTIALS.get(platform, (({"api_key": _KEY}, {}),))))
    limited = draw(st.booleans())
    return Account(
        id=f"acct_{number}",
        tenant_id=draw(st.sampled_from((MINE, MINE, MINE, FOREIGN))),
        name=f"a{number}",
        platform=platform,
        base_url="https://upstream.example",
        credentials=credentials,
        options=options,
        provider=draw(st.sampled_from(SLUGS)) or platform,
        models=draw(st.one_of(_EVERY, _EVERY, some(PATTERNS))),
        model_map=draw(st.sampled_from(_MAPS)),
        pools=draw(some(POOLS, 2)),
        priority=draw(st.sampled_from((1, 50, 100))),
        weight=draw(st.sampled_from((0, 1, 5))),
        max_concurrency=draw(st.sampled_from((None, 1, 9))),
        enabled=draw(st.integers(0, 9)) > 0,
        explicit_only=draw(st.integers(0, 5)) == 0,
        expires_at=draw(st.sampled_from((*(None,) * 9, NOW, NOW + 1, NOW - 1))),
        created_at=float(number),
        limits=(Limit("concurrency", 1, scope="account", owner=f"acct_{number}"),) if limited else (),
        draining=draw(st.integers(0, 9)) == 0,
        proxy=draw(st.sampled_from(_PROXIES)),
    )


@st.composite
def callers(draw: st.DrawFn, known: int) -> Caller:
    """Of the one tenant. `known`: how many accounts there are to be bound to."""
    one = st.integers(0, known).map(lambda number: f"acct_{number}")
    return Caller(
        key_id=draw(st.sampled_from(("key_1", "key_2"))),
        tenant_id=MINE,
        name="",
        platforms=draw(st.one_of(_EVERY, _EVERY, some(LEFTS))),
        models=draw(st.one_of(_EVERY, some(PATTERNS))),
        groups=draw(st.sampled_from((*(("*",),) * 5, (), ("team",), ("t*", "claude"), ("default", "?ecret")))),
        pools=draw(st.one_of(_NOTHING, some(POOLS, 2))),
        account_id=draw(st.one_of(*(st.none(),) * 5, one)),
    )


@st.composite
def groups(draw: st.DrawFn, known: int) -> Groups:
    """Of the one tenant. One draw: there are many in a world."""
    random = Random(draw(st.integers(0, 1 << 30)))
    made: list[Group] = []
    for name in random.sample(GROUPS, random.choice((0, 4, 6, 8))):
        matches = random.sample(ALIASES, random.choice((0, 4, 8, 12)))
        aliases = tuple(Alias(match, _targets(random, known)) for match in matches)
        made.append(Group(f"grp_{name}", MINE, name, random.random() < 0.85, aliases))
    return Groups(made, random.choice(("", *(one.name for one in made))))


def _targets(random: Random, known: int) -> tuple[Target, ...]:
    places: Sequence[dict[str, str]] = (
        *({},) * 3,
        {"platform": random.choice((*sorted(ALL), "claude", "openai", "gemini", "ccr"))},
        {"provider": random.choice(("deepseek", "openrouter", "openai", "gone"))},
        *({"pool_id": random.choice((*POOLS, "pool_gone"))} for _ in range(2)),
        {"account_id": f"acct_{random.randint(0, known)}"},
    )
    return tuple(
        Target(random.choice(MEANT), weight=random.randint(1, 9), **random.choice(places))
        for _ in range(random.choice((1, 1, 2, 3)))
    )


_FORMS = (
    *("{b}",) * 14, *("{l},{b}",) * 3, *("{l}:{b}",) * 3, " {l} , {b} ", "models/{b}", "models/{l},{b}",
    "{l},models/{b}", "{l}:models/{b}", "{l},{l}:{b}", "{l}:{l}:{b}", "{l},{l},{b}", "models/models/{b}",
    "{l}@{b}", "{l}/{b}", *("{g}@{b}",) * 3, "models/{g}@{b}", "{g}@{l},{b}", "{g}@{l}:{b}", "{g}@models/{b}",
    "{g}@{g}@{b}",
)  # fmt: skip


MEANT = (*MODELS, *("claude-sonnet-4-5", "gpt-5") * 20)
_LIKELY = (*MODELS, *("claude-sonnet-4-5", "claude-opus-4-1", "gpt-5", "gemma3:12b") * 6, *("fast", "smart") * 20)


@st.composite
def names(draw: st.DrawFn) -> str:
    """A model's name in every form that clients write, and in forms that only attackers do."""
    bare, left = draw(st.sampled_from(_LIKELY)), draw(st.sampled_from(LEFTS))
    form = draw(st.sampled_from(_FORMS))
    return form.format(b=bare, l=left, g=draw(st.sampled_from(GROUPS)) if "{g}" in form else "")


@st.composite
def states(draw: st.DrawFn, known: int) -> dict[tuple[str, str], State]:
    """By account (or proxy) and scope."""
    scopes = ("account", *(f"family:{word}" for word in ("opus", "sonnet", "haiku", "gpt-5", "prod-deployment")))
    scopes += tuple(f"model:{model}" for model in (*TARGETS, *MODELS[:10]))
    owner = st.one_of(st.integers(0, known).map(lambda number: f"acct_{number}"), st.sampled_from(("prx_1", "prx_2")))
    found = draw(st.lists(st.tuples(owner, st.sampled_from(scopes), st.sampled_from(_STATES)), max_size=4))
    return {(who, "account" if who.startswith("prx") else scope): state for who, scope, state in found}


class Request(Struct, frozen=True):
    """What a client sends. `group`: what stands for it in the path, "" for nothing."""

    path: str
    body: bytes
    headers: Mapping[bytes, bytes]
    group: str
    bound: bool
    """It names a session, a response, or holds encrypted reasoning: an account that drains may know it."""


_PATHS = (
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/responses",
)
_IN_PATH = (
    "/v1beta/models/{m}:generateContent",
    "/v1/models/{m}:streamGenerateContent",
    "/v1beta/models/{m}/countTokens",
    "/v1beta/models/{m}:embedContent",
)
_AZURE = "/openai/deployments/{m}/chat/completions"


@st.composite
def requests(draw: st.DrawFn, written: str) -> Request:
    path = draw(st.sampled_from((*_PATHS, *_PATHS, *_IN_PATH, _AZURE, "/gemini/v1/chat")))
    group = draw(st.sampled_from(SEGMENTS))
    prefix = (f"/{group}" if group else "") + draw(st.sampled_from(("", "", "/compat_mode", "/compat")))
    body: dict[str, Any] = {"contents": []} if "v1beta" in path or "/v1/models" in path else {"messages": []}
    if path == "/gemini/v1/chat" or path == _AZURE:
        prefix, group = "", path.split("/")[1]
    if "{m}" in path:
        path = path.replace("{m}", quote(written, safe=""))
    else:
        body["model"] = written
    if draw(st.booleans()):
        body["stream"] = True
    headers, bound = {}, False
    match draw(st.sampled_from(("", "", "header", "body", "response"))):
        case "header":
            headers, bound = {b"x-session-id": b"s-1"}, True
        case "body" if "contents" not in body:
            body["prompt_cache_key"], bound = "s-2", True
        case "response" if path == "/v1/responses":
            body["previous_response_id"], bound = "resp_other", True
        case _:
            pass
    return Request(prefix + path, json.dumps(body).encode(), headers, group, bound)


def printable(text: str) -> bool:
    return not re.search(r"[\x00-\x1f\x7f\u200b]", text)
