"""The one predicate, the order of candidates, and what is said when there is none."""

import heapq
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs

from gateway.core.domain import FAMILIES, Account, Caller, Pool
from gateway.core.errors import GatewayError
from gateway.core.learned import Window, learned
from gateway.core.secret import Secret
from gateway.core.snapshot import Snapshot, build
from gateway.core.state import BREAKER, FOR_EVER, State
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech
from gateway.protocols.codec import Endpoint
from gateway.routing.authorise import EVERY, Destination, Route
from gateway.routing.choose import choose, excluded, exclusions, kind_of, no_account
from gateway.routing.fitting import Exclusion
from gateway.routing.latency import LOOK_REQUESTS, SAMPLES
from gateway.routing.states import States

NOW = 1000.0
MODEL = "claude-sonnet-x"


def account(name: str, **fields: Any) -> Account:
    given = {"tenant_id": "ten_1", "platform": "claude-console", "models": ("*",), **fields}
    return Account(**{"id": name, "name": name, "base_url": "", "credentials": {}, **given})


def route(model: str = MODEL, caller: Mapping[str, Any] | None = None, **fields: Any) -> Route:
    who = Caller(**{"key_id": "key_1", "tenant_id": "ten_1", "name": "", "platforms": ("*",), **(caller or {})})
    endpoint = Endpoint("anthropic", "generate", "/v1/messages")
    asked = {name: fields.pop(name) for name in ("provider", "pool_id", "account_id", "explicit") if name in fields}
    destination = Destination(model, fields.pop("asked_platforms", EVERY), **asked)
    given = {"caller": who, "endpoint": endpoint, "model": model, "platforms": EVERY, "destinations": (destination,)}
    return Route(**{**given, **fields})


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
        ({"platform": "openai"}, {}, None),
        ({"platform": "openai"}, {"endpoint": Endpoint("anthropic", "embed", "")}, None),
        ({}, {"endpoint": Endpoint("openai_chat", "embed", "/v1/embeddings")}, "operation_not_served"),
        ({"pools": ("p1",)}, {"pool_id": "p1"}, None),
        ({"pools": ("p1",)}, {"pool_id": "p2"}, "not_asked_for"),
        ({"id": "a1"}, {"account_id": "a1"}, None),
        ({"id": "a1"}, {"account_id": "a2"}, "not_asked_for"),
        ({"enabled": False}, {}, "disabled"),
        ({"expires_at": NOW}, {}, "expired"),
        ({"expires_at": NOW + 1}, {}, None),
    ],
)
def test_the_predicate(held: dict[str, Any], asked: dict[str, Any], reason: str | None) -> None:
    found = excluded(account(held.pop("id", "a"), **held), route(**asked), States(), NOW)
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


def test_priority_then_load_then_the_longest_idle_and_the_soft_last() -> None:
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
    assert [one.slow for one in choose(route(), snapshot(*accounts), states, NOW)] == [False] * 4 + [True]
    assert states.in_flight == {}
    assert order(states, accounts[0]) == ["soft"]
    alone = choose(route(), snapshot(*accounts), states, NOW, tried={(name, 0) for name in ("a", "b", "c", "late")})
    assert [one.account.id for one in alone] == ["soft"]


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
        ([account("a", platform="bedrock")], 400, "invalid_model"),
        ([account("a", enabled=False), account("b", platform="bedrock")], 503, "no_account"),
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


# Tiers


def test_what_is_worse_comes_later_whatever_its_priority() -> None:
    states = States()
    kind = kind_of(route())
    for at in range(SAMPLES):
        for name, seconds in (("slow", 9.0), ("p99", 0.1), ("p99b", 0.1)):
            states.latencies.add(kind, account(name, priority=1), seconds, at)
    states.learn("near", "sonnet", learned((Window("tokens", used=0.96, resets_at=NOW + 9),), NOW))
    accounts = [
        account("p99", priority=99),
        account("p99b", priority=100),
        account("slow", priority=2),
        account("near", priority=1),
        account("drains", priority=1, draining=True),
    ]
    found = choose(route(session="s"), snapshot(*accounts), states, NOW)
    assert [(one.account.id, one.tier) for one in found] == [
        ("p99", 99), ("p99b", 100), ("near", 1001), ("slow", 1002), ("drains", 400_001),
    ]  # fmt: skip
    assert [one.account.id for one in found if one.slow] == ["slow"]
    # Its window is over: the account is as good as before.
    assert choose(route(), snapshot(*accounts), states, NOW + 9)[0].account.id == "near"


