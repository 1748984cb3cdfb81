"""What only the shell can check, since it needs to know the platforms."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from gateway.core.domain import FAMILIES, Probe, Timeouts
from gateway.core.groups import Alias
from gateway.core.services.failures import Invalid
from gateway.platforms import PLATFORMS, InvalidAccount, validate
from gateway.routing.paths import RESERVED
from gateway.upstream.request import Origin, split

_PLATFORM_NAMES = {"*", *PLATFORMS, *FAMILIES, *(name for names in FAMILIES.values() for name in names)}

SECRETS_GO_TO = ("token_url",)
"""The options that are addresses to which credentials are sent."""
_MACHINE_ROLE = frozenset({"bedrock"})
"""Platforms that work without credentials by those of the machine."""
#: By platform: the credentials that are objects.
_OBJECTS = {
    name: frozenset(
        info.name
        for kind in platform.credentials
        for info in fields(kind)
        if isinstance(info.type, type) and issubclass(info.type, Struct)
    )
    for name, platform in PLATFORMS.items()
}
_TARGET_NAMES = {"ccr", *PLATFORMS, *FAMILIES}


def key_platforms(names: Sequence[str]) -> None:
    """Raises Invalid for what is neither a platform nor a family of them nor `*`."""
    for at, name in enumerate(names):
        if name not in _PLATFORM_NAMES:
            raise Invalid(f"unknown platform; known: {', '.join(sorted(_PLATFORM_NAMES))}", f"platforms[{at}]")


def group(values: Mapping[str, Any]) -> None:
    """Raises Invalid for a name that is a path's own, and for a target's platform that nothing is called by."""
    if (values.get("name") or "").lower() in RESERVED:
        raise Invalid("a fixed path begins with this: it cannot be the name of a group", "name")
    aliases: Sequence[Alias] = values.get("aliases") or ()
    for at, alias in enumerate(aliases):
        for number, target in enumerate(alias.targets):
            if target.platform is not None and target.platform not in _TARGET_NAMES:
                known = ", ".join(sorted(_TARGET_NAMES))
                raise Invalid(f"unknown platform; known: {known}", f"aliases[{at}].targets[{number}].platform")


def credentials(platform: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """As they are stored: what is an object (a service account) may be given as its JSON text, too."""
    objects = _OBJECTS.get(platform, frozenset())
    return {
        name: _object(value, f"credentials.{name}") if name in objects and isinstance(value, str) else value
        for name, value in given.items()
    }


def _object(text: str, field: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise Invalid("expected an object, or its JSON text", field) from None


def account(platform: str, credentials: Mapping[str, Any], options: Mapping[str, Any], base_url: str | None) -> None:
    try:
        validate(platform, credentials, options, base_url)
    except InvalidAccount as error:
        raise Invalid(error.message, error.field) from None


def machine_role(platform: str, credentials: Mapping[str, Any], *, root: bool) -> None:
    """Without credentials an account of AWS works by the machine's own role: that is root's to give."""
    if platform in _MACHINE_ROLE and not credentials and not root:
        raise Invalid("required: only root may make an account that uses the machine's own role", "credentials")


def stays(
    platform: str, known: Collection[str], before: Mapping[str, Any], after: Mapping[str, Any], *, root: bool
) -> None:
    """Nobody reads stored credentials by sending them to an address of his own. `known`: which are stored; `before` and
    `after`: the account's `base_url` and `options`. Raises Invalid when an address changes and they were not given."""
    if _addresses(platform, before) == _addresses(platform, after):
        return
    if known:
        said = "required: stored credentials are not sent to a changed address (base_url, token_url); give them again"
        raise Invalid(said, "credentials")
    if platform in _MACHINE_ROLE and not root:
        raise Invalid("only root may change where the credentials of the machine's own role are sent", "credentials")


def _addresses(platform: str, account: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Wherever credentials are sent. What is not set is the platform's own."""
    options = account["options"]
    return account["base_url"] or PLATFORMS[platform].base_url, *(options.get(name) for name in SECRETS_GO_TO)


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
