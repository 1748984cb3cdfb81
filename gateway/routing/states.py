"""The accounts' automatic state, as this process knows it: a copy of what is in Redis, at most a second old.

A state always has an end. It is written to Redis at once and held here from the same moment, so that the process that
saw the trouble acts on it even when Redis is away.
"""

import time
from collections.abc import Mapping

import msgspec

from gateway.core.learned import Learned, decode
from gateway.core.state import State
from gateway.routing.latency import Latencies
from gateway.routing.strategies import Turns

_WRITE_EVERY = 1.0


class States:
    """Copies by account and scope ("account", "family:…", "model:…")."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, State]] = {}
        self._own: dict[tuple[str, str], State | None] = {}
        self.in_flight: dict[str, int] = {}
        """Requests of this process by account."""
        self.last_used: dict[str, int] = {}
        """A number that grows with each request given to an account: the lowest has been idle longest."""
        self.answering: set[str] = set()
        """Accounts whose last request here was answered, for all that is known."""
        self._uses = 0
        self.latencies = Latencies()
        self.turns = Turns()
        self.near: dict[tuple[str, str], float] = {}
        """Account and family → until when it is near a limit of its upstream."""
        self._learned: dict[tuple[str, str], Learned] = {}
        self._told: dict[tuple[str, str], float] = {}
        """When this process wrote it to Redis last."""

    def began(self, account_id: str) -> None:
        """A request was given to the account."""
        self._uses += 1
        self.last_used[account_id] = self._uses
        self.in_flight[account_id] = self.in_flight.get(account_id, 0) + 1

    def ended(self, account_id: str) -> None:
        left = self.in_flight.get(account_id, 0) - 1
        if left > 0:
            self.in_flight[account_id] = left
        else:
            self.in_flight.pop(account_id, None)

    def set(self, account_id: str, scope: str, state: State) -> None:
        self._held.setdefault(account_id, {})[scope] = state
        self._own[account_id, scope] = state

    def clear(self, account_id: str, scope: str) -> None:
        scopes = self._held.get(account_id)
        if scopes and scopes.pop(scope, None):
            self._own[account_id, scope] = None

    def scopes(self, account_id: str) -> Mapping[str, State]:
        return self._held.get(account_id, {})

    def of(self, account_id: str, family: str, model: str, now: float) -> State | None:
        """The state that keeps this account from this model, the one that lasts longest; None when it is usable."""
        scopes = self._held.get(account_id)
        if not scopes:
            return None
        found = [scopes.get("account"), scopes.get(f"family:{family}"), scopes.get(f"model:{model}")]
        current = [state for state in found if state is not None and state.until > now]
        hard = [state for state in current if not state.soft]
        return max(hard or current, key=lambda state: state.until, default=None)

    def half_open(self, account_id: str, family: str, model: str, key_id: str, now: float) -> str:
        """The scope of a breaker that one request may try whether to close; "" when there is none for this key."""
        scopes = self._held.get(account_id)
        if not scopes:
            return ""
        names = ("account", f"family:{family}", f"model:{model}")
        held = ((name, scopes[name]) for name in names if name in scopes)
        return next((name for name, state in held if state.half_open(now) and not state.spares(key_id)), "")

    def learn(self, account_id: str, family: str, found: Learned) -> bool:
        """What the upstream just said of its limits. Returns whether it is to be written: once a second at most."""
        key = account_id, family
        self._learn(key, found)
        if 0 <= found.at - self._told.get(key, 0.0) < _WRITE_EVERY:
            return False
        self._told[key] = found.at
        return True

    def near_limit(self, account_id: str, family: str, now: float) -> bool:
        return self.near.get((account_id, family), 0.0) > now

    def replace_learned(self, fields: Mapping[str, str], now: float) -> None:
        """What Redis holds. The newest counts; what is over is forgotten."""
        for field, text in fields.items():
            account_id, _, family = field.partition("|")
            found, held = decode(text), self._learned.get((account_id, family))
            if found is not None and found.until > now and (held is None or held.at < found.at):
                self._learn((account_id, family), found)
        for key in [key for key, found in self._learned.items() if found.until <= now]:
            del self._learned[key]
            self.near.pop(key, None)
            self._told.pop(key, None)

    def _learn(self, key: tuple[str, str], found: Learned) -> None:
        self._learned[key] = found
        until = found.near_until()
        if until > found.at:
            self.near[key] = until
        else:
            self.near.pop(key, None)

    def written(self) -> Mapping[tuple[str, str], State | None]:
        """What this process has written so far: a copy of Redis that is asked for now will hold it."""
        return dict(self._own)

    def replace(self, fields: Mapping[str, str], confirmed: Mapping[tuple[str, str], State | None]) -> None:
        """What Redis holds. Own changes made since it was asked are kept: they are not in there yet."""
        now = time.time()
        held: dict[str, dict[str, State]] = {}
        for field, text in fields.items():
            account_id, _, scope = field.partition("|")
            try:
                state = msgspec.json.decode(text, type=State)
            except msgspec.MsgspecError:
                continue
            if state.until > now or state.half_open(now):
                held.setdefault(account_id, {})[scope] = state
        for key, state in confirmed.items():
            if key in self._own and self._own[key] is state:
                del self._own[key]
        for (account_id, scope), state in self._own.items():
            if state is None:
                held.get(account_id, {}).pop(scope, None)
            elif state.until > now or state.half_open(now):
                held.setdefault(account_id, {})[scope] = state
        self._held = held
