"""Which account is probed when and with what, and what the outcome changes. Pure: the clock is a parameter."""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.core.domain import Account
from gateway.core.state import BREAKER, FOR_EVER, State
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Kind, Verdict, model_family
from gateway.relay.marking import scope_of
from gateway.upstream import probe

SOURCE = "probe"
AHEAD = 3.0
"""Seconds before the end of a state at which the account is probed."""
PROLONGED = 30.0
"""Seconds by which a state is prolonged at least when that probe fails."""
_SOON = 60.0
"""Seconds within which an account that was never probed is probed first."""
_JITTER = 0.1


class Last(Struct, frozen=True):
    """The last probe of an account, as it is kept and shown. `at` is epoch seconds; `message` is empty after a good
    one."""

    at: float
    ok: bool
    status: int | None
    latency_ms: int
    model: str
    message: str


class Aim(Struct, frozen=True):
    """A probe to be made. `ending`: the state whose end is near, with its scope; None for one of the regular ones."""

    model: str
    ending: tuple[str, State] | None = None


def due_at(account: Account, last: Last | None, started: float) -> float:
    """When the account is probed next, by the clock: within a minute of the start, then by its interval ± 10 %, which
    no two accounts share."""
    assert account.probe is not None
    interval = account.probe.every_minutes * 60.0
    seed = f"{account.id} {last.at if last else started}"
    chance = hashlib.blake2b(seed.encode(), digest_size=2).digest()
    part = int.from_bytes(chance) / 0x10000
    if last is None:
        return started + part * min(_SOON, interval)
    return last.at + interval * (1 + _JITTER * (2 * part - 1))


def names_of(account: Account) -> list[str]:
    """The models that may be asked for, by the client's names, the operator's choice first."""
    platform = PLATFORMS[account.platform]
    asked = account.probe.model if account.probe else None
    cheap = probe.cheap_model(platform) if account.base_url == platform.base_url else None
    return [name for name in (asked, *probe.known_models(account), cheap) if name]


def covered(model: str) -> tuple[str, str, str]:
    """The scopes whose states keep traffic from the upstream's model."""
    return "account", f"family:{model_family(model)}", f"model:{model}"


def model_for(account: Account, scope: str) -> str | None:
    """What to ask for to learn whether this scope works; None when nothing is known that does."""
    names = names_of(account)
    what, _, which = scope.partition(":")
    if what == "model":
        return which
    if what == "family":
        found = [name for name in names if model_family(account.model_map.get(name, name)) == which]
        # A family outside of Claude's is a model's own name.
        return next(iter(found), which if model_family(which) == which and not _of_claude(account) else None)
    return next(iter(names), None)


def _of_claude(account: Account) -> bool:
    return PLATFORMS[account.platform].family == "claude"


def next_aim(
    account: Account, states: Mapping[str, State], last: Last | None, started: float, now: float
) -> Aim | None:
    """The probe that the account needs now."""
    current = {scope: state for scope, state in states.items() if state.until > now}
    for scope, state in sorted(current.items(), key=lambda item: item[1].until):
        if state.until <= now + AHEAD and (model := model_for(account, scope)):
            return Aim(model, (scope, state))
    if due_at(account, last, started) > now:
        return None
    model = next(iter(names_of(account)), None)
    hard = {scope for scope, state in current.items() if not state.soft}
    if model is None or hard & set(covered(account.model_map.get(model, model))):
        return None
    return Aim(model)


class Write(Struct, frozen=True):
    """One change of the state: of the account, or of its proxy. `state` None clears."""

    owner: str
    scope: str
    state: State | None


def writes(
    account: Account, aim: Aim, verdict: Verdict, status: int, held: Mapping[str, State], started: float, now: float
) -> list[Write]:
    """What the outcome changes. `held`: the account's states as they are now; newer ones than the probe stay."""
    model = account.model_map.get(aim.model, aim.model)
    if verdict.kind is Kind.OK:
        lifted = [scope for scope in covered(model) if scope in held and held[scope].since < started]
        return [Write(account.id, scope, None) for scope in lifted]
    scope, until = scope_of(verdict, model), verdict.until or now + 60
    if verdict.reason == "proxy" and account.proxy is not None:
        if verdict.kind is not Kind.COOL_DOWN:
            return []
        return [Write(account.proxy.id, scope, State("proxy", until, now, SOURCE, status))]
    if verdict.kind is Kind.DISABLE:
        return [Write(account.id, scope, State(verdict.reason, FOR_EVER, now, SOURCE, status))]
    ending = aim.ending
    if verdict.kind is Kind.COOL_DOWN:
        if ending is not None:
            until = max(until, ending[1].until + PROLONGED)
        before = held.get(scope)
        if before is not None and not before.soft and before.until >= until:
            return []
        return [Write(account.id, scope, State(verdict.reason, until, now, SOURCE, status, soft=verdict.overload))]
    if ending is not None and (verdict.counts or verdict.reason == "network"):
        return [Write(account.id, ending[0], prolonged(ending[1], now, status))]
    return []


def prolonged(state: State, now: float, status: int = 0) -> State:
    until = max(state.until, now) + PROLONGED
    faults = state.faults + (state.reason == BREAKER)
    return msgspec.structs.replace(state, until=until, since=now, request_id=SOURCE, status=status, faults=faults)


def holding(state: State) -> State:
    """The state while a probe takes longer than it would have lasted."""
    return msgspec.structs.replace(state, until=state.until + probe.SECONDS)


def let_go(account: Account, aim: Aim, held: Mapping[str, State]) -> list[Write]:
    """A probe that says nothing changes nothing: what was held for it ends as it would have ended."""
    if aim.ending is None or held.get(aim.ending[0]) != holding(aim.ending[1]):
        return []
    return [Write(account.id, aim.ending[0], None)]
