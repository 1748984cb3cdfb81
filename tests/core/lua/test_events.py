"""Which changes of a state are news."""

import json
import time
from typing import Any

import pytest

from gateway.core.scripts import PRUNE
from gateway.core.state import FOR_EVER
from tests.core.lua.scene import Scene

SCOPE = "family:opus"


def state(reason: str = "rate_limited", ahead: float = 60, **more: Any) -> str:
    until = FOR_EVER if ahead == FOR_EVER else time.time() + ahead
    return json.dumps({"reason": reason, "until": until, "since": time.time(), "request_id": "req_1", **more})


def events(scene: Scene) -> list[dict[str, str]]:
    return [fields for _, fields in scene.redis.xrange(scene.name("e"))]


LIMIT, AGAIN = ("rate_limited", 60), ("rate_limited", 600)


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, LIMIT, True),
        (LIMIT, AGAIN, False),
        (LIMIT, ("rate_limited", 5), False),
        (LIMIT, ("overloaded", 60), True),
        (("credentials", 60), ("credentials", FOR_EVER), True),
        (("credentials", FOR_EVER), ("credentials", 60), True),
        (("credentials", FOR_EVER), ("credentials", FOR_EVER), False),
        (("rate_limited", -100), LIMIT, False),
        (("rate_limited", -140), LIMIT, True),
        (("breaker", -700), ("breaker", 60), False),
        (("breaker", -740), ("breaker", 60), True),
        ("no json", LIMIT, True),
        ("[]", LIMIT, True),
        ('{"until":"soon"}', LIMIT, True),
    ],
)
async def test_only_real_changes_are_news(
    scene: Scene, before: tuple[str, float] | str | None, after: tuple[str, float], news: bool
):
    """`before` and `after`: the reason, and seconds until the end."""
    scene.redis.delete(scene.name("state"))
    old = before if isinstance(before, str) else before and state(*before)
    new = state(*after)
    if old:
        scene.redis.hset(scene.name("state"), f"a|{SCOPE}", old)
    assert await scene.mark("a", SCOPE, new, '{"n":1}') == 1
    told = {"a": "a", "s": SCOPE, "o": old or "", "n": new, "h": '{"n":1}'}
    assert events(scene) == [told] * news
    kind = SCOPE.partition(":")[0]
    assert scene.redis.zrange(scene.name(f"h:a:{kind}"), 0, -1) == ['{"n":1}']  # the history has them all


async def test_a_recovery_is_news_once(scene: Scene):
    held = state()
    await scene.mark("a", SCOPE, held, "{}")
    assert await scene.mark("a", SCOPE, "", '{"n":2}') == 1
    assert await scene.mark("a", SCOPE, "", '{"n":3}') == 0
    assert events(scene)[1:] == [{"a": "a", "s": SCOPE, "o": held, "n": "", "h": '{"n":2}'}]


async def test_trouble_that_ends_by_itself_is_over_when_it_did_not_come_back(scene: Scene):
    over = state(ahead=-90)
    scene.redis.hset(scene.name("state"), mapping={f"a|{SCOPE}": over, "a|model:m|n": over, "a|account": state()})
    assert await scene.run(PRUNE, "0", 60, 660) == [b"0", 2]
    told = sorted(events(scene), key=lambda fields: fields["s"])
    assert told == [{"a": "a", "s": scope, "o": over, "n": "", "h": ""} for scope in (SCOPE, "model:m|n")]


async def test_the_stream_is_bounded(scene: Scene):
    for n in range(1500):
        await scene.mark("a", f"model:{n}", state(), "{}")
    assert 1000 <= scene.redis.xlen(scene.name("e")) < 1200
