"""What fits whatever its state: found once for a snapshot, and the same as the predicate says of each account."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.domain import Account
from gateway.core.snapshot import Snapshot
from gateway.protocols.codec import Endpoint
from gateway.routing import fitting as fitting_module
from gateway.routing.authorise import EVERY, Destination
from gateway.routing.fitting import fitting, serves, serving, terms, unfit
from tests.routing.test_choose import account, route, snapshot

NAMES = ("claude-sonnet-x", "gpt-x", "alias")


def misses(held: Snapshot) -> int:
    counted: Any = fitting_module._fitting_in(held)
    return counted.cache_info().misses


def test_no_old_configuration_is_kept() -> None:
    first, second = snapshot(account("a")), snapshot(account("b"))
    for held, name in ((first, "a"), (second, "b"), (first, "a")):
        assert [one.id for one in serving(held, route())] == [name]
        assert [fits[0].account.id for fits in fitting(held, terms(route()), route().destinations)] == [name]
        # That of the one before has gone.
        assert misses(held) == 1
    for cache in (fitting_module._serving_in, fitting_module._fitting_in):
        assert cache.cache_info().currsize == 1


def test_it_is_found_once_for_requests_that_are_alike() -> None:
    held = snapshot(account("a"), account("b"))
    for session in ("s1", "s2", None):
        asked = route(caller={"key_id": f"key {session}"}, session=session)
        fitting(held, terms(asked), asked.destinations)
    assert misses(held) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"caller": {"account_id": "a"}},
        {"caller": {"pools": ("p",)}},
        {"caller": {"tenant_id": "ten_2"}},
        {"platforms": frozenset({"openai"})},
        {"stream": True},
        {"endpoint": Endpoint("openai_chat", "generate", "/v1/chat/completions")},
        {"destinations": (Destination("claude-opus-x"),)},
        {"destinations": (Destination("claude-sonnet-x", pool_id="p"),)},
        {"destinations": (Destination("claude-sonnet-x", explicit=True),)},
    ],
)
def test_what_changes_the_terms_is_found_anew(other: dict[str, Any]) -> None:
    held = snapshot(account("a"))
    alike, different = route(), route(**other)
    assert (terms(alike), alike.destinations) != (terms(different), different.destinations)
    for one in (alike, different):
        fitting(held, terms(one), one.destinations)
    assert misses(held) == 2


def test_a_name_with_a_space_is_served_where_it_is_written_out() -> None:
    assert serves(account("a"), "a-model")
    assert not serves(account("a"), "a model")
    assert serves(account("a", models=("a model",)), "a model")
    assert serves(account("a", models=(), model_map={"a model": "m"}), "a model")


def test_the_tier_at_rest() -> None:
    """Priority, then translation, then the place of the target."""
    asked = route(destinations=(Destination("claude-sonnet-x"), Destination("gpt-x")))
    held = snapshot(account("a", priority=7), account("b", platform="openai", priority=9, model_map={"gpt-x": "gpt-y"}))
    found = fitting(held, terms(asked), asked.destinations)
    assert [[(one.account.id, one.model, one.tier, one.target) for one in fits] for fits in found] == [
        [("a", "claude-sonnet-x", 7, 0), ("a", "gpt-x", 4007, 1)],
        [("b", "claude-sonnet-x", 2009, 0), ("b", "gpt-y", 6009, 1)],
    ]
    assert [one.translated for fits in found for one in fits] == [False, False, True, True]


accounts = st.builds(
    account,
    st.sampled_from("abc"),
    tenant_id=st.sampled_from(["ten_1", "ten_2"]),
    platform=st.sampled_from(["claude-console", "openai", "bedrock", "ollama"]),
    provider=st.sampled_from(["p1", "p2"]),
    models=st.sampled_from([("*",), ("gpt-*",), (), NAMES]),
    model_map=st.sampled_from([{}, {"alias": "claude-sonnet-x"}]),
    explicit_only=st.booleans(),
    pools=st.sampled_from([(), ("x",), ("x", "y")]),
    enabled=st.booleans(),
    draining=st.booleans(),
)
destinations = st.builds(
    Destination,
    st.sampled_from(NAMES),
    st.sampled_from([EVERY, frozenset({"openai"})]),
    st.sampled_from([None, "p1"]),
    st.sampled_from([None, "x"]),
    st.sampled_from([None, "a"]),
    st.booleans(),
)


@given(
    st.lists(accounts, max_size=4, unique_by=lambda one: one.id),
    st.lists(destinations, min_size=1, max_size=3),
    st.sampled_from([(), ("x",), ("y", "x")]),
    st.sampled_from([None, "a"]),
    st.sampled_from([EVERY, frozenset({"claude-console"})]),
)
def test_it_is_what_the_predicate_says(
    held: list[Account],
    leads: list[Destination],
    pools: tuple[str, ...],
    bound: str | None,
    platforms: frozenset[str],
) -> None:
    asked = route(caller={"pools": pools, "account_id": bound}, destinations=tuple(leads), platforms=platforms)
    wanted = terms(asked)
    found = fitting(snapshot(*held), wanted, asked.destinations)
    fits = {(one.account.id, one.target) for each in found for one in each}
    told = {
        (one.id, at) for one in held for at, destination in enumerate(leads) if unfit(one, wanted, destination) is None
    }
    assert fits == told
    # What changes from moment to moment is no matter here.
    for one in held:
        switched = structs.replace(one, enabled=not one.enabled, draining=not one.draining)
        assert [unfit(switched, wanted, to) for to in leads] == [unfit(one, wanted, to) for to in leads]
