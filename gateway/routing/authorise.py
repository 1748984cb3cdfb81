"""Caller + path + model → Route: what is asked for, and that the key may ask for it. Pure.

Permission comes before existence: what a key may not use is 403 whether it exists or not.
"""

import fnmatch
from collections.abc import Collection, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import log

from msgspec import Struct

from gateway.core.domain import FAMILIES, Caller, Limit
from gateway.core.errors import Forbidden, InvalidRequest, NotFound
from gateway.core.groups import Alias, Group, Target
from gateway.core.snapshot import Snapshot
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Endpoint, Peek
from gateway.routing.call import Call
from gateway.routing.paths import PLAIN_PREFIXES

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


class Destination(Struct, frozen=True):
    """A model of accounts, as the client's name for it was resolved: of these platforms, and of one provider, pool or
    account where it is named."""

    model: str
    platforms: frozenset[str] = EVERY
    provider: str | None = None
    pool_id: str | None = None
    account_id: str | None = None
    explicit: bool = False
    """Accounts that are only used when asked for may be used."""


class Route(Struct, frozen=True):
    """`model` is the client's name for it, prefixes removed; `platforms` are those that the key may use."""

    caller: Caller
    endpoint: Endpoint
    model: str
    platforms: frozenset[str]
    destinations: tuple[Destination, ...]
    """In the order in which they are tried: one, or the targets of an alias."""
    group: Group | None = None
    """Whose aliases and rules apply."""
    compat: bool = False
    """Tools are said and read as text."""
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
    written, wild = _parted(patterns)
    return name in written or any(pattern == "*" or fnmatch.fnmatchcase(name, pattern) for pattern in wild)


