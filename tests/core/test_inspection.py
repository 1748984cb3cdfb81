"""What operators see of Redis: states with their reasons and history, limits with what is left."""

import time
from collections.abc import AsyncGenerator

import msgspec
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from gateway.core import db
from gateway.core.counters import counter
from gateway.core.inspection import (
    SHOWN,
    forget,
    lift_committed,
    once_committed,
    read_limits,
    read_state,
    recover,
    reset_limits,
    used_up,
)
from gateway.core.learned import Window, learned
from gateway.core.learned import encode as encode_learned
from gateway.core.limits import parse
from gateway.core.names import tag_of, tenant_prefix
from gateway.core.redis import client, connector
from gateway.core.scripts import ADMIT, MARK, Scripts, scripts
from gateway.core.state import BREAKER, FOR_EVER, HALF_OPEN_FOR, State, encode, rfc3339

TENANT = "ten_1"
PREFIX = tenant_prefix(TENANT)


@pytest_asyncio.fixture(loop_scope="session")
async def redis(clean_redis: str) -> AsyncGenerator[Redis]:
    async with client(clean_redis) as made:
        await made.set(PREFIX + "epoch", "1")
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def hot(redis: Redis, clean_redis: str) -> AsyncGenerator[Scripts]:
    async with scripts(*connector(clean_redis)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def sessions(database_url: str) -> AsyncGenerator[db.Sessions]:
    async with db.engine(database_url) as engine:
        yield db.sessions(engine)


async def mark(hot: Scripts, account: str, scope: str, state: State | None, at: float = 0.0) -> None:
    entry = {"scope": scope, "at": at or time.time(), "state": state}
    told = b"" if state is None else encode(state)
    await hot.run(MARK, PREFIX, (account, scope, told, msgspec.json.encode(entry)))


async def admit(hot: Scripts, identity: str, limits, account: str = "a", amount: int = 1) -> list:
    counters = [counter(limit, time.time()) for limit in limits]
    flat = [part for one in counters for part in (one.kind, one.name, one.limit.max, one.span, amount)]
    head = [identity, 60_000, "{}", "", 1, "", "busy", "1", "", "", len(counters), len(counters), "key_1"]
    arguments = [*head, *flat, 1, account, 0, 1, "", ""]
    return await hot.run(ADMIT, PREFIX, arguments)


async def test_an_account_without_trouble(redis: Redis, hot: Scripts) -> None:
    await admit(hot, "x", ())
    assert await read_state(redis, TENANT, "a") == {
        "usable": True, "reason": None, "until": None, "source": None, "in_flight": 1, "cooldowns": [],
        "breaker": [], "learned_limits": [], "recent": [], "probe": None,
    }  # fmt: skip


async def test_only_the_whole_account_makes_it_unusable(redis: Redis, hot: Scripts) -> None:
    until = time.time() + 60
    await mark(hot, "a", "family:opus", State("limit", until, request_id="req_1", status=429))
    await mark(hot, "b", "account", State("money", until, request_id="req_2", status=402))
    one, two = await read_state(redis, TENANT, "a"), await read_state(redis, TENANT, "b")
    assert one["usable"]
    assert one["cooldowns"] == [{"scope": "family:opus", "reason": "limit", "until": rfc3339(until)}]
    assert (two["usable"], two["reason"], two["until"]) == (False, "money", rfc3339(until))
    assert two["source"] == {"request_id": "req_2", "status": 402}


async def test_a_soft_state_is_shown_and_usable(redis: Redis, hot: Scripts) -> None:
    await mark(hot, "a", "account", State("overload", time.time() + 60, soft=True))
    found = await read_state(redis, TENANT, "a")
    assert found["usable"]
    assert [one["scope"] for one in found["cooldowns"]] == ["account"]


async def test_a_state_that_has_ended_is_history(redis: Redis, hot: Scripts) -> None:
    now = time.time()
    for days, reason in ((8, "forgotten"), (6, "limit")):
        state = State(reason, now - 1, request_id="req_1", status=429)
        await mark(hot, "a", "account", state, at=now - days * 86_400)
    found = await read_state(redis, TENANT, "a")
    assert (found["usable"], found["cooldowns"]) == (True, [])
    (entry,) = found["recent"]
    assert (entry["at"], entry["scope"], entry["reason"]) == (rfc3339(now - 6 * 86_400), "account", "limit")
    assert entry["source"] == {"request_id": "req_1", "status": 429}


async def test_what_does_not_end_and_what_nothing_answered_is_null(redis: Redis, hot: Scripts) -> None:
    await mark(hot, "a", "account", State("money", FOR_EVER, request_id="req_1"))
    await mark(hot, "a", "family:opus", State(BREAKER, FOR_EVER, status=500))
    found = await read_state(redis, TENANT, "a")
    assert (found["usable"], found["until"]) == (False, None)
    assert found["source"] == {"request_id": "req_1", "status": None}
    assert [one["until"] for one in (*found["cooldowns"], *found["breaker"], *found["recent"])] == [None] * 5
    assert [one["source"] for one in found["recent"]] == [{"request_id": None, "status": 500}, found["source"]]
    await mark(hot, "a", "account", State("money", time.time() + 60))
    assert (await read_state(redis, TENANT, "a"))["source"] is None


async def test_the_history_is_long_and_what_clients_name_is_shown_last(redis: Redis, hot: Scripts) -> None:
    now = time.time()
    await mark(hot, "a", "account", State("money", now + 60))
    await mark(hot, "prx_1", "account", State("proxy", now + 60))
    await mark(hot, "a", "family:opus", State("limit", now + 60))
    for at in range(SHOWN + 10):
        await mark(hot, "a", f"model:m{at}", State("model", now + 60))
    await mark(hot, "a", "account", None)
    recent = (await read_state(redis, TENANT, "a", "prx_1"))["recent"]
    assert len(recent) == SHOWN
    assert (recent[0]["scope"], recent[0]["reason"], recent[0]["until"]) == ("account", "recovered", None)
    assert [one["scope"] for one in recent[1:3]] == [f"model:m{SHOWN + 9}", f"model:m{SHOWN + 8}"]
    assert [one["reason"] for one in recent[-3:]] == ["limit", "proxy", "money"]


async def test_a_recovery_tells_which_request_it_was(redis: Redis, hot: Scripts) -> None:
    await mark(hot, "a", "account", State("limit", time.time() + 60, request_id="req_1", status=429))
    entry = {"scope": "account", "at": time.time(), "state": None, "request_id": "req_2"}
    await hot.run(MARK, PREFIX, ("a", "account", b"", msgspec.json.encode(entry)))
    recent = (await read_state(redis, TENANT, "a"))["recent"]
    assert [one["source"] for one in recent] == [
        {"request_id": "req_2", "status": None}, {"request_id": "req_1", "status": 429},
    ]  # fmt: skip


async def test_a_breaker_is_shown_open_and_half_open(redis: Redis, hot: Scripts) -> None:
    now = time.time()
    await mark(hot, "a", "family:opus", State(BREAKER, now + 30, now, "req_1", 500, faults=5))
    await mark(hot, "a", "family:haiku", State(BREAKER, now - 1, now - 31, "req_2", 502, faults=7))
    await mark(hot, "a", "family:sonnet", State(BREAKER, now - HALF_OPEN_FOR - 1, now - 700, "req_3", 500, faults=5))
    found = await read_state(redis, TENANT, "a")
    assert found["usable"]
    assert found["cooldowns"] == [{"scope": "family:opus", "reason": "breaker", "until": rfc3339(now + 30)}]
    assert found["breaker"] == [
        {"scope": "family:haiku", "state": "half_open", "until": rfc3339(now - 1), "faults": 7},
        {"scope": "family:opus", "state": "open", "until": rfc3339(now + 30), "faults": 5},
    ]


async def test_the_proxys_state_is_the_accounts_too(redis: Redis, hot: Scripts) -> None:
    until = time.time() + 60
    await mark(hot, "prx_1", "account", State("proxy", until, request_id="req_1"))
    assert (await read_state(redis, TENANT, "a"))["usable"]
    found = await read_state(redis, TENANT, "a", "prx_1")
    assert (found["usable"], found["reason"], found["until"]) == (False, "proxy", rfc3339(until))
    assert found["cooldowns"] == [{"scope": "account", "reason": "proxy", "until": rfc3339(until)}]
    (entry,) = found["recent"]
    assert (entry["reason"], entry["source"]) == ("proxy", {"request_id": "req_1", "status": None})


async def test_nothing_stays_of_what_is_forgotten(redis: Redis, hot: Scripts) -> None:
    until = time.time() + 60
    for owner in ("a", "ab"):
        await mark(hot, owner, "account", State("disabled", until))
        said = learned((Window("requests", 10, 0, 1.0, until),), time.time())
        await redis.hset(PREFIX + "learned", f"{owner}|opus", encode_learned(said))
    await forget(redis, TENANT, "a", "usr_1")
    found = await read_state(redis, TENANT, "a")
    assert (found["usable"], found["learned_limits"]) == (True, [])
    other = await read_state(redis, TENANT, "ab")
    assert (other["usable"], len(other["learned_limits"])) == (False, 1)


async def test_recovering_lifts_all_of_this_account_only(redis: Redis, hot: Scripts) -> None:
    until = time.time() + 60
    for scope in ("account", "model:x"):
        await mark(hot, "a", scope, State("limit", until))
    await mark(hot, "ab", "account", State("limit", until))
    assert await recover(redis, TENANT, "a", "usr_1") == 2
    found = await read_state(redis, TENANT, "a")
    assert (found["usable"], found["cooldowns"]) == (True, [])
    assert {entry["reason"] for entry in found["recent"][:2]} == {"recovered by usr_1"}
    assert not (await read_state(redis, TENANT, "ab"))["usable"]
    assert await recover(redis, TENANT, "a", "usr_1") == 0


async def test_what_waits_for_a_commit_is_lifted_once(redis: Redis, hot: Scripts) -> None:
    for owner in ("a", "prx_1"):
        await mark(hot, owner, "account", State("limit", time.time() + 60))
    async with AsyncSession() as session:
        once_committed(session, recover, TENANT, "a", "usr_1")
        once_committed(session, forget, TENANT, "prx_1", "usr_1")
        assert not (await read_state(redis, TENANT, "a"))["usable"]
        async with client("redis://127.0.0.1:9") as nowhere:
            with capture_logs() as logs:
                await lift_committed(session, nowhere)
        assert [line["owner"] for line in logs] == ["a", "prx_1"]
        once_committed(session, recover, TENANT, "a", "usr_1")
        await lift_committed(session, redis)
        assert (await read_state(redis, TENANT, "a", "prx_1"))["reason"] == "limit"  # the proxy's is left
        await mark(hot, "a", "account", State("money", time.time() + 90))
        await lift_committed(session, redis)
    assert (await read_state(redis, TENANT, "a"))["reason"] == "money"


LIMITS = parse(
    [
        {"type": "requests", "per": "minute", "max": 3},
        {"type": "requests", "per": {"rolling": "7s"}, "max": 5},
        {"type": "requests", "per": "day", "max": 4, "timezone": "Asia/Tokyo"},
        {"type": "requests", "per": "total", "max": 2},
        {"type": "concurrency", "max": 9},
    ],
    owner="key_1",
)


async def test_limits_unused(redis: Redis) -> None:
    shown = await read_limits(redis, TENANT, LIMITS)
    assert [(one["used"], one["remaining"], one["max"]) for one in shown] == [(0, m, m) for m in (3, 5, 4, 2, 9)]
    assert [one["resets_at"] is None for one in shown] == [True, True, False, True, True]
    assert shown[1]["per"] == {"rolling": "7s"}


async def test_amounts_and_money(redis: Redis, hot: Scripts) -> None:
    limits = parse(
        [
            {"type": "tokens", "per": "hour", "max": 9000},
            {"type": "budget", "per": "total", "max": "20.00"},
            {"type": "budget", "per": {"rolling": "5h"}, "max": "0.000000123"},
        ],
        owner="key_2",
    )
    shown = await read_limits(redis, TENANT, limits)
    assert [(one["max"], one["used"], one["remaining"]) for one in shown] == [
        (9000, 0, 9000), ("20", "0", "20"), ("0.000000123", "0", "0.000000123"),
    ]  # fmt: skip
    assert (await admit(hot, "x", limits, amount=120))[0] == b"ok"
    shown = await read_limits(redis, TENANT, limits)
    assert [(one["used"], one["remaining"]) for one in shown] == [
        (120, 8880), ("0.00000012", "19.99999988"), ("0.00000012", "0.000000003"),
    ]  # fmt: skip
    assert not (await used_up(redis, TENANT, limits))[0]


async def test_limits_used_and_reset(redis: Redis, hot: Scripts, sessions: db.Sessions) -> None:
    before = time.time()
    for name in ("x", "y"):
        assert (await admit(hot, name, LIMITS))[0] == b"ok"
    refused = await admit(hot, "z", LIMITS)
    assert (refused[0], refused[1]) == (b"limit", 4)
    shown = await read_limits(redis, TENANT, LIMITS)
    assert [(one["used"], one["remaining"]) for one in shown] == [(2, 1), (2, 3), (2, 2), (2, 0), (2, 7)]
    # The place comes back when the script says so.
    for at in (0, 1):
        said = refused[3] + refused[4 + 2 * at + 1]
        assert abs(moment(shown[at]["resets_at"]) - said / 1000) < 0.002
    assert before + 7 - 0.001 <= moment(shown[1]["resets_at"]) <= time.time() + 7 * 61 / 60 + 0.01
    names = [counter(limit, time.time()).name for limit in LIMITS]
    async with sessions.begin() as session:
        for tag in (tag_of(TENANT), tag_of(TENANT) ^ 1):
            for name in (*names, "w:other"):
                await session.execute(
                    text("INSERT INTO counters (tag, name, bucket, span, amount) VALUES (:tag, :name, 5, 60, 2)"),
                    {"tag": tag, "name": name},
                )
        await reset_limits(redis, session, TENANT, LIMITS)
        left = (await session.execute(text("SELECT tag, name FROM counters ORDER BY tag, name"))).all()
        # What is forgotten does not come back when Redis loses it; what is another tenant's stays.
        assert {name for tag, name in left if tag == tag_of(TENANT)} == {"w:other", names[-1]}
        assert len([name for tag, name in left if tag != tag_of(TENANT)]) == 6
        await session.rollback()
    shown = await read_limits(redis, TENANT, LIMITS)
    assert [one["used"] for one in shown] == [0, 0, 0, 0, 2]  # what runs goes on running
    assert (await admit(hot, "z", LIMITS))[0] == b"ok"


def moment(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
