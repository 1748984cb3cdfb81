"""The lists of models and providers that a key may use, in the shapes of three protocols. Pure.

One item a name, sorted; no raw wildcards: a pattern says which names an account takes, not which exist. A name is
listed when a request for it would be let through and some account would serve it, in its own protocol or by
translation: the relay's own predicate says so. What is out only for the moment stays in the lists.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, structs

from gateway.core import prices
from gateway.core.domain import Account, Caller
from gateway.core.errors import Forbidden, InvalidRequest, NotFound
from gateway.core.snapshot import Snapshot
from gateway.core.state import rfc3339
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Peek
from gateway.routing.abilities import Abilities, abilities
from gateway.routing.authorise import EVERY, authorise, group_of, platforms_of
from gateway.routing.call import Call
from gateway.routing.choose import aimed
from gateway.routing.fitting import serving
from gateway.routing.states import States

_AT_REST = States()
_WILD = frozenset("*?[")
_TRANSLATED = ("generateContent", "streamGenerateContent", "countTokens")
"""What Gemini's clients may ask of a model that speaks another protocol; the last is at least estimated."""
_EMBEDDING = ("embedContent", "batchEmbedContents")
"""The same of one that embeds."""


class Listed(Struct, frozen=True):
    """A name, and the first account that was made of those that serve it."""

    name: str
    provider: str
    platform: str
    known_as: tuple[str, ...]
    """By the upstream, and by clients without a prefix."""
    created_at: float
    """When the account was made."""
    compat: bool = False
    """Tools are said as text: every model that writes text has them."""

    def abilities(self, table: prices.Table) -> Abilities:
        known = abilities(self.known_as, self.platform, table)
        if not self.compat or "tools" in known.capabilities or "completion" not in known.capabilities:
            return known
        rest = (each for each in known.capabilities if each != "completion")
        return structs.replace(known, capabilities=("completion", "tools", *rest))


class Visible(Struct, frozen=True):
    models: Mapping[str, Listed]
    accounts: tuple[Account, ...]


def visible(call: Call, caller: Caller, snapshot: Snapshot, now: float, *, by_provider: bool = False) -> Visible:
    """What the key may use at this path: bare names, or with `by_provider` as `provider:model`, and the aliases of the
    group. Raises Forbidden and NotFound for the group."""
    group = group_of(call.group, caller, snapshot)
    accounts = tuple(_reached(caller, snapshot, now))
    names = {f"{_prefix(account)}:{name}" if by_provider else name for account in accounts for name in _names(account)}
    if group is not None:
        names.update(alias.match for alias in group.aliases if alias.exact)
    found = ((name, look_up(name, call, caller, snapshot, now)) for name in sorted(names))
    return Visible({name: one for name, one in found if one is not None}, accounts)


def look_up(name: str, call: Call, caller: Caller, snapshot: Snapshot, now: float) -> Listed | None:
    """What a request for this name would be led to, in any form in which a model may be named; None when the key may
    not use it and when nobody serves it, which are told alike. `call`: of an operation that generates."""
    if "*" in name or "?" in name:
        return None
    try:
        route = authorise(call, caller, Peek(name), snapshot)
    except (Forbidden, InvalidRequest, NotFound):
        return None
    for account in sorted(serving(snapshot, route), key=lambda account: account.created_at):
        at = aimed(account, route, _AT_REST, now)
        if isinstance(at, int):
            model = route.destinations[at].model
            known_as = account.model_map.get(model, model), route.model
            return Listed(name, account.provider, account.platform, known_as, account.created_at, route.compat)
    return None


def _reached(caller: Caller, snapshot: Snapshot, now: float) -> Iterable[Account]:
    """The accounts that the key may use for something."""
    allowed = platforms_of(caller.platforms)
    return (
        account
        for account in snapshot.by_tenant.get(caller.tenant_id, ())
        if account.enabled
        and account.platform in allowed
        and (account.expires_at is None or account.expires_at > now)
        and (not caller.account_id or account.id == caller.account_id)
        and (not caller.pools or set(caller.pools) & set(account.pools))
    )


