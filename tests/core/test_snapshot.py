"""The snapshot: order of a tenant's accounts, and that nobody changes it."""

import pytest

from gateway.core.domain import Account, Pool, Tenant
from gateway.core.groups import Group
from gateway.core.snapshot import EMPTY, build


def account(name: str, tenant: str = "ten_1", **fields) -> Account:
    return Account(name, tenant, name, "openai", "http://x", {}, **fields)


def test_by_priority_then_age_then_id() -> None:
    made = build(
        7,
        [Tenant("ten_1", "one")],
        [Pool("pool_1", "ten_1", "p")],
        [
            account("d", priority=50, created_at=2),
            account("c", priority=50, created_at=1),
            account("b", priority=50, created_at=1),
            account("a", priority=60),
            account("e", priority=1, created_at=9),
            account("z", "ten_2", provider="deepseek"),
        ],
    )
    assert [one.id for one in made.by_tenant["ten_1"]] == ["e", "b", "c", "d", "a"]
    assert [one.id for one in made.by_tenant["ten_2"]] == ["z"]
    assert made.providers("ten_2") == {"deepseek"}
    assert made.providers("ten_3") == frozenset()
    assert (made.version, set(made.tenants), set(made.pools)) == (7, {"ten_1"}, {"pool_1"})


def test_it_is_immutable() -> None:
    for mapping in (EMPTY.tenants, EMPTY.pools, EMPTY.accounts, EMPTY.by_tenant, EMPTY.groups, EMPTY.active):
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        EMPTY.version = 1  # type: ignore[misc]


def test_groups_by_tenant_and_name() -> None:
    on, off = Group("grp_1", "ten_1", "on"), Group("grp_2", "ten_1", "off", enabled=False)
    made = build(7, [Tenant("ten_1", "one", active_group="off"), Tenant("ten_2", "two")], (), (), [on, off])
    assert made.groups == {"ten_1": {"on": on, "off": off}}
    assert made.active == {"ten_1": "off"}
    for tenant, name, found in (
        ("ten_1", "on", on), ("ten_1", "off", None), ("ten_1", "ON", None), ("ten_1", "", None), ("ten_2", "on", None),
    ):  # fmt: skip
        assert made.group(tenant, name) is found
    with pytest.raises(TypeError):
        made.groups["ten_1"]["more"] = on  # type: ignore[index]


def test_two_snapshots_are_two() -> None:
    assert build(0, (), (), ()) != EMPTY
