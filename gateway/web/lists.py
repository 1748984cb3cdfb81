"""The lists of models and providers that a key may use, in the shapes of three protocols. Pure.

One item a name, sorted; no raw wildcards: a pattern says which names an account takes, not which exist.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.core.domain import Account, Caller
from gateway.core.snapshot import Snapshot
from gateway.core.state import rfc3339
from gateway.platforms import PLATFORMS
from gateway.routing.authorise import check_group, matches, platforms_of


class Listed(Struct, frozen=True):
    name: str
    provider: str
    owner: str
    created_at: float
    """When the first account that serves it was made."""
    actions: tuple[str, ...]


class Visible(Struct, frozen=True):
    models: Mapping[str, Listed]
    accounts: tuple[Account, ...]


def visible(caller: Caller, snapshot: Snapshot, group: str) -> Visible:
    """What the key may use. Raises Forbidden and NotFound for the group."""
    check_group(group, caller)
    allowed = platforms_of(caller.platforms)
    accounts = tuple(
        account
        for account in snapshot.by_tenant.get(caller.tenant_id, ())
        if account.enabled
        and account.platform in allowed
        and (not caller.account_id or account.id == caller.account_id)
        and (not caller.pools or set(caller.pools) & set(account.pools))
    )
    found: dict[str, Listed] = {}
    for account in sorted(accounts, key=lambda account: account.created_at):
        for name in _names(account):
            if name not in found and matches(name, caller.models):
                found[name] = _listed(account, name)
    return Visible({name: found[name] for name in sorted(found)}, accounts)


def _names(account: Account) -> list[str]:
    names = [*account.model_map, *account.models]
    return [name for name in names if not any(sign in name for sign in "*?[")]


def _listed(account: Account, name: str) -> Listed:
    served = PLATFORMS[account.platform].serves
    actions = tuple(action for protocol, action in served if protocol == "gemini")
    return Listed(name, account.provider, account.provider, account.created_at, actions)


def union_model(one: Listed) -> dict[str, Any]:
    """OpenAI's and Anthropic's members together, so that clients of either are content."""
    return {
        "id": one.name,
        "object": "model",
        "type": "model",
        "created": int(one.created_at),
        "created_at": rfc3339(one.created_at),
        "display_name": one.name,
        "owned_by": one.owner,
        "provider": one.provider,
    }


def union_list(listed: Visible) -> dict[str, Any]:
    return _page(list(listed.models.values()), more=False)


def _page(models: list[Listed], *, more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [union_model(one) for one in models],
        "first_id": models[0].name if models else None,
        "last_id": models[-1].name if models else None,
        "has_more": more,
    }


def anthropic_page(listed: Visible, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """https://docs.claude.com/en/api/models-list"""
    names = list(listed.models)
    after, before = query.get("after_id", [""])[0], query.get("before_id", [""])[0]
    if after in listed.models:
        names = names[names.index(after) + 1 :]
    if before in listed.models:
        names = names[: names.index(before)]
    limit = _number(query, "limit", 20, 1000)
    page = [listed.models[name] for name in names[:limit]]
    answer = _page(page, more=len(names) > limit)
    del answer["object"]
    return answer


def gemini_model(one: Listed) -> dict[str, Any]:
    """https://ai.google.dev/api/models"""
    return {
        "name": f"models/{one.name}",
        "baseModelId": one.name,
        "version": "001",
        "displayName": one.name,
        "description": "",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": list(one.actions) or ["generateContent"],
    }


def gemini_page(listed: Visible, query: Mapping[str, list[str]]) -> dict[str, Any]:
    names = list(listed.models)
    token = query.get("pageToken", [""])[0]
    if token in listed.models:
        names = names[names.index(token) + 1 :]
    size = _number(query, "pageSize", 50, 1000)
    page: dict[str, Any] = {"models": [gemini_model(listed.models[name]) for name in names[:size]]}
    if len(names) > size:
        page["nextPageToken"] = names[size - 1]
    return page


def _number(query: Mapping[str, list[str]], name: str, default: int, most: int) -> int:
    text = query.get(name, [""])[0]
    return min(most, max(1, int(text))) if text.isdigit() and len(text) < 6 else default


def providers(listed: Visible, *, debug: bool) -> dict[str, Any]:
    """One entry a provider; base URLs only for keys with `debug`."""
    found: dict[str, dict[str, Any]] = {}
    for account in listed.accounts:
        entry = found.get(account.provider)
        if entry is None:
            entry = dict[str, Any]({"name": account.provider, "type": account.platform, "models": [], "active": True})
            if debug:
                entry["base_url"] = account.base_url
            found[account.provider] = entry
        entry["models"] = sorted({*entry["models"], *(name for name in _names(account) if name in listed.models)})
    return {"object": "list", "data": [found[name] for name in sorted(found)]}
