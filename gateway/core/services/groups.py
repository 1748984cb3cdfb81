"""Groups of a tenant: aliases and rules below a path prefix, one of them the active one."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.groups import (
    Alias,
    Group,
    InvalidGroup,
    PromptRule,
    Rules,
    Target,
    ToolMode,
    check_aliases,
    check_params,
    check_prompt,
    checked_headers,
)
from gateway.core.ids import new_id
from gateway.core.services import pools, rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach

#: What a field is when it was never given; null in a change means this. The others cannot be null.
DEFAULTS: Mapping[str, Any] = {
    "description": "",
    "enabled": True,
    "aliases": [],
    "prompt": PromptRule(),
    "temperature_ratio": 1.0,
    "tools_removed": [],
    "tool_mode": "auto",
    "params_default": {},
    "params_override": {},
    "headers": {},
}


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, *, tenant_id: str | None = None, q: str | None = None
) -> rows.Slice[m.Group]:
    """`q` looks into names and descriptions."""
    found = select(m.Group).where(reach.over(m.Group.tenant_id), *rows.matching(q, m.Group.name, m.Group.description))
    if tenant_id is not None:
        found = found.where(m.Group.tenant_id == rows.filter_id(tenant_id, "ten", "tenant_id"))
    return await rows.page(session, found, m.Group.id, "grp", window)


async def find(session: AsyncSession, reach: Reach, group_id: str, *, lock: bool = False) -> m.Group:
    identifier = rows.identity(group_id, "grp", "group")
    found = select(m.Group).where(reach.over(m.Group.tenant_id), m.Group.id == identifier)
    return await rows.one(session, found, "group", lock=lock)


async def active(session: AsyncSession, found: Sequence[m.Group]) -> frozenset[str]:
    """The ids of those that are their tenant's active group."""
    owners = {group.tenant_id for group in found}
    asked = select(m.Tenant.active_group_id).where(m.Tenant.id.in_(owners), m.Tenant.active_group_id.is_not(None))
    named = set((await session.execute(asked)).scalars())
    return frozenset(group.id for group in found if group.id in named)


async def create(session: AsyncSession, tenant_id: str, values: Mapping[str, Any]) -> m.Group:
    """`values`: a name and members of DEFAULTS. The name and the platforms of aliases were checked by the caller, which
    knows paths and platforms. Raises Invalid naming the field."""
    group = m.Group(id=new_id("grp"), tenant_id=tenant_id, **await _checked(session, tenant_id, values))
    session.add(group)
    await rows.announce(session, "group", group.id)
    return group


async def change(session: AsyncSession, group: m.Group, values: Mapping[str, Any]) -> None:
    """Raises what `create` raises. Aliases that are not given stay, also those whose account is deleted meanwhile."""
    rows.update(group, await _checked(session, group.tenant_id, rows.cleared(values, DEFAULTS)))
    await rows.announce(session, "group", group.id)


async def activate(session: AsyncSession, group: m.Group) -> None:
    """From now on its tenant's `switch`. Raises Conflict for one that is switched off: nobody would be answered."""
    if not group.enabled:
        raise Conflict("the group is switched off")
    named = update(m.Tenant).where(m.Tenant.id == group.tenant_id)
    await session.execute(named.values(active_group_id=group.id))
    await rows.announce(session, "group", group.id)


async def delete(session: AsyncSession, group: m.Group) -> None:
    """When it was the active one the tenant has none: the database clears it."""
    await session.delete(group)
    await rows.announce(session, "group", group.id)


def opened(row: m.Group) -> Group:
    """The group as gateways use it. Raises msgspec.ValidationError when something stored is not of its form."""
    prompt = msgspec.convert(row.prompt, PromptRule)
    # What is kept for later while the mode is off is no rule: the body stays untouched.
    rule = prompt if prompt.mode != "off" or prompt.replace else PromptRule()
    return Group(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        enabled=row.enabled,
        aliases=msgspec.convert(row.aliases, tuple[Alias, ...]),
        rules=Rules(
            prompt=rule,
            temperature_ratio=row.temperature_ratio,
            tools_removed=tuple(row.tools_removed),
            params_default=row.params_default,
            params_override=row.params_override,
        ),
        tool_mode=msgspec.convert(row.tool_mode, ToolMode),
        headers=msgspec.convert(row.headers, dict[str, str]),
    )


async def _checked(session: AsyncSession, tenant_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are stored. Raises Invalid naming the field."""
    stored = dict(values)
    try:
        if "aliases" in stored:
            check_aliases(stored["aliases"])
            stored["aliases"] = msgspec.to_builtins(await _aimed(session, tenant_id, stored["aliases"]))
        if "prompt" in stored:
            check_prompt(stored["prompt"])
            stored["prompt"] = msgspec.to_builtins(stored["prompt"])
        for name in ("params_default", "params_override"):
            check_params(stored.get(name, {}), name)
        if "headers" in stored:
            stored["headers"] = checked_headers(stored["headers"])
    except InvalidGroup as error:
        raise Invalid(error.message, error.field) from None
    return stored


async def _aimed(session: AsyncSession, tenant_id: str, aliases: Sequence[Alias]) -> list[Alias]:
    """Every pool and account by its id. Raises Invalid for one that the tenant does not have."""
    targets = [target for alias in aliases for target in alias.targets]
    known = await pools.names(session, tenant_id) if any(one.pool_id is not None for one in targets) else {}
    held: set[str] = set()
    if any(one.account_id is not None for one in targets):
        mine = select(m.Account.id).where(m.Account.tenant_id == tenant_id, m.Account.deleted_at.is_(None))
        held = set((await session.execute(mine)).scalars())
    aimed: list[Alias] = []
    for at, alias in enumerate(aliases):
        places = [f"aliases[{at}].targets[{number}]" for number in range(len(alias.targets))]
        found = (_placed(*one, known, held) for one in zip(alias.targets, places, strict=True))
        aimed.append(structs.replace(alias, targets=tuple(found)))
    return aimed


def _placed(target: Target, place: str, known: Mapping[str, str], held: set[str]) -> Target:
    """`known`: what pools are called → their ids. `held`: the ids of accounts."""
    if target.pool_id is not None:
        if target.pool_id not in known:
            raise Invalid("no such pool in this tenant", f"{place}.pool_id")
        return structs.replace(target, pool_id=known[target.pool_id])
    if target.account_id is not None:
        identifier = rows.filter_id(target.account_id, "acct", f"{place}.account_id")
        if identifier not in held:
            raise Invalid("no such account in this tenant", f"{place}.account_id")
        return structs.replace(target, account_id=identifier)
    return target
