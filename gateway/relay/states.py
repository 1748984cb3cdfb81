"""The accounts' automatic state, as this process knows it: a copy of what is in Redis, at most a second old.

A state always has an end. It is written to Redis at once and held here from the same moment, so that the process that
saw the trouble acts on it even when Redis is away.
"""

import time
from collections.abc import Mapping

import msgspec
from msgspec import Struct


class State(Struct, frozen=True):
    """Why an account (or a part of it) is not used. `until` is the epoch in seconds."""

    reason: str
    until: float
    since: float = 0.0
    request_id: str = ""
    status: int = 0
    soft: bool = False
    """Only tried last: the last usable account is never taken out for an overload."""


FOR_EVER = 4102444800.0
"""2100: the end of a state that only an operator lifts."""


def encode(state: State) -> bytes:
    return msgspec.json.encode(state)


class States:
    """Copies by account and scope ("account", "family:…", "model:…")."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, State]] = {}
        self._own: dict[tuple[str, str], State | None] = {}
        self.in_flight: dict[str, int] = {}

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

    def replace(self, fields: Mapping[str, str]) -> None:
        """What Redis holds, read a moment ago. Own changes of the last seconds are kept: they may not be there yet."""
        now = time.time()
        held: dict[str, dict[str, State]] = {}
        for field, text in fields.items():
            account_id, _, scope = field.partition("|")
            try:
                state = msgspec.json.decode(text, type=State)
            except msgspec.MsgspecError:
                continue
            if state.until > now:
                held.setdefault(account_id, {})[scope] = state
        for (account_id, scope), state in self._own.items():
            if state is None:
                held.get(account_id, {}).pop(scope, None)
            elif state.until > now:
                held.setdefault(account_id, {})[scope] = state
        self._held = held

    def confirm(self) -> None:
        """Redis has what this process wrote: from now on its copy is the truth."""
        self._own.clear()
