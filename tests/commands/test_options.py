"""How words of the command line are read."""

from typing import Any

import click
import pytest

from gateway.commands.options import ID, limits, pairs, said
from tests.commands.conftest import Commands


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("requests/minute=60", {"type": "requests", "per": "minute", "max": 60}),
        ("requests/5h=100", {"type": "requests", "per": {"rolling": "5h"}, "max": 100}),
        ("concurrency=5", {"type": "concurrency", "max": 5}),
        ("budget/day=20.00", {"type": "budget", "per": "day", "max": "20.00"}),
        ('{"type":"requests","per":"day","max":1,"timezone":"Asia/Shanghai"}',
         {"type": "requests", "per": "day", "max": 1, "timezone": "Asia/Shanghai"}),
    ],
)  # fmt: skip
def test_a_limit(text: str, read: dict[str, Any]):
    assert limits((text,)) == [read]


def test_limits_add_up():
    assert limits(('[{"type":"a"},{"type":"b"}]', "concurrency=1")) == [
        {"type": "a"}, {"type": "b"}, {"type": "concurrency", "max": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["sixty a minute", "requests/minute", "requests/minute=many", "{", "requests=-1"])
def test_what_is_no_limit(text: str):
    with pytest.raises(click.UsageError, match="--limit"):
        limits((text,))


def test_pairs_and_what_was_said():
    assert pairs(("a=b=c", "d="), "--map") == {"a": "b=c", "d": ""}
    with pytest.raises(click.UsageError, match="--map: 'a' is not"):
        pairs(("a",), "--map")
    assert said({"a": None, "b": (), "c": [], "d": 0, "e": False}) == {"d": 0, "e": False}


@pytest.mark.parametrize("value", ["../me", "", "a/b", "key_1?x", "%2e"])
def test_an_id_names_nothing_else(value: str):
    with pytest.raises(click.BadParameter):
        ID.convert(value, None, None)


async def test_a_tenant_by_name_or_id(commands: Commands):
    made = await commands.json("keys create --all --tenant default")
    assert (await commands.json(f"keys create --all --tenant {made['tenant_id']}"))["tenant_id"] == made["tenant_id"]
    refused = await commands("keys create --all --tenant nobody", expect=2)
    assert "there is no tenant 'nobody'" in refused.stderr
