"""What only the shell can check, since it needs to know the platforms."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.domain import FAMILIES, Timeouts
from gateway.core.services.failures import Invalid
from gateway.platforms import PLATFORMS, InvalidAccount, validate

_PLATFORM_NAMES = {"*", *PLATFORMS, *FAMILIES, *(name for names in FAMILIES.values() for name in names)}


def key_platforms(names: Sequence[str]) -> None:
    """Raises Invalid for what is neither a platform nor a family of them nor `*`."""
    for at, name in enumerate(names):
        if name not in _PLATFORM_NAMES:
            raise Invalid(f"unknown platform; known: {', '.join(sorted(_PLATFORM_NAMES))}", f"platforms[{at}]")


def account(platform: str, credentials: Mapping[str, Any], options: Mapping[str, Any], base_url: str | None) -> None:
    try:
        validate(platform, credentials, options, base_url)
    except InvalidAccount as error:
        raise Invalid(error.message, error.field) from None


def timeouts(given: Timeouts) -> dict[str, Any]:
    """As they are stored. Seconds, above zero, a day at most."""
    stored = msgspec.to_builtins(given)
    for name, seconds in stored.items():
        if not 0 < seconds <= 86_400:
            raise Invalid("expected seconds, more than 0 and at most 86400", f"timeouts.{name}")
    return stored
