"""What a platform module offers: where its requests go, how they are signed, what its answers mean.

Pure: no IO, no framework; the clock is a parameter. One module a platform, one row in `PLATFORMS`.
"""

import re
from collections.abc import Callable, Generator, Mapping
from enum import StrEnum
from typing import Any, Literal, Protocol

from msgspec import Struct

from gateway.core.domain import Account

Headers = list[tuple[bytes, bytes]]
"""Lower-case names, in order."""


class Outgoing(Struct, frozen=True):
    """A request as it will be written to the upstream. `url` is absolute."""

    method: str
    url: str
    headers: Headers
    body: bytes


class Asked(Struct, frozen=True):
    """One request as a platform needs to know it. `operation` is the codec's, or Gemini's action; `model` the
    upstream's name; `query` the client's, without keys and Azure's version; `body` is verbatim but for the model."""

    protocol: str
    operation: str
    model: str
    stream: bool
    query: bytes
    headers: Headers
    body: bytes


class Speech(StrEnum):
    """How an account serves an operation of a protocol."""

    NONE = "none"
    NATIVE = "native"
    TRANSLATED = "translated"
    """Served, but not byte for byte: tried after the native ones."""


class Framing(Protocol):
    """Turns an upstream's framing into the protocol's own, incrementally; the same bytes however it is fed."""

    content_type: bytes
    """What the client is told in place of the upstream's."""

    def feed(self, data: bytes) -> bytes: ...

    def close(self) -> bytes:
        """The end of the body: what is still to be said, such as an error for a message that was cut."""
        ...


class Reply(Struct, frozen=True):
    """A token endpoint's answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotRenewed(Exception):
    """The token endpoint gave none. `revoked`: only a person can authorise it again; else it may be tried later."""

    def __init__(self, reason: str, *, revoked: bool = False) -> None:
        super().__init__(reason)
        self.revoked = revoked


Renewal = Generator[Outgoing, Reply, Mapping[str, Any]]
"""Asks token endpoints, without IO: yields requests, is sent their replies, and returns the secrets that are now held
beside the account's own (`access_token`, `expires_at` in seconds since the epoch, a rotated `refresh_token`…).
Raises NotRenewed."""


class Authorisation(Struct, frozen=True):
    """A vendor's OAuth authorisation by code and PKCE (RFC 6749 §4.1, RFC 7636). The account's options of the same
    names stand in the place of its addresses and client id: vendors move them."""

    authorize_url: str
    token_url: str
    redirect_uri: str
    scope: str
    form: Literal["json", "urlencoded"]
    """How the token endpoint takes the code."""
    client_id: str | None = None
    """None: the operator's own must be given."""
    more: tuple[tuple[str, str], ...] = ()
    """What else the authorize URL says."""
    sends_state: bool = False
    """The token endpoint wants the state too."""
    learned: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """The tokens → options that they give, for those that the operator left open."""


class Kind(StrEnum):
    """Who is at fault. Only `caller` passes an error answer through to the client."""

    OK = "ok"
    CALLER = "caller"
    ELSEWHERE = "elsewhere"
    """Try another account; this one is not marked (it may count towards the breaker, see `counts`)."""
    COOL_DOWN = "cool_down"
    DISABLE = "disable"
    """Out until an operator acts: the reason cannot heal by itself."""


class Scope(StrEnum):
    ACCOUNT = "account"
    FAMILY = "family"
    MODEL = "model"


class Verdict(Struct, frozen=True):
    kind: Kind
    reason: str = ""
    """A short, stable word for the state and the ledger: rate_limited, overloaded, credentials, money, fault…"""
    until: float | None = None
    """End of a cool-down, seconds since the epoch."""
    scope: Scope = Scope.FAMILY
    family: str = ""
    """The family that the upstream itself named, in the words of `model_family`; empty: that of the request's model."""
    transient: bool = False
    """The same account may be tried again within the request (500 502 503 529, and 429 with a wait ≤ 5 s)."""
    overload: bool = False
    """503/529: the state spares those who have no other account."""
    counts: bool = False
    """Counts towards the account's breaker."""
    renew: bool = False
    """The credentials may be renewed once and the request sent again."""


class Platform(Struct, frozen=True):
    """An upstream platform, as a record of plain functions."""

    name: str
    family: str
    serves: Mapping[tuple[str, str], str]
    """(protocol, operation or Gemini action) → path template below the base URL; `{model}` is filled in escaped."""
    base_url: str | None
    """The vendor's own; None when every account must give one."""
    models: tuple[str, ...]
    """Globs served when an account names none."""
    credentials: tuple[type[Struct], ...]
    """The accepted sets of secrets, each a Struct that forbids unknown fields."""
    options: type[Struct]
    sign: Callable[[Outgoing, Account, float], Outgoing]
    """Adds the account's credentials and headers; these win over the client's. The last is now, of the epoch."""
    judge: Callable[[int, Mapping[str, str], bytes, float], Verdict]
    """(status, headers with lower-case names, body or first error event, now) → Verdict."""
    place: Callable[[Asked, Account], Outgoing] | None = None
    """Method, URL and body, where base URL + template and the body as it is do not do (see `gateway.platforms.target`).
    Raises InvalidBody."""
    speaks: Callable[[Account, str, str, str, bool], Speech] | None = None
    """(account, upstream's model, protocol, operation or action, stream), where `serves` alone does not decide."""
    framing: Callable[[Asked, bytes], Framing | None] | None = None
    """(request, upstream's content type) → how the body of a good answer is re-framed; None: it passes as it is."""
    expires: Callable[[Account], float | None] | None = None
    """When what the account holds for signing ends (epoch seconds): 0 when nothing is held yet, infinite when nobody
    said, None when it never does or cannot be renewed."""
    renew: Callable[[Account, float], Renewal] | None = None
    """Gets new secrets for signing. Only called where `expires` is not None, or an answer said so (`Verdict.renew`)."""
    error: Callable[[int, bytes], bytes] | None = None
    """(status, body) → the body of an error for the client, where the upstream's own is not the protocol's."""
    explicit_only: bool = False
    lacks: Callable[[Mapping[str, Any], Mapping[str, Any]], str | None] | None = None
    """(credentials, options), each valid by itself → the field that they still lack together; `base_url` where only
    these credentials need one."""
    authorisation: Authorisation | None = None
    """How a person may authorise an account, where one can."""
    probe: Callable[[str], tuple[str, str, dict[str, Any]]] | None = None
    """model → (protocol, operation, body) of a cheap request that proves an account works."""


#: `claude-3-5-sonnet-20241022`, `us.anthropic.claude-opus-4-1-v1:0`, `anthropic/claude-haiku-4.5`: the name between
#: or after the numbers. Three letters at least, so that the `v` of `claude-v2` is no family.
_CLAUDE_FAMILY = re.compile(r"claude-(?:[0-9.]+-)*([a-z]{3,})")


def model_family(model: str) -> str:
    """The family of a model, the scope of rate limits: Claude's opus, sonnet, haiku… by name, else the model.

    No list of families: one that appears tomorrow has its own limits without an upgrade.
    """
    lowered = model.lower()
    found = _CLAUDE_FAMILY.search(lowered)
    return found[1] if found else lowered
