"""A tenant's groups: a path prefix with its own table of aliases and its rules. Values, and what they may be; pure.

What each member means is in spec "Groups and aliases"; `params_*` are in the client's own dialect. Bounds that stand at
a type are those of what an operator writes; the checks at the end know the rest.
"""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

ModelName = Annotated[str, Meta(min_length=1, max_length=512)]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
Text = Annotated[str, Meta(max_length=100_000)]
Glob = Annotated[str, Meta(min_length=1, max_length=500)]
Ratio = Annotated[float, Meta(ge=0, le=10)]
PromptMode = Literal["off", "append", "prepend", "replace"]
Position = Literal["system", "user"]
ToolMode = Literal["auto", "compat", "native"]


class Target(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an alias stands for: a model, at any account or at those that are named. `platform`: an id or a family."""

    model: ModelName
    platform: str | None = None
    provider: Slug | None = None
    pool_id: str | None = None
    account_id: str | None = None
    weight: Annotated[int, Meta(ge=1, le=1000)] = 1


class Alias(Struct, frozen=True, forbid_unknown_fields=True):
    """`match`: a name, or a pattern with `*` and `?`."""

    match: ModelName
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=50)]

    @property
    def exact(self) -> bool:
        return not ("*" in self.match or "?" in self.match)


class Replacement(Struct, frozen=True, forbid_unknown_fields=True, rename={"with_": "with"}):
    find: Annotated[str, Meta(min_length=1, max_length=100_000)]
    with_: Text = ""


class PromptRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`text` by `mode` into the system text, or into the last turn of the user; `replace` on the system text always."""

    mode: PromptMode = "off"
    position: Position = "system"
    text: Text = ""
    only_models: Annotated[tuple[Glob, ...], Meta(max_length=100)] = ()
    only_with_tools: bool = False
    replace: Annotated[tuple[Replacement, ...], Meta(max_length=100)] = ()


class Rules(Struct, frozen=True):
    """What a group does to a request's body."""

    prompt: PromptRule = PromptRule()
    temperature_ratio: Ratio = 1.0
    tools_removed: tuple[str, ...] = ()
    params_default: Mapping[str, Any] = {}
    params_override: Mapping[str, Any] = {}

    @property
    def idle(self) -> bool:
        """A body is left untouched to the byte."""
        return self == _IDLE


_IDLE = Rules()


class Group(Struct, frozen=True):
    id: str
    tenant_id: str
    name: str
    enabled: bool = True
    aliases: tuple[Alias, ...] = ()
    rules: Rules = field(default_factory=Rules)
    tool_mode: ToolMode = "auto"
    headers: Mapping[str, str] = {}
    """Sent to the upstream besides the client's; the account's own win."""

    def alias(self, model: str) -> Alias | None:
        """Exact names first, then patterns in the operator's order."""
        for one in self.aliases:
            if one.exact and one.match == model:
                return one
        return next((one for one in self.aliases if not one.exact and _matches(model, one.match)), None)


def _matches(model: str, pattern: str) -> bool:
    # Only `*` and `?` are wild: a bracket is a letter of the name.
    return fnmatch.fnmatchcase(model, pattern.replace("[", "[[]"))


# ---------------------------------------------------------------- what an operator may write

#: What a target may name of where it goes, one of them at most.
_PLACES = ("platform", "provider", "pool_id", "account_id")
#: What says which model is asked for, who may answer and how, and what has rules of its own, by all names that the
#: protocols have for them; in small letters, without underscores. Past these no permission, limit or other rule may be
#: led.
_NOT_PARAMS = frozenset(
    {"model", "stream", "messages", "input", "contents", "prompt", "system", "instructions", "systeminstruction"}
    | {"tools", "functions", "requests", "generatecontentrequest", "previousresponseid"}
)
#: Lower case. Credentials are the account's, and the rest belongs to the connection or to the body's own form.
_NOT_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "cookie2"}
    | {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "expect", "host"}
    | {"content-length", "content-type", "content-encoding", "accept-encoding"}
    # A client's own goes up by its key: one for all would bring one key the answer of another.
    | {"x-amz-security-token", "idempotency-key"}
)
#: RFC 9110, 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
MOST_PARAMS = 100
MOST_HEADERS = 50
LONGEST_HEADER = 4096


class InvalidGroup(ValueError):
    """`field` names what is wrong, as `aliases[0].targets[1].provider`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def check_aliases(aliases: Sequence[Alias]) -> None:
    """Raises InvalidGroup. Of two that match the same the second would never be asked."""
    seen: set[str] = set()
    for at, alias in enumerate(aliases):
        if alias.match in seen:
            raise InvalidGroup(f"aliases[{at}].match", "another alias matches the same: give it several targets")
        seen.add(alias.match)
        _check_match(alias.match, f"aliases[{at}].match")
        for number, target in enumerate(alias.targets):
            _check_target(target, f"aliases[{at}].targets[{number}]")


def _check_match(match: str, place: str) -> None:
    if not match.isprintable():
        raise InvalidGroup(place, "a name has no control characters")
    # Of these a client's name for a model is freed before aliases are looked at.
    if "," in match:
        raise InvalidGroup(place, "what stands before a comma is a platform: no alias is asked for it")
    if match.startswith("models/"):
        raise InvalidGroup(place, "models/ is no part of a name: leave it out")


def _check_target(target: Target, place: str) -> None:
    if not target.model.isprintable():
        raise InvalidGroup(f"{place}.model", "a name has no control characters")
    named = [name for name in _PLACES if getattr(target, name) is not None]
    if len(named) > 1:
        raise InvalidGroup(f"{place}.{named[1]}", f"only one of {', '.join(_PLACES)} can be named")


def check_prompt(rule: PromptRule) -> None:
    """Raises InvalidGroup."""
    if rule.mode != "off" and not rule.text:
        raise InvalidGroup("prompt.text", f"the mode {rule.mode} needs a text")


def is_param(name: str) -> bool:
    """Whether a group may write this member of a body, in whatever letters and spelling."""
    return name.replace("_", "").casefold() not in _NOT_PARAMS


def check_params(params: Mapping[str, Any], place: str) -> None:
    """Raises InvalidGroup."""
    if len(params) > MOST_PARAMS:
        raise InvalidGroup(place, f"expected at most {MOST_PARAMS} of them")
    for name in params:
        if not is_param(name):
            raise InvalidGroup(f"{place}.{name}", "this member of a request cannot be written by a group")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """With names in lower case. Raises InvalidGroup."""
    if len(headers) > MOST_HEADERS:
        raise InvalidGroup("headers", f"expected at most {MOST_HEADERS} of them")
    checked: dict[str, str] = {}
    for name, value in headers.items():
        place, lower = f"headers.{name}", name.lower()
        if _TOKEN.fullmatch(name) is None:
            raise InvalidGroup(place, "not the name of a header")
        if lower in _NOT_HEADERS or lower.startswith("x-poolgate-"):
            raise InvalidGroup(place, "this header cannot be written by a group")
        if lower in checked:
            raise InvalidGroup(place, "twice, in another case of letters")
        if not (
            0 < len(value) <= LONGEST_HEADER and value.isascii() and value.isprintable() and value == value.strip()
        ):
            raise InvalidGroup(place, f"expected 1 to {LONGEST_HEADER} visible characters of ASCII")
        checked[lower] = value
    return checked
