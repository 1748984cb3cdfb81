"""Whether a caller may ask for anything at all, by the key's switch and times. Pure: the clock is a parameter."""

from gateway.core.domain import Caller
from gateway.core.errors import Unauthenticated

INVALID = "The key is not valid."


def check(caller: Caller, now: float) -> None:
    """Raises Unauthenticated, as it is told to clients."""
    if caller.secret_expires_at is not None and caller.secret_expires_at <= now:
        raise Unauthenticated(INVALID)
    if not caller.enabled:
        raise Unauthenticated("The key is disabled.", code="key_disabled")
    if caller.expires_at is not None and caller.expires_at <= now:
        raise Unauthenticated("The key has expired.", code="key_expired")