def _names(account: Account) -> list[str]:
    return [name for name in (*account.model_map, *account.models) if _WILD.isdisjoint(name)]


def _prefix(account: Account) -> str:
    """A provider that has the name of a platform is not what that name stands for before a colon."""
    return account.platform if account.provider in EVERY else account.provider


def union_model(one: Listed) -> dict[str, Any]:
    """OpenAI's and Anthropic's members together, so that clients of either are content."""
    return {
        "id": one.name,
        "object": "model",
        "type": "model",
        "created": int(one.created_at),
        "created_at": rfc3339(one.created_at),
        "display_name": one.name,
        "owned_by": one.provider,
        "provider": one.provider,
    }


def union_list(listed: Visible) -> dict[str, Any]:
    models = list(listed.models.values())
    return {"object": "list", "data": [union_model(one) for one in models], **_page(models), "has_more": False}


def _page(models: list[Listed]) -> dict[str, Any]:
    return {"first_id": models[0].name if models else None, "last_id": models[-1].name if models else None}


def anthropic_model(one: Listed, table: prices.Table) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/api/models/retrieve"""
    known = one.abilities(table)
    lengths = {"max_input_tokens": known.context_length, "max_tokens": known.max_output}
    return {**union_model(one), "lifecycle": "active", **lengths}


def anthropic_page(listed: Visible, query: Mapping[str, list[str]], table: prices.Table) -> dict[str, Any]:
    """https://platform.claude.com/docs/en/api/models/list: `limit` names after `after_id`, or before `before_id`."""
    after, before = query.get("after_id", [""])[0], query.get("before_id", [""])[0]
    # By their order, not by their place: a name may have gone since the page before.
    names = [name for name in listed.models if name > after and (not before or name < before)]
    limit = _number(query, "limit", 20, 1000)
    page = [listed.models[name] for name in (names[-limit:] if before else names[:limit])]
    data = [anthropic_model(one, table) for one in page]
    return {"data": data, **_page(page), "has_more": len(names) > limit}


def gemini_model(one: Listed, table: prices.Table) -> dict[str, Any]:
    """https://ai.google.dev/api/models"""
    known = one.abilities(table)
    actions = [action for protocol, action in PLATFORMS[one.platform].serves if protocol == "gemini"]
    return {
        "name": f"models/{one.name}",
        "baseModelId": one.name,
        "version": "001",
        "displayName": one.name,
        "description": "",
        "inputTokenLimit": known.context_length,
        "outputTokenLimit": known.max_output or 65_536,
        "supportedGenerationMethods": actions or list(_EMBEDDING if "embedding" in known.capabilities else _TRANSLATED),
    }


def gemini_page(listed: Visible, query: Mapping[str, list[str]], table: prices.Table) -> dict[str, Any]:
    token = query.get("pageToken", [""])[0]
    names = [name for name in listed.models if name > token]
    size = _number(query, "pageSize", 50, 1000)
    page: dict[str, Any] = {"models": [gemini_model(listed.models[name], table) for name in names[:size]]}
    if len(names) > size:
        page["nextPageToken"] = names[size - 1]
    return page


def _number(query: Mapping[str, list[str]], name: str, default: int, most: int) -> int:
    text = query.get(name, [""])[0]
    return min(most, max(1, int(text))) if text.isdigit() and len(text) < 6 else default


def providers(listed: Visible, *, debug: bool) -> dict[str, Any]:
    """One entry a provider; base URLs only for keys with `debug`. `listed` is `by_provider`."""
    found: dict[str, dict[str, Any]] = {}
    for account in listed.accounts:
        entry = found.get(account.provider)
        if entry is None:
            entry = dict[str, Any]({"name": account.provider, "type": account.platform, "models": [], "active": True})
            if debug:
                entry["base_url"] = account.base_url
            found[account.provider] = entry
        names = [name for name in _names(account) if f"{_prefix(account)}:{name}" in listed.models]
        entry["models"] = sorted({*entry["models"], *names})
    return {"object": "list", "data": [found[name] for name in sorted(found)]}
