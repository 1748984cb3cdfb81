"""Answers of our own on the relay's port: what the key is and may, what it used, which models and providers it has."""

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import structs

from gateway.core import inspection, state
from gateway.core.domain import Caller
from gateway.core.errors import GatewayError, InvalidRequest, NotFound
from gateway.core.services import usage
from gateway.core.services.reach import Reach
from gateway.core.snapshot import Snapshot
from gateway.protocols import CODECS
from gateway.relay.authenticate import authenticate, unkeyed
from gateway.relay.gate import Gate
from gateway.routing.authorise import LONGEST_NAME, group_of
from gateway.routing.call import Call, Header, presented_key
from gateway.routing.paths import Match, names
from gateway.web import lists, ollama
from gateway.web.patience import soon

Answer = tuple[int, list[Header], bytes]
_DAYS = 31
_MOST = 10_000
_EARLIEST = 1970
_OLLAMA = frozenset({"tags", "show", "ps"})
_LISTS = frozenset({"models", "model", "gemini_models", "gemini_model", "providers", *_OLLAMA})
#: What a name in a list may be asked for, and in whose protocol.
_GENERATE, _CHAT = CODECS["openai_chat"].endpoints[0], CODECS["ollama"].endpoints[0]


async def answer(call: Call, found: Match, gate: Gate) -> Answer:
    """Raises GatewayError."""
    if found.name == "hello":
        return _json({"status": "ok"})
    if found.name == "version":
        return _json(ollama.about())
    call.endpoint = _CHAT if found.name in _OLLAMA else _GENERATE
    call.group, call.compat = found.group, found.compat
    if found.name == "root":
        return await _root(call, gate)
    gate.check_open()
    caller = _anybody(call, found.name, gate.snapshot) or await authenticate(call, gate.keys, gate.snapshot)
    if found.name == "key":
        return _json(await soon(_key(caller, gate)))
    if found.name == "usage":
        return _json(await soon(_usage(caller, call, gate)))
    if found.name in _OLLAMA:
        return _json(await _ollama(call, found, caller, gate))
    if found.name == "providers":
        return _json(lists.providers(_visible(call, caller, gate, by_provider=True), debug=caller.debug))
    return _json(_models(call, found, caller, gate))


def _anybody(call: Call, name: str, snapshot: Snapshot) -> Caller | None:
    """Who asks for a list without a key, when the tenant `default` has opened its lists to everybody. A key that stands
    for the missing one comes first."""
    if name not in _LISTS or presented_key(call.header, call.query) is not None or unkeyed(call, snapshot):
        return None
    opened = [one for one in snapshot.tenants.values() if one.name == "default" and one.public_lists]
    return Caller("", opened[0].id, "anybody", platforms=("*",), models=("*",)) if opened else None


async def _root(call: Call, gate: Gate) -> Answer:
    """What runs here. It counts what the presented key sees; a probe needs none, nor a good one."""
    accept = call.header.get(b"accept", b"").lower()
    if b"text/" in accept and b"json" not in accept:
        return 200, [(b"content-type", b"text/plain; charset=utf-8")], ollama.RUNNING
    models: Mapping[str, lists.Listed] = {}
    with suppress(GatewayError):
        caller = _anybody(call, "models", gate.snapshot) or await authenticate(call, gate.keys)
        models = _visible(call, caller, gate, by_provider=True).models
    return _json(ollama.status(models, time.time() - gate.started_at))


def _visible(call: Call, caller: Caller, gate: Gate, *, by_provider: bool = False) -> lists.Visible:
    return lists.visible(_asking(call), caller, gate.snapshot, call.received_at, by_provider=by_provider)


def _asking(call: Call) -> Call:
    """The target of an alias is drawn by the request's id: without one a list says the same each time."""
    return structs.replace(call, request_id="")


async def _ollama(call: Call, found: Match, caller: Caller, gate: Gate) -> dict[str, Any]:
    if found.name == "ps":
        return ollama.running()
    if found.name == "tags":
        return ollama.tags(_visible(call, caller, gate, by_provider=True).models, gate.prices)
    return ollama.show(_entry(ollama.asked(await call.read_body()), call, caller, gate), gate.prices)


def _entry(name: str, call: Call, caller: Caller, gate: Gate) -> lists.Listed:
    """Of one model, by any name that a request for it may use. Raises Forbidden for the group, and NotFound."""
    group_of(call.group, caller, gate.snapshot)
    entry = lists.look_up(name, _asking(call), caller, gate.snapshot, call.received_at)
    if entry is None:
        raise NotFound(f"The model {name[:LONGEST_NAME]!r} does not exist.", code="model_not_found", field="model")
    return entry


def _models(call: Call, found: Match, caller: Caller, gate: Gate) -> dict[str, Any]:
    prices = gate.prices
    gemini = found.name.startswith("gemini") or b"x-goog-api-key" in call.header or names(call.query, b"key")
    anthropic = b"anthropic-version" in call.header and not found.name.startswith("gemini")
    if found.model is not None:
        entry = _entry(found.model.removeprefix("models/"), call, caller, gate)
        if anthropic:
            return lists.anthropic_model(entry, prices)
        return lists.gemini_model(entry, prices) if gemini else lists.union_model(entry)
    listed, query = _visible(call, caller, gate), parse_qs(call.query.decode("latin-1"))
    if anthropic:
        return lists.anthropic_page(listed, query, prices)
    return lists.gemini_page(listed, query, prices) if gemini else lists.union_list(listed)


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
