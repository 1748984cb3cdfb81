"""Answers of our own on the relay's port: what the key is and may, what it used, which models and providers it has."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec

from gateway.core import inspection, state
from gateway.core.domain import Caller
from gateway.core.errors import InvalidRequest, NotFound
from gateway.core.services import usage
from gateway.core.services.reach import Reach
from gateway.relay.authenticate import authenticate
from gateway.relay.gate import Gate
from gateway.routing.call import Call, Header, presented_key
from gateway.routing.paths import Match, names
from gateway.web import lists

Answer = tuple[int, list[Header], bytes]
_DAYS = 31
_MOST = 10_000
_EARLIEST = 1970


async def answer(call: Call, found: Match, gate: Gate) -> Answer:
    """Raises GatewayError."""
    if found.name in {"root", "hello"}:
        return _json({"status": "ok"})
    gate.check_open()
    caller = _anybody(call, found, gate) or await authenticate(call, gate.keys)
    if found.name == "key":
        return _json(await _key(caller, gate))
    if found.name == "usage":
        return _json(await _usage(caller, call, gate))
    listed = lists.visible(caller, gate.snapshot, found.group)
    if found.name == "providers":
        return _json(lists.providers(listed, debug=caller.debug))
    return _json(_models(call, found, listed))


def _anybody(call: Call, found: Match, gate: Gate) -> Caller | None:
    """Who asks for a list without a key, when the tenant `default` has opened its lists to everybody."""
    if found.name in {"key", "usage"} or presented_key(call.header, call.query) is not None:
        return None
    opened = [one for one in gate.snapshot.tenants.values() if one.name == "default" and one.public_lists]
    return Caller("", opened[0].id, "anybody", platforms=("*",), models=("*",)) if opened else None


def _models(call: Call, found: Match, listed: lists.Visible) -> Any:
    gemini = found.name.startswith("gemini") or b"x-goog-api-key" in call.header or names(call.query, b"key")
    if found.model is not None:
        name = found.model.removeprefix("models/")
        entry = listed.models.get(name)
        if entry is None:
            raise NotFound(f"The model {name!r} does not exist.", code="model_not_found", field="model")
        return lists.gemini_model(entry) if gemini else lists.union_model(entry)
    query = parse_qs(call.query.decode("latin-1"))
    if b"anthropic-version" in call.header and not found.name.startswith("gemini"):
        return lists.anthropic_page(listed, query)
    return lists.gemini_page(listed, query) if gemini else lists.union_list(listed)


async def _key(caller: Caller, gate: Gate) -> dict[str, Any]:
    return {
        "id": caller.key_id,
        "name": caller.name,
        "tenant_id": caller.tenant_id,
        "platforms": caller.platforms,
        "models": caller.models,
        "groups": caller.groups,
        "expires_at": state.rfc3339(caller.expires_at) if caller.expires_at else None,
        "limits": await inspection.read_limits(gate.redis, caller.tenant_id, caller.limits),
    }


def _moment(query: dict[str, list[str]], name: str, default: datetime) -> datetime:
    text = query.get(name, [""])[0]
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if moment.year < _EARLIEST:  # the other end is a month before it
            raise ValueError
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{name} is not a time of the form 2026-01-31T00:00:00Z.", field=name) from None
    return moment


async def _usage(caller: Caller, call: Call, gate: Gate) -> dict[str, Any]:
    """By day and model, from the roll-ups. Raises InvalidRequest for a span of more groups than one answer holds."""
    query = parse_qs(call.query.decode("latin-1"))
    now = datetime.fromtimestamp(time.time(), UTC)
    end = _moment(query, "to", now)
    month_ago = (end - timedelta(days=_DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    start = _moment(query, "from", month_ago)
    asked = usage.UsageFilter(since=start, until=end, tenant_id=caller.tenant_id, key_id=caller.key_id)
    async with gate.sessions() as session:
        groups = await usage.sums(session, Reach(everything=True), asked, ("day", "model"), _MOST + 1)
    if len(groups) > _MOST:
        raise InvalidRequest("There is more than one answer holds: ask for fewer days.", field="from")
    counts = [name for name in usage.MEASURES if name != "cost"]
    return {
        "from": state.rfc3339(start.timestamp()),
        "to": state.rfc3339(end.timestamp()),
        "currency": gate.prices.currency,
        "data": [
            {
                "day": group["day"],
                "model": group["model"],
                **{name: int(group[name]) for name in counts},
                "cost": f"{group['cost']:f}",
            }
            for group in groups
        ],
    }


def _json(value: Any) -> Answer:
    return 200, [(b"content-type", b"application/json")], msgspec.json.encode(value)