def test_translated_after_native(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoken(held: Account, *_: Any) -> Speech:
        return Speech.TRANSLATED if held.id.startswith("t") else Speech.NATIVE

    platform = structs.replace(PLATFORMS["claude-console"], speaks=spoken)
    monkeypatch.setattr("gateway.routing.speaking.PLATFORMS", {**PLATFORMS, "claude-console": platform})
    states = States()
    states.learn("near", "sonnet", learned((Window("tokens", used=0.96, resets_at=NOW + 9),), NOW))
    accounts = [account("t1", priority=1), account("n1", priority=90), account("near", priority=1)]
    found = choose(route(), snapshot(*accounts), states, NOW)
    assert [(one.account.id, one.translated) for one in found] == [("n1", False), ("near", False), ("t1", True)]


def test_draining_is_for_what_may_be_bound_to_it() -> None:
    drains = account("a", draining=True)
    assert excluded(drains, route(), States(), NOW) == Exclusion("draining")
    for bound in ({"session": "s"}, {"previous_response_id": "resp_1"}, {"reasoning": "digest"}):
        assert excluded(drains, route(**bound), States(), NOW) is None
    with pytest.raises(GatewayError) as caught:
        choose(route(), snapshot(drains), States(), NOW)
    assert caught.value.code == "no_account"
    assert caught.value.message.endswith(": 0 cooling down, 0 busy, 1 disabled.")


def test_a_half_open_breaker_says_its_scope() -> None:
    states = States()
    states.set("a", "family:sonnet", State(BREAKER, NOW))
    states.set("b", "family:sonnet", State("rate_limited", NOW))
    states.set("c", "account", State(BREAKER, NOW + 1))
    found = choose(route(), snapshot(account("a"), account("b"), account("c")), states, NOW)
    assert {one.account.id: one.probe for one in found} == {"a": "family:sonnet", "b": ""}
    assert {one.probe for one in choose(route("claude-opus-x"), snapshot(account("a")), states, NOW)} == {""}


# The targets of an alias


def led(*destinations: Destination, **fields: Any) -> Route:
    return route("alias", destinations=destinations, **fields)


@pytest.mark.parametrize(
    ("destination", "served"),
    [
        (Destination("m"), {"console", "bedrock", "gpt", "maker"}),
        (Destination("m", explicit=True), {"console", "bedrock", "ccr", "gpt", "maker"}),
        (Destination("m", frozenset({"bedrock"}), explicit=True), {"bedrock"}),
        (Destination("m", FAMILIES["claude"], explicit=True), {"console", "bedrock", "ccr"}),
        (Destination("m", FAMILIES["claude"]), {"console", "bedrock"}),
        (Destination("m", frozenset({"claude-ccr"}), explicit=True), {"ccr"}),
        (Destination("m", provider="deepseek"), {"maker"}),
        (Destination("m", frozenset({"bedrock"}), provider="deepseek"), set()),
        (Destination("m", pool_id="p1"), {"console", "gpt"}),
        (Destination("m", pool_id="p9"), set()),
        (Destination("m", account_id="gpt"), {"gpt"}),
        (Destination("m", account_id="far"), set()),
        (Destination("n", account_id="gpt"), set()),
    ],
)
def test_where_a_destination_may_lead(destination: Destination, served: set[str]) -> None:
    accounts = [
        account("console", models=("m",), pools=("p1", "p2")),
        account(
            "bedrock",
            platform="bedrock",
            models=(),
            model_map={"m": "anthropic.claude-x"},
            options={"region": "us-east-1"},
            credentials={"bearer_token": Secret("x")},
        ),
        account("ccr", platform="claude-ccr", models=("m",), explicit_only=True),
        account("gpt", platform="openai", models=("m",), pools=("p1",)),
        account("maker", platform="openai", models=("m",), provider="deepseek"),
        account("far", models=("m",), tenant_id="ten_2"),
    ]
    asked = led(destination)
    assert {one.id for one in accounts if excluded(one, asked, States(), NOW) is None} == served


def test_the_target_drawn_first_comes_first_whatever_is_behind_it() -> None:
    states = States()
    kind = kind_of(led(Destination("a")))
    for at in range(SAMPLES):
        for name, seconds in (("slow", 9.0), ("one", 0.1), ("two", 0.1)):
            states.latencies.add(kind, account(name, priority=2), seconds, at)
    accounts = [
        account("slow", models=("a",), priority=2),
        account("one", models=("a",), priority=100),
        account("said otherwise", platform="openai", models=("a",), priority=1),
        account("two", models=("b",), priority=1),
        account("three", models=("c",), priority=1),
        account("bound", models=("a",), priority=1, draining=True),
        account("spared", models=("a",), priority=1),
        account("out", models=("a",), priority=1),
    ]
    states.set("spared", "account", State("overloaded", NOW + 5, soft=True))
    states.set("out", "account", State("rate_limited", NOW + 5))
    asked = led(Destination("a"), Destination("b"), Destination("c"), session="s")
    found = choose(asked, snapshot(*accounts), states, NOW)
    assert [(one.account.id, one.tier, one.target, one.model) for one in found] == [
        ("one", 100, 0, "a"),
        ("slow", 1002, 0, "a"),
        ("said otherwise", 2001, 0, "a"),
        ("two", 4001, 1, "b"),
        ("three", 8001, 2, "c"),
        ("bound", 400_001, 0, "a"),
        ("spared", 800_001, 0, "a"),
    ]


def test_an_account_of_several_targets_stands_where_it_is_best() -> None:
    both = account("both", model_map={"b": "mapped"})
    asked = led(Destination("claude-opus-x"), Destination("b"), Destination("claude-haiku-x", account_id="both"))

    def best(states: States, *tried: int) -> list[tuple[str, int, int]]:
        try:
            found = choose(asked, snapshot(both), states, NOW, tried={("both", at) for at in tried})
        except GatewayError:
            return []
        return [(one.model, one.target, one.tier) for one in found]

    states = States()
    assert best(states) == [("claude-opus-x", 0, 50)]
    # What it has failed as is over, and a session does not stay with it.
    assert best(states, 0) == [("mapped", 1, 5050)]
    assert best(states, 0, 1) == [("claude-haiku-x", 2, 9050)]
    assert best(states, 0, 1, 2) == []
    states.set("both", "family:opus", State("overloaded", NOW + 5, soft=True))
    assert best(states) == [("mapped", 1, 4050)], "what is only spared is not better than what is well"
    states.set("both", "model:mapped", State("model", NOW + 5))
    assert best(states) == [("claude-haiku-x", 2, 8050)]
    states.set("both", "family:haiku", State("rate_limited", NOW + 5))
    assert best(states) == [("claude-opus-x", 0, 800_050)]
    states.set("both", "account", State("disabled", FOR_EVER))
    assert best(states) == []


def test_accounts_of_one_target_are_chosen_among_as_ever() -> None:
    states = States()
    accounts = [account(name, models=("a",)) for name in "xyz"] + [account("n", models=("b",))]
    states.began("x")
    asked = led(Destination("a"), Destination("b"))
    assert [one.account.id for one in choose(asked, snapshot(*accounts), states, NOW)] == ["y", "z", "x", "n"]


@pytest.mark.parametrize(
    ("targets", "accounts", "status", "code"),
    [
        ([Destination("a"), Destination("b")], [account("x", models=("c",))], 404, "model_not_found"),
        ([Destination("a", pool_id="p")], [account("x", models=("a",))], 404, "model_not_found"),
        (
            [Destination("a", pool_id="p"), Destination("b")],
            [account("x", models=("a",)), account("y", models=("b",), platform="gemini")],
            403,
            "platform_forbidden",
        ),
        (
            [Destination("a"), Destination("b")],
            [account("x", models=("a",), enabled=False), account("y", models=("b",), platform="gemini")],
            503,
            "no_account",
        ),
    ],
)
def test_why_none_of_the_targets_can_be_reached(
    targets: list[Destination], accounts: list[Account], status: int, code: str
) -> None:
    with pytest.raises(GatewayError) as caught:
        choose(led(*targets, platforms=frozenset({"claude-console"})), snapshot(*accounts), States(), NOW)
    assert (caught.value.http_status, caught.value.code) == (status, code)
    assert "'alias'" in caught.value.message or status != 404, "in the words of the client"


def test_the_pool_of_a_target_decides_among_its_accounts() -> None:
    pools = [Pool("r", "ten_1", "b", "round_robin"), Pool("l", "ten_1", "c", "latency")]
    known = build(1, (), pools, [account(name, pools=("r", "l")) for name in "xyz"])
    for pool, strategy in (("r", "round_robin"), ("l", "latency")):
        asked = led(Destination("a", pool_id=pool), caller={"pools": ("r", "l") if pool == "l" else ("l", "r")})
        assert {one.strategy for one in choose(asked, known, States(), NOW)} == {strategy}


# Who decides


@pytest.mark.parametrize(
    ("held", "bound", "strategy"),
    [
        (("r", "l"), (), "round_robin"),  # first by name
        (("r", "l"), ("l", "r"), "latency"),  # first in the key's order
        (("l",), (), "latency"),
        (("b", "l"), (), "least_busy"),  # "a-busy" comes first by name
        (("gone",), (), "least_busy"),
        ((), (), "least_busy"),
    ],
)
def test_the_pool_that_decides(held: tuple[str, ...], bound: tuple[str, ...], strategy: str) -> None:
    pools = [Pool("r", "ten_1", "b", "round_robin"), Pool("l", "ten_1", "c", "latency"), Pool("b", "ten_1", "a-busy")]
    found = build(1, (), pools, [account(name, pools=held) for name in "xyz"])
    chosen = choose(route(caller={"pools": bound}), found, States(), NOW)
    assert {one.strategy for one in chosen} == {strategy}


def test_a_pool_decides_only_where_all_are_in_it() -> None:
    pools = [Pool("r", "ten_1", "r", "round_robin")]
    accounts = [account("a", pools=("r",)), account("b"), account("c", pools=("r",), priority=60)]
    found = choose(route(), build(1, (), pools, accounts), States(), NOW)
    assert {one.account.id: one.strategy for one in found} == {
        "a": "least_busy", "b": "least_busy", "c": "round_robin",
    }  # fmt: skip


def test_a_bound_key_never_leaves_its_pools() -> None:
    accounts = [account("a", pools=("p",)), account("b", pools=("q",)), account("c")]
    states = States()
    bound = route(caller={"pools": ("p",)})
    assert [one.account.id for one in choose(bound, snapshot(*accounts), states, NOW)] == ["a"]
    states.set("a", "account", State("overloaded", NOW + 5))
    with pytest.raises(GatewayError) as caught:
        choose(bound, snapshot(*accounts), states, NOW)
    assert (caught.value.code, caught.value.headers["retry-after"]) == ("no_account", "5")


# Slow accounts


def test_targets_of_an_alias_are_not_compared_with_each_other() -> None:
    """A large model is slower than a small one: its accounts are no slow accounts, and sessions stay with them."""
    states = States()
    asked = led(Destination("large"), Destination("small"))
    times = {"large": {"a": 9.0, "b": 9.0, "slow": 90.0}, "small": {"slow": 0.1, "c": 0.1, "d": 0.1, "b": 8.0}}
    for target, means in enumerate(times.values()):
        for at in range(SAMPLES):
            for name, seconds in means.items():
                states.latencies.add(kind_of(asked, target), account(name), seconds, at)
    held = snapshot(
        *(account(name, models=("large",)) for name in "a"),
        *(account(name, models=("large", "small")) for name in ("b", "slow")),
        *(account(name, models=("small",)) for name in "cd"),
    )
    for leads, order in (
        (asked, [("a", 0), ("b", 0), ("slow", 0), ("c", 1), ("d", 1)]),
        (led(*reversed(asked.destinations)), [("c", 0), ("d", 0), ("slow", 0), ("b", 0), ("a", 1)]),
    ):
        found = choose(leads, held, states, NOW)
        assert [(one.account.id, one.target) for one in found] == order
        assert [one.account.id for one in found if one.slow] == ["slow" if leads is asked else "b"]


def test_a_slow_account_is_looked_at_as_the_target_that_it_is_slow_at() -> None:
    states = States()
    asked = led(Destination("large"), Destination("small"))
    for at in range(SAMPLES):
        for name, seconds in {"a": 0.1, "b": 0.1, "slow": 9.0}.items():
            states.latencies.add(kind_of(asked, 1), account(name), seconds, at)
    accounts = [account(name, models=("small",)) for name in ("a", "b", "slow")]
    first = account("first", models=("large",))
    for held, looks in ((accounts, 1), ([*accounts, first], 0)):
        found = [choose(asked, snapshot(*held), states, 1e6, turn=True)[0] for _ in range(LOOK_REQUESTS)]
        assert [one.account.id for one in found if one.looked_at] == ["slow"] * looks
        peers = states.latencies.of(kind_of(asked, 1))
        assert peers is not None
        peers.looked(1e6 - 100)


def slow_one(states: States, **more: float) -> None:
    for at in range(SAMPLES):
        for name, seconds in {"a": 0.1, "b": 0.1, "slow": 9.0, **more}.items():
            states.latencies.add(kind_of(route()), account(name), seconds, at)


def test_a_slow_account_is_looked_at_now_and_then() -> None:
    states = States()
    slow_one(states)
    accounts = snapshot(account("a"), account("b"), account("slow"))
    now, first = 100.0, Counter[str]()
    for _ in range(3000):
        now += 0.1
        best = choose(route(), accounts, states, now, turn=True)[0]
        first[best.account.id] += 1
        if best.looked_at:
            assert not best.slow, "a session may come to it this once"
            peers = states.latencies.of(kind_of(route()))
            assert peers is not None
            peers.looked(now)
    assert 3000 / LOOK_REQUESTS - 2 <= first["slow"] <= 3000 / LOOK_REQUESTS
    assert all(choose(route(), accounts, states, now + 1e6)[-1].slow for _ in range(300)), "asking is no request"


def test_a_slow_account_of_a_later_priority_is_left_there() -> None:
    states = States()
    slow_one(states)
    accounts = snapshot(account("a"), account("b"), account("slow", priority=60))
    assert {choose(route(), accounts, states, 1e6, turn=True)[0].account.id for _ in range(600)} == {"a"}


def test_what_is_asked_for_differently_is_not_compared() -> None:
    states = States()
    slow_one(states)
    accounts = snapshot(account("slow"), account("z"))
    assert choose(route(), accounts, states, NOW)[0].account.id == "z"
    for other in (route(stream=True), route("claude-opus-x")):
        assert [one.account.id for one in choose(other, accounts, states, NOW)] == ["slow", "z"]


@pytest.mark.parametrize("rate", [3, 10])
def test_an_hours_traffic_with_one_slow_account_of_twenty(rate: int) -> None:
    """By a clock of its own: nobody's p99 is harmed, the others share the load, and the slow one is not forgotten."""
    names = [f"a{at}" for at in range(20)]
    waits, used = hour(names, {"a7": 4.0}, rate)
    healthy, _ = hour(names, {}, rate)
    assert p99(waits) <= 1.2 * p99(healthy)
    rest = [used[name] for name in names if name != "a7"]
    assert max(rest) - min(rest) < 0.1 * (sum(rest) / len(rest))
    assert SAMPLES <= used["a7"] < 0.01 * len(waits)


def test_a_slow_account_that_recovers_gets_its_share_again() -> None:
    names = [f"a{at}" for at in range(20)]
    _, used = hour(names, {"a7": 4.0}, 10, well_after=600.0)
    assert used["a7"] > 0.6 * used["a1"]


def p99(waits: list[float]) -> float:
    return sorted(waits)[int(len(waits) * 0.99)]


def hour(
    names: list[str], slow: dict[str, float], rate: int, well_after: float = 1e9
) -> tuple[list[float], Counter[str]]:
    """Seconds to the first byte of an hour's requests, and how many each account got. A healthy one takes 0.35 s in the
    median, a slow one so many seconds more."""
    source = random.Random(1)
    states, held = States(), snapshot(*(account(name) for name in names))
    asked, kind = route(stream=True), kind_of(route(stream=True))
    running: list[tuple[float, float, str]] = []
    waits: list[float] = []
    used: Counter[str] = Counter()
    now = 0.0
    while now < 3600:
        now += source.expovariate(rate)
        while running and running[0][0] <= now:
            at, seconds, name = heapq.heappop(running)
            states.ended(name)
            states.latencies.add(kind, held.accounts[name], seconds, at)
        best = choose(asked, held, states, now, turn=True)[0]
        peers = states.latencies.of(kind)
        if best.looked_at and peers is not None:
            peers.looked(now)
        name = best.account.id
        states.began(name)
        used[name] += 1
        seconds = source.lognormvariate(-1.05, 0.4) + (slow.get(name, 0.0) if now < well_after else 0.0)
        waits.append(seconds)
        heapq.heappush(running, (now + seconds, seconds, name))
    return waits, used


def test_what_one_key_alone_has_met_is_not_the_others_matter() -> None:
    states, only = States(), account("only")
    states.set("only", "family:sonnet", State("breaker", NOW + 30, NOW, soft=True, key="key_1", faults=5))
    with pytest.raises(GatewayError) as caught:
        choose(route(), snapshot(only), states, NOW)
    assert caught.value.headers["retry-after"] == "30"
    other = route(caller={"key_id": "key_2"})
    assert [one.probe for one in choose(other, snapshot(only), states, NOW)] == [""]
    # With another account to go to, it comes last: that one may be full, or not what a response is bound to.
    assert [one.account.id for one in choose(other, snapshot(only, account("b")), states, NOW)] == ["b", "only"]
    later = NOW + 31
    assert choose(route(), snapshot(only), states, later)[0].probe == "family:sonnet"
    assert choose(other, snapshot(only), states, later)[0].probe == ""
