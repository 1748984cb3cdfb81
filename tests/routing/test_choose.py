"""The one predicate, the order of candidates, and what is said when there is none."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.domain import Account, Caller
from gateway.core.errors import GatewayError
from gateway.core.snapshot import Snapshot, build
from gateway.core.state import FOR_EVER, State
from gateway.protocols.codec import Endpoint
from gateway.routing.authorise import EVERY, Route
from gateway.routing.choose import choose, excluded, exclusions, no_account, serving
from gateway.routing.states import States

NOW = 1000.0
MODEL = "claude-sonnet-x"


def account(name: str, **fields: Any) -> Account:
    given = {"tenant_id": "ten_1", "platform": "claude-console", "models": ("*",), **fields}
    return Account(**{"id": name, "name": name, "base_url": "", "credentials": {}, **given})


def route(model: str = MODEL, caller: Mapping[str, Any] | None = None, **fields: Any) -> Route:
    who = Caller(**{"key_id": "key_1", "tenant_id": "ten_1", "name": "", "platforms": ("*",), **(caller or {})})
    endpoint = Endpoint("anthropic", "generate", "/v1/messages")
    return Route(
        **{"caller": who, "endpoint": endpoint, "model": model, "platforms": EVERY, "asked_platforms": EVERY, **fields}
    )


def snapshot(*accounts: Account) -> Snapshot:
    return build(1, (), (), accounts)


@pytest.mark.parametrize(
    ("held", "asked", "reason"),
    [
        ({}, {}, None),
        ({"tenant_id": "ten_2"}, {}, "model_not_served"),
        ({"models": ("gpt-*",)}, {}, "model_not_served"),
        ({"models": (), "model_map": {MODEL: "deployment"}}, {}, None),
        ({}, {"asked_platforms": frozenset({"gemini"})}, "not_asked_for"),
        ({"provider": "a"}, {"provider": "b"}, "not_asked_for"),
        ({"explicit_only": True}, {}, "explicit_only"),
        ({"explicit_only": True}, {"explicit": True}, None),
        ({}, {"platforms": frozenset({"gemini"})}, "platform_forbidden"),
        ({}, {"caller": {"account_id": "other"}}, "key_bound_to_account"),
        ({"pools": ("p1",)}, {"caller": {"pools": ("p2",)}}, "key_bound_to_pool"),
        ({"pools": ("p1",)}, {"caller": {"pools": ("p2", "p1")}}, None),
        ({"platform": "openai"}, {}, "needs_translation"),
        ({"enabled": False}, {}, "disabled"),
        ({"expires_at": NOW}, {}, "expired"),
        ({"expires_at": NOW + 1}, {}, None),
    ],
)
def test_the_predicate(held: dict[str, Any], asked: dict[str, Any], reason: str | None) -> None:
    found = excluded(account("a", **held), route(**asked), States(), NOW)
    assert (found and found.reason) == reason


@pytest.mark.parametrize(
    ("scope", "model", "out"),
    [
        ("account", MODEL, True),
        ("family:sonnet", MODEL, True),
        ("family:sonnet", "claude-opus-x", False),
        (f"model:{MODEL}", MODEL, True),
        (f"model:{MODEL}", "claude-sonnet-y", False),
    ],
)
def test_a_state_covers_its_scope_until_its_end(scope: str, model: str, out: bool) -> None:
    states = States()
    states.set("a", scope, State("overloaded", NOW + 5))
    assert (excluded(account("a"), route(model), states, NOW) is not None) is out
    assert excluded(account("a"), route(model), states, NOW + 5) is None


def order(states: States, *accounts: Account) -> list[str]:
    return [one.account.id for one in choose(route(), snapshot(*accounts), states, NOW)]


def test_priority_then_load_then_the_longest_idle_then_the_soft() -> None:
    states = States()
    accounts = [
        account("soft", priority=1),
        account("late", priority=9),
        *(account(name, priority=5) for name in "abc"),
    ]
    states.set("soft", "family:sonnet", State("overloaded", NOW + 5, soft=True))
    assert order(states, *accounts) == ["a", "b", "c", "late", "soft"]
    for name in ("a", "a", "b"):
        states.began(name)
    assert order(states, *accounts) == ["c", "b", "a", "late", "soft"]
    for name in ("a", "a", "b"):
        states.ended(name)
    assert order(states, *accounts) == ["c", "a", "b", "late", "soft"]
    assert states.in_flight == {}


def test_load_is_measured_by_slots() -> None:
    states = States()
    for name in ("a", "a", "b"):
        states.began(name)
    assert order(states, account("a", max_concurrency=10), account("b", max_concurrency=2)) == ["a", "b"]


@pytest.mark.parametrize(
    ("accounts", "status", "code"),
    [
        ([], 404, "model_not_found"),
        ([account("a", explicit_only=True)], 404, "model_not_found"),
        ([account("a", platform="openai")], 400, "invalid_model"),
        ([account("a", enabled=False), account("b", platform="openai")], 503, "no_account"),
    ],
)
def test_why_there_is_none(accounts: list[Account], status: int, code: str) -> None:
    with pytest.raises(GatewayError) as caught:
        choose(route(), snapshot(*accounts), States(), NOW)
    assert (caught.value.http_status, caught.value.code) == (status, code)


def test_the_earliest_to_come_back_and_the_counts() -> None:
    states = States()
    accounts = [account(name) for name in "abcd"]
    states.set("a", "account", State("rate_limited", NOW + 70))
    states.set("b", "family:sonnet", State("overloaded", NOW + 30.2))
    states.set("c", "account", State("disabled", FOR_EVER))
    states.set("d", "family:sonnet", State("overloaded", NOW + 40, soft=True))
    found = exclusions(route(), snapshot(*accounts), states, NOW)
    error = no_account(found, NOW)
    # The last usable account is tried again at once, however long it stays the last choice.
    assert (error.code, error.headers["retry-after"]) == ("no_account", "2")
    assert error.message.endswith("3 cooling down, 0 busy, 1 disabled.")
    busy = no_account(found, NOW, busy=2)
    assert (busy.code, busy.headers["retry-after"]) == ("overloaded", "1")
    assert "retry-after" not in no_account((), NOW).headers


def test_no_old_configuration_is_kept() -> None:
    serving.cache_clear()
    assert serving(snapshot(account("a")), "ten_1", MODEL) != ()
    assert serving.cache_info().currsize == 1
