"""Caller + path + model → Route: what is asked for, and that the key may ask for it. Pure.

Permission comes before existence: what a key may not use is 403 whether it exists or not.
"""

import fnmatch
from collections.abc import Collection, Sequence
from functools import lru_cache

from msgspec import Struct

from gateway.core.domain import FAMILIES, Caller, Limit
from gateway.core.errors import Forbidden, InvalidRequest, NotFound
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Endpoint, Peek
from gateway.routing.call import Call

#: These also stand for the empty prefix: every protocol works below each of them.
PLAIN_PREFIXES = frozenset({"claude", "openai", "gemini"})
EVERY = frozenset(PLATFORMS)
#: Characters of a model's name. Names are kept in caches and in the ledger, and anybody may send one.
LONGEST_NAME = 512
#: Of clients that name their session, in the order in which they are looked for.
SESSION_HEADERS = (
    b"x-claude-code-session-id",
    b"session-id",
    b"session_id",
    b"thread-id",
    b"conversation_id",
    b"x-session-id",
    b"x-session-affinity",
)


class Route(Struct, frozen=True):
    """`model` is the client's name for it, prefixes removed; `platforms` are those both asked for and allowed."""

    caller: Caller
    endpoint: Endpoint
    model: str
    platforms: frozenset[str]
    asked_platforms: frozenset[str]
    provider: str | None = None
    explicit: bool = False
    """A platform was named: accounts that are only used when asked for may be used."""
    stream: bool = False
    session: str | None = None
    previous_response_id: str | None = None
    """Known to one account alone: the request goes there, or nowhere."""
    reasoning: str | None = None
    """The digest of encrypted reasoning in the request, which one organisation alone can read: it is preferred."""


@lru_cache(4096)
def platforms_of(names: tuple[str, ...]) -> frozenset[str]:
    """Platform ids and families, as platform ids."""
    if "*" in names:
        return EVERY
    return frozenset[str]().union(*(FAMILIES.get(name, frozenset({name})) for name in names)) & EVERY


@lru_cache(65536)
def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(pattern == "*" or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def concerns(limit: Limit, model: str, platforms: Sequence[str]) -> bool:
    """Whether a request for this model falls under the limit on one of these platforms."""
    if limit.models and not matches(model, limit.models):
        return False
    return not limit.platforms or not platforms_of(limit.platforms).isdisjoint(platforms)


def authorise(call: Call, caller: Caller, peek: Peek, providers: Collection[str]) -> Route:
    """Raises Forbidden, InvalidRequest, NotFound. `providers`: the slugs that the caller's tenant has."""
    check_group(call.group, caller)
    named = call.path_model if call.path_model is not None else peek.model
    if not named:
        raise InvalidRequest("The request names no model.", field="model")
    model, asked, provider, explicit = resolve(named, providers)
    allowed = platforms_of(caller.platforms)
    if not allowed & asked:
        raise Forbidden("The key may not use this platform.", code="platform_forbidden", field="model")
    if not matches(model, caller.models):
        raise Forbidden("The key may not use this model.", code="model_forbidden", field="model")
    return Route(
        caller=caller,
        endpoint=call.endpoint,
        model=model,
        platforms=allowed & asked,
        asked_platforms=asked,
        provider=provider,
        explicit=explicit,
        stream=peek.stream,
        session=session_of(call, peek),
        previous_response_id=peek.previous_response_id,
        reasoning=peek.reasoning,
    )


def session_of(call: Call, peek: Peek) -> str | None:
    """The session that a client names, by a header or else in the body; the first that is found."""
    for name in SESSION_HEADERS:
        value = call.header.get(name)
        if value:
            return value.decode("latin-1")
    return peek.session


def check_group(group: str, caller: Caller) -> None:
    """Raises Forbidden, NotFound: no tenant has groups yet."""
    if not group or group in PLAIN_PREFIXES:
        return
    if not matches(group, caller.groups):
        raise Forbidden("The key may not use this group.", code="group_forbidden")
    raise NotFound("There is no such group.")


def resolve(named: str, providers: Collection[str]) -> tuple[str, frozenset[str], str | None, bool]:
    """A model's name as clients write it → (bare name, platforms, provider, whether a platform was named).

    `platform,model` by the first comma; `provider:model` by the first colon, when the left side is a platform or a
    provider of the tenant: otherwise the colon is part of the name. Raises InvalidRequest.
    """
    if len(named) > LONGEST_NAME or not named.isprintable():
        raise InvalidRequest("The name of the model is not a name.", code="invalid_model", field="model")
    name = _bare(named)
    left, comma, rest = name.partition(",")
    if comma:
        left = left.strip().lower()
        asked = FAMILIES.get(left) or frozenset({"claude-ccr" if left == "ccr" else left})
        if not asked & EVERY or not rest.strip():
            raise InvalidRequest(
                "The part of the model before the comma names no platform.", code="invalid_model", field="model"
            )
        return _bare(rest.strip()), asked, None, True
    left, colon, rest = name.partition(":")
    if colon and rest:
        if left in EVERY:
            return _bare(rest), frozenset({left}), None, True
        if left in providers:
            return _bare(rest), EVERY, left, True
    return name, EVERY, None, False


def _bare(name: str) -> str:
    """Without Gemini's collection."""
    return name.removeprefix("models/")
