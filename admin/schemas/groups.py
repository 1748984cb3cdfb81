"""Groups, as they are written and as they are shown. Of aliases and prompts gateway.core.groups says the form."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.schemas.page import Text, at
from gateway.core import models as m
from gateway.core.groups import Alias, Glob, PromptRule, Ratio, ToolMode

#: One segment of a path, and never one that clients resolve away.
GroupName = Annotated[str, Meta(pattern=r"^(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}\Z")]
Aliases = Annotated[list[Alias], Meta(max_length=500)]
Tools = Annotated[list[Glob], Meta(max_length=1000)]
Params = dict[str, Any]
Headers = dict[str, str]


class GroupDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`params_*` are in the client's own dialect. A target names a platform, a provider, a pool or an account, or none
    of them."""

    name: GroupName
    tenant_id: str | None = None
    description: Text | None = None
    enabled: bool | None = None
    aliases: Aliases | None = None
    prompt: PromptRule | None = None
    temperature_ratio: Ratio | None = None
    tools_removed: Tools | None = None
    tool_mode: ToolMode | None = None
    params_default: Params | None = None
    params_override: Params | None = None
    headers: Headers | None = None


class GroupPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Absent: as it was. null: as if never given. Everything else replaces the old value as a whole."""

    name: GroupName | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    enabled: bool | UnsetType | None = UNSET
    aliases: Aliases | UnsetType | None = UNSET
    prompt: PromptRule | UnsetType | None = UNSET
    temperature_ratio: Ratio | UnsetType | None = UNSET
    tools_removed: Tools | UnsetType | None = UNSET
    tool_mode: ToolMode | UnsetType | None = UNSET
    params_default: Params | UnsetType | None = UNSET
    params_override: Params | UnsetType | None = UNSET
    headers: Headers | UnsetType | None = UNSET


class GroupView(Struct, frozen=True, kw_only=True):
    """`active`: what `/switch/…` stands for in its tenant. Members of aliases and of the prompt's rule that are as if
    never given are left out."""

    id: str
    tenant_id: str
    name: str
    description: str
    enabled: bool
    active: bool
    aliases: list[dict[str, Any]]
    prompt: dict[str, Any]
    temperature_ratio: float
    tools_removed: list[str]
    tool_mode: str
    params_default: dict[str, Any]
    params_override: dict[str, Any]
    headers: dict[str, Any]
    created_at: str
    updated_at: str


def group_view(group: m.Group, *, active: bool) -> GroupView:
    return GroupView(
        id=group.id,
        tenant_id=group.tenant_id,
        name=group.name,
        description=group.description,
        enabled=group.enabled,
        active=active,
        aliases=group.aliases,
        prompt=group.prompt,
        temperature_ratio=group.temperature_ratio,
        tools_removed=group.tools_removed,
        tool_mode=group.tool_mode,
        params_default=group.params_default,
        params_override=group.params_override,
        headers=group.headers,
        created_at=at(group.created_at),
        updated_at=at(group.updated_at),
    )