@lru_cache(4096)
def _parted(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names as they are, and patterns: a list asks for every name of every account."""
    wild = tuple(pattern for pattern in patterns if any(sign in pattern for sign in "*?["))
    return frozenset(patterns) - frozenset(wild), wild


def concerns(limit: Limit, model: str, platforms: Sequence[str]) -> bool:
    """Whether a request for this model falls under the limit on one of these platforms."""
    if limit.models and not matches(model, limit.models):
        return False
    return not limit.platforms or not platforms_of(limit.platforms).isdisjoint(platforms)


def authorise(call: Call, caller: Caller, peek: Peek, snapshot: Snapshot) -> Route:
    """Raises Forbidden, InvalidRequest, NotFound."""
    group = group_of(call.group, caller, snapshot)
    named = call.path_model if call.path_model is not None else peek.model
    if not named:
        raise InvalidRequest("The request names no model.", field="model")
    if "@" in named and (within := _within(named, caller, snapshot)) is not None:
        group, named = within
    session = session_of(call, peek)
    alias, model, destination = resolve(named, snapshot.providers(caller.tenant_id), group)
    destinations = (destination,) if alias is None else drawn(alias, f"{caller.key_id} {session or call.request_id}")
    allowed = platforms_of(caller.platforms)
    for one in destinations:
        if not allowed.isdisjoint(one.platforms):
            break
    else:
        raise Forbidden("The key may not use this platform.", code="platform_forbidden", field="model")
    if not matches(model, caller.models):
        raise Forbidden("The key may not use this model.", code="model_forbidden", field="model")
    return Route(
        caller=caller,
        endpoint=call.endpoint,
        model=model,
        platforms=allowed,
        destinations=destinations,
        group=group,
        compat=call.endpoint.operation == "generate" and _compat(call, group),
        stream=peek.stream,
        session=session,
        previous_response_id=peek.previous_response_id,
        reasoning=peek.reasoning,
    )


def _compat(call: Call, group: Group | None) -> bool:
    """The group's word beats the path."""
    mode = "auto" if group is None else group.tool_mode
    return call.compat if mode == "auto" else mode == "compat"


def session_of(call: Call, peek: Peek) -> str | None:
    """The session that a client names, by a header or else in the body; the first that is found."""
    for name in SESSION_HEADERS:
        value = call.header.get(name)
        if value:
            return value.decode("latin-1")
    return peek.session


def group_of(name: str, caller: Caller, snapshot: Snapshot) -> Group | None:
    """The group that a path names; without one the tenant's `default`, where it has one. Raises Forbidden, NotFound."""
    tenant_id = caller.tenant_id
    if not name or (name in PLAIN_PREFIXES and snapshot.group(tenant_id, name) is None):
        return snapshot.group(tenant_id, "default")
    if name == "switch":
        name = snapshot.active.get(tenant_id, "")
        if not name:
            raise NotFound("No group is active.")
    if not matches(name, caller.groups):
        raise Forbidden("The key may not use this group.", code="group_forbidden")
    group = snapshot.group(tenant_id, name)
    if group is None:
        raise NotFound("There is no such group.")
    return group


def _within(named: str, caller: Caller, snapshot: Snapshot) -> tuple[Group, str] | None:
    """`group@alias`; None where the left side is no group of the tenant, since names of models hold an `@` too, or none
    that the key may use: told apart from a name that is unknown, it would be known to exist."""
    left, _, rest = _bare(named).partition("@")
    group = snapshot.group(caller.tenant_id, left) if rest and left != "switch" else None
    return None if group is None or not matches(left, caller.groups) else (group, rest)


def resolve(
    named: str, providers: Collection[str], group: Group | None = None
) -> tuple[Alias | None, str, Destination]:
    """A model's name as clients write it → (the group's alias for it, bare name, where that leads without an alias).

    `platform,model` by the first comma; an alias of the group; `provider:model` by the first colon, when the left side
    is a platform or a provider of the tenant: otherwise the colon is part of the name. Raises InvalidRequest.
    """
    if len(named) > LONGEST_NAME or not named.isprintable():
        raise InvalidRequest("The name of the model is not a name.", code="invalid_model", field="model")
    name = _bare(named)
    left, comma, rest = name.partition(",")
    if comma:
        asked = _platforms(left.strip().lower())
        if not asked or not rest.strip():
            raise InvalidRequest(
                "The part of the model before the comma names no platform.", code="invalid_model", field="model"
            )
        bare = _bare(rest.strip())
        # A family names none of its platforms.
        return None, bare, Destination(bare, asked, explicit=len(asked) == 1)
    if group is not None and (alias := group.alias(name)) is not None:
        return alias, name, Destination(name)
    left, colon, rest = name.partition(":")
    if colon and rest:
        bare = _bare(rest)
        if left in EVERY:
            return None, bare, Destination(bare, frozenset({left}), explicit=True)
        if left in providers:
            return None, bare, Destination(bare, provider=left, explicit=True)
    return None, name, Destination(name)


def _platforms(name: str) -> frozenset[str]:
    """Of a platform's id, a family, or `ccr`; empty for what is none."""
    return (FAMILIES.get(name) or frozenset({"claude-ccr" if name == "ccr" else name})) & EVERY


def drawn(alias: Alias, seed: str) -> tuple[Destination, ...]:
    """The targets of an alias in the order in which they are tried, drawn by their weights without replacement
    (Efraimidis and Spirakis, 2006). The same for all of a session, whose prompt is in one model's cache."""
    if len(alias.targets) == 1:
        return (_destination(alias.targets[0]),)
    drawing = [(_waits(f"{seed} {at}", target.weight), at) for at, target in enumerate(alias.targets)]
    return tuple(_destination(alias.targets[at]) for _, at in sorted(drawing))


def _waits(seed: str, weight: int) -> float:
    """Exponentially distributed, by the weight as its rate."""
    uniform = (int.from_bytes(blake2b(seed.encode(errors="replace"), digest_size=7).digest(), "big") + 1) / 2**56
    return -log(uniform) / weight


def _destination(target: Target) -> Destination:
    return Destination(
        target.model,
        EVERY if target.platform is None else _platforms(target.platform),
        target.provider,
        target.pool_id,
        target.account_id,
        explicit=True,
    )


def _bare(name: str) -> str:
    """Without Gemini's collection."""
    return name.removeprefix("models/")
