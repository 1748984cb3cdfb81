"""The arguments of the admit script: masks, flags, what is bound, and who is offered first."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.core.counters import Counter
from gateway.core.domain import Limit, Period
from gateway.core.names import reasoning_name, response_name, session_name
from gateway.core.prices import shipped
from gateway.protocols.codec import Peek
from gateway.relay.estimate import Estimate, Means
from gateway.relay.offer import Ask, asked, first, including, mask_of, of_account
from gateway.routing.authorise import Route
from gateway.routing.fitting import Candidate
from gateway.routing.speaking import Spoken
from tests.routing.test_choose import account, route

SPOKEN = Spoken("anthropic", "generate")


def candidates(count: int, **fields: Any) -> Sequence[Candidate]:
    return [Candidate(account(f"a{at}"), "m", 50, SPOKEN, **fields) for at in range(count)]


def ask(asking: Route | None = None, offered: Sequence[Candidate] = (), leaving: str = "", held: Any = ()) -> Ask:
    asking, offered = asking or route(), offered or candidates(1)
    estimate = Estimate(asking, Peek("m", max_tokens=500), 70, offered, Means(), shipped(), 1_790_000_000.0)
    return asked("req_1", asking, offered, b"row", leaving, list(held), estimate)


def requests(owner: str, scope: Any = "key", **fields: Any) -> Limit:
    return Limit("requests", 5, Period("minute", 60), owner=owner, scope=scope, **fields)


def own(name: str, *limits: Limit) -> Candidate:
    return Candidate(account(name, limits=limits), "m", 50, SPOKEN)


def rows(arguments: Sequence[Any], count: int) -> list[tuple[Any, ...]]:
    """The candidates' part: five values each, at the end."""
    flat = arguments[len(arguments) - 5 * count :]
    return [tuple(flat[at : at + 5]) for at in range(0, len(flat), 5)]


def test_the_plain_case() -> None:
    arguments, counters, _ = ask().arguments(candidates(2), whole=True)
    assert counters == []
    assert arguments == [
        "req_1", 60_000, b"row", "", 3600, "", "busy", "1", "", "", 0, 0, "key_1",
        2, "a0", 0, 50, "", "", "a1", 0, 50, "", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "binding", "sticky"),
    [
        ({}, ("", ""), ""),
        ({"session": "s"}, ("", ""), session_name("ten_1", "key_1", "s", "anthropic")),
        ({"previous_response_id": "r", "reasoning": "d"}, ("must", response_name("ten_1", "key_1", "r")), ""),
        ({"reasoning": "d"}, ("prefer", reasoning_name("ten_1", "key_1", "d")), ""),
    ],
)
def test_what_binds_a_request(fields: dict[str, str], binding: tuple[str, str], sticky: str) -> None:
    found = ask(route(**fields))
    assert (found.binding, found.sticky) == (binding, sticky)
    assert tuple(found.arguments(candidates(1), whole=False)[0][7:10]) == ("0", *binding)


def test_names_of_two_keys_and_of_two_kinds_never_meet() -> None:
    parts = [("ten_1", "key_1", "x"), ("ten_1", "key_2", "x"), ("ten_2", "key_1", "x"), ("ten_1", "key_1", "y")]
    named = {name(*given) for given in parts for name in (response_name, reasoning_name)}
    assert len(named) == 8


def test_flags_and_modes() -> None:
    offered = [
        Candidate(account("a", draining=True), "m", 50, SPOKEN, probe="account"),
        Candidate(account("b"), "m", 50, SPOKEN, probe="family:f", slow=True),
        Candidate(account("c"), "m", 50, SPOKEN, slow=True),
        Candidate(account("d", max_concurrency=7), "m", 51, SPOKEN),
    ]
    arguments, *_ = ask(offered=offered).arguments(offered, whole=True)
    assert [row[4] for row in rows(arguments, 4)] == ["d", "pfamily:f", "s", ""]
    assert rows(arguments, 4)[3] == ("d", 7, 51, "", "")
    for strategy, mode in (("round_robin", "idle"), ("latency", "order"), ("least_busy", "busy")):
        assert ask(offered=candidates(2, strategy=strategy)).head[6] == mode


