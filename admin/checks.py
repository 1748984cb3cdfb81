"""What only the shell can check, since it needs to know the platforms."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.domain import FAMILIES, Probe, Timeouts
from gateway.core.services.failures import Invalid
from gateway.platforms import PLATFORMS, InvalidAccount, validate
from gateway.upstream.request import Origin, split

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


def machine_role(platform: str, credentials: Mapping[str, Any], *, root: bool) -> None:
    """Without credentials an account of AWS works by the machine's own role: that is root's to give."""
    if platform == "bedrock" and not credentials and not root:
        raise Invalid("required: only root may make an account that uses the machine's own role", "credentials")


def probe(platform: str, given: Probe) -> dict[str, Any]:
    """As it is stored. Minutes, a day at most."""
    if PLATFORMS[platform].probe is None:
        raise Invalid(f"{platform} has no probe", "probe")
    if not 1 <= given.every_minutes <= 1440:
        raise Invalid("expected minutes, at least 1 and at most 1440", "probe.every_minutes")
    if given.model is not None and not 1 <= len(given.model) <= 500:
        raise Invalid("expected the name of a model", "probe.model")
    return msgspec.to_builtins(given)


def webhook_url(url: str) -> None:
    """Raises Invalid for what no request could be sent to; whether an address is allowed is asked at each sending."""
    try:
        text, _ = split(url)
        Origin.parse(text)
    except ValueError as error:
        raise Invalid(str(error), "url") from None


def timeouts(given: Timeouts) -> dict[str, Any]:
    """As they are stored. Seconds, above zero, a day at most."""
    stored = msgspec.to_builtins(given)
    for name, seconds in stored.items():
        if not 0 < seconds <= 86_400:
            raise Invalid("expected seconds, more than 0 and at most 86400", f"timeouts.{name}")
    return stored
