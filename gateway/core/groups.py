"""A tenant's groups: a path prefix with its own table of aliases and its rules. Values; pure.

What each member means is in spec "Groups and aliases"; `params_*` are in the client's own dialect.
"""

import fnmatch
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

PromptMode = Literal["off", "append", "prepend", "replace"]
Position = Literal["system", "user"]
ToolMode = Literal["auto", "compat", "native"]


class Target(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an alias stands for: a model, at any account or at those that are named. `platform`: an id or a family."""

    model: str
    platform: str | None = None
    provider: str | None = None
    pool_id: str | None = None
    account_id: str | None = None
    weight: int = 1


class Alias(Struct, frozen=True, forbid_unknown_fields=True):
    """`match`: a name, or a pattern with `*` and `?`."""

    match: str
    targets: tuple[Target, ...]

    @property
    def exact(self) -> bool:
        return not ("*" in self.match or "?" in self.match)


class Replacement(Struct, frozen=True, forbid_unknown_fields=True, rename={"with_": "with"}):
    find: str
    with_: str = ""


class PromptRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`text` by `mode` into the system text, or into the last turn of the user; `replace` on the system text always."""

    mode: PromptMode = "off"
    position: Position = "system"
    text: str = ""
    only_models: tuple[str, ...] = ()
    only_with_tools: bool = False
    replace: tuple[Replacement, ...] = ()


class Rules(Struct, frozen=True):
    """What a group does to a request's body."""

    prompt: PromptRule = PromptRule()
    temperature_ratio: float = 1.0
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
