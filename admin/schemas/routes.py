"""The question where a request would go, and its answer."""

from typing import Any

from msgspec import Struct

from admin.schemas.page import Word


class RouteAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`path` as clients ask for it, such as `/v1/messages`; Gemini's may name the model itself."""

    key_id: str
    path: Word
    model: Word
    session_id: str | None = None
    stream: bool = True


class CandidateView(Struct, frozen=True, kw_only=True):
    account_id: str
    name: str
    platform: str
    model: str
    """The upstream's name of it."""
    translated: bool
    in_flight: int
    tier: int
    """Priority, and more for what makes it only tried later: 1000 near a limit or slow, 2000 translated, 4000 for each
    target of an alias before its own, 400000 draining, 800000 in trouble that spares the key."""
    strategy: str
    score: float
    """In flight ÷ max_concurrency."""


class ExclusionView(Struct, frozen=True, kw_only=True):
    account_id: str
    name: str
    reason: str
    until: str | None


class RouteView(Struct, frozen=True, kw_only=True):
    """`candidates` in the order in which they would be tried. `error` is what the client would get without any."""

    protocol: str
    group: str
    model: str
    candidates: list[CandidateView]
    excluded: list[ExclusionView]
    sticky: str | None
    """The account that the session is bound to."""
    error: dict[str, Any] | None