def test_an_accounts_limits_apply_to_it_alone() -> None:
    caller = route(caller={"limits": (requests("key_1"), requests("key_1", platforms=("gemini",)))})
    offered = [
        own("a", requests("a", "account"), Limit("concurrency", 3, owner="a", scope="account")),
        own("b"),
        own("c", requests("c", "account", models=("gpt-*",)), requests("c", "account", platforms=("claude",))),
    ]
    made = ask(caller, offered)
    arguments, counters, _ = made.arguments(offered, whole=True)
    assert [one.limit.owner for one in counters] == ["key_1", "a", "a", "c"]
    assert arguments[10:12] == [4, 1]
    assert [row[3] for row in rows(arguments, 3)] == ["1110", "1000", "1001"]
    assert [row[3] for row in rows(made.arguments([own("b")], whole=True)[0], 1)] == [""]


def test_each_limit_says_how_much_the_request_is_expected_to_use() -> None:
    kinds = [Limit(kind, 5000, Period("minute", 60), owner="key_1") for kind in ("requests", "tokens", "input_tokens")]
    asking = route(caller={"limits": (*kinds, Limit("concurrency", 5, owner="key_1", queue_ms=700))})
    arguments, counters, _ = ask(asking).arguments(candidates(1), whole=True)
    said = [arguments[13 + 5 * at : 18 + 5 * at] for at in range(4)]
    assert [one[4] for one in said] == [1, 570, 70, 1]
    assert [(one[0], one[2], one[3]) for one in said] == [("S", 5000, 60_000)] * 3 + [("C", 5, 700)]
    assert [one[1] for one in said] == [one.name for one in counters]


def test_a_callers_limit_of_a_platform_is_masked_beside_them() -> None:
    caller = route(caller={"limits": (requests("key_1", platforms=("claude-console",)),)})
    offered = [
        Candidate(account("a", platform="claude-official", limits=(requests("a", "account"),)), "m", 50, SPOKEN),
        own("b", requests("b", "account")),
    ]
    arguments, *_ = ask(caller, offered).arguments(offered, whole=True)
    assert [row[3] for row in rows(arguments, 2)] == ["010", "101"]


def test_a_further_attempt_counts_only_what_is_new_and_gives_back_what_it_leaves() -> None:
    limits = (requests("key_1"), requests("key_1", platforms=("claude-official",)))
    caller = route(caller={"limits": limits})
    concurrent = Limit("concurrency", 3, owner="a", scope="account")
    tokens = Limit("tokens", 9000, Period("minute", 60), owner="a", scope="account")
    before = own("a", concurrent, tokens, requests("a", "account"))
    made = ask(caller, [before])
    held = made.arguments([before], whole=True)[1]
    assert [one.limit for one in of_account(held)] == [concurrent, tokens], "a request was made there, all the same"
    after = Candidate(account("b", platform="claude-official"), "m", 50, SPOKEN)
    again = ask(caller, [after], leaving="a", held=held)
    assert [one.limit for one in again.counters] == [limits[1]]
    arguments, *_ = again.arguments([after], whole=True)
    assert arguments[-2:] == [one.name for one in of_account(held)]
    assert again.own(before.account) == []
    # A maximum that was changed meanwhile makes it no other limit.
    changed = own("a", Limit("concurrency", 4, owner="a", scope="account"), tokens)
    assert again.own(changed.account) == []


def counter(*platforms: str) -> Counter:
    return Counter(requests("k", platforms=platforms), "S", "w:x", 60_000, "S w:x 60000")


def test_masks() -> None:
    assert mask_of("openai", [counter(), counter()]) == ""
    assert mask_of("openai", [counter("openai"), counter("gemini"), counter()]) == "101"


# Who is offered first


def names(found: Sequence[Candidate]) -> list[str]:
    return [one.account.id for one in found]


def test_the_first_eight_with_the_one_that_the_session_was_seen_at() -> None:
    many = candidates(12)
    sticky = ask(route(session="s"), many)
    assert names(first(sticky, many, None)) == [f"a{at}" for at in range(8)]
    assert names(first(sticky, many, "a3")) == [f"a{at}" for at in range(8)]
    assert names(first(sticky, many, "a10")) == [*(f"a{at}" for at in range(7)), "a10"]
    assert names(first(sticky, many, "gone")) == [f"a{at}" for at in range(8)]
    assert first(sticky, many[:8], "a3") == many[:8]
    assert names(including(many[:2], many, "a5")) == ["a0", "a5"]


def test_all_where_exactly_one_is_meant() -> None:
    many = candidates(12)
    assert first(ask(route(previous_response_id="r"), many), many, None) == many
    turns = [
        *candidates(10, strategy="round_robin"),
        *(Candidate(account(f"z{at}"), "m", 60, SPOKEN) for at in range(5)),
    ]
    assert len(first(ask(offered=turns), turns, None)) == 10
    assert len(first(ask(offered=turns[5:]), turns[5:], None)) == 8
