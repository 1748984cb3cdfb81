"""What members may make of their keys: less. Otherwise they would take back what an operator narrowed."""

import ipaddress
from collections.abc import Sequence

from admin.schemas.keys import KeyView
from gateway.core.services.failures import Denied
from gateway.routing.authorise import matches, platforms_of


def require_narrower(before: KeyView, after: KeyView) -> None:
    """Raises Denied naming the first field that allows what it did not allow before."""
    within = {
        "platforms": all(_platform(name, before.platforms) for name in after.platforms),
        "models": all(_pattern(one, before.models) for one in after.models),
        "groups": all(_pattern(one, before.groups) for one in after.groups),
        "allowed_ips": _restricted(before.allowed_ips, after.allowed_ips)
        and all(_network(one, before.allowed_ips) for one in after.allowed_ips),
        "allowed_clients": _restricted(before.allowed_clients, after.allowed_clients)
        and all(_client(one, before.allowed_clients) for one in after.allowed_clients),
        "expires_at": before.expires_at is None
        or (after.expires_at is not None and after.expires_at <= before.expires_at),
    }
    for field, narrower in within.items():
        if not narrower:
            raise Denied("a member may narrow this, not widen it", field)


def _restricted(old: Sequence[str], new: Sequence[str]) -> bool:
    """An empty list is no restriction."""
    return bool(new) or not old


def _platform(name: str, old: Sequence[str]) -> bool:
    """All platforms are more than those of today."""
    return name in old or "*" in old or (name != "*" and platforms_of((name,)) <= platforms_of(tuple(old)))


def _pattern(new: str, old: Sequence[str]) -> bool:
    """By the relay's own matching. Of a pattern it is asked as of a name, which holds where the old one has no sign but
    `*`: a `?` or a set would take the new one's sign for one character. A set, which is written with more characters
    than it stands for, is within itself and within everything."""
    if new in old or "*" in old:
        return True
    if "[" in new:
        return False
    signed = any(sign in new for sign in "*?")
    return matches(new, tuple(one for one in old if not signed or not any(sign in one for sign in "?[")))


def _client(new: str, old: Sequence[str]) -> bool:
    """As the relay reads them, without regard to case."""
    return not old or _pattern(new.lower(), [one.lower() for one in old])


def _network(new: str, old: Sequence[str]) -> bool:
    inner = ipaddress.ip_network(new)
    outer = [ipaddress.ip_network(one) for one in old]
    return not old or any(inner.version == one.version and inner[0] in one and inner[-1] in one for one in outer)
