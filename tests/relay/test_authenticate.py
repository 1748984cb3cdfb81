"""Who presents a key: forms, refusals, the cache, and how fast a change holds on every gateway."""

import asyncio
import base64
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from gateway.core import changes
from gateway.core import models as m
from gateway.core.domain import Caller, Tenant
from gateway.core.errors import GatewayError, Unauthenticated
from gateway.core.keys import Peppers, new_key
from gateway.core.names import CUT_CHANNEL
from gateway.core.services import keys, teams, tenants, users
from gateway.core.services.reach import Reach
from gateway.core.snapshot import build
from gateway.protocols import CODECS
from gateway.relay import authenticate as module
from gateway.relay import background
from gateway.relay.authenticate import Keys, authenticate, unkeyed
from gateway.routing.call import Call
from tests.relay.world import MESSAGES, World, body, code_of
from tests.support.installation import Site, environ_of, serving

ALL = Reach(everything=True)
PEPPERS = Peppers((b"a" * 32,))


def forms(key: str) -> list[tuple[dict[str, str], str]]:
    return [
        ({"authorization": f"Bearer {key}"}, ""),
        ({"AUTHORIZATION": f"bearer {key}"}, ""),
        ({"x-api-key": key}, ""),
        ({"X-Goog-Api-Key": key}, ""),
        ({"api-key": key}, ""),
        ({}, f"?key={key}"),
    ]


async def test_every_form_is_taken_and_none_of_them_goes_on(world: World) -> None:
    await world.account()
    key = await world.key()
    for headers, query in forms(key):
        answer = await world.site.http.post(MESSAGES + query, headers=headers, json=body("sandbox-echo"))
        assert answer.status_code == 200, (headers, answer.text)
        seen = world.site.sandbox.requests()[-1]
        assert "key=" not in seen.target
        assert not [pair for pair in seen.headers if pair[1].endswith(key[-4:])]
        assert [name for name, _ in seen.headers if name in {"authorization", "x-api-key", "api-key"}] == ["x-api-key"]


async def test_the_first_form_present_decides_though_it_is_wrong(world: World) -> None:
    await world.account()
    key = await world.key()
    for first in ("", "Bearer", f"Bearer {new_key()}"):
        headers = {"authorization": first, "x-api-key": key}
        answer = await world.site.http.post(MESSAGES, headers=headers, json=body("sandbox-echo"))
        assert (answer.status_code, code_of(answer)) == (401, "key_invalid"), first
    beside = {"authorization": "Basic dTpw", "x-api-key": key}
    assert (await world.site.http.post(MESSAGES, headers=beside, json=body("sandbox-echo"))).status_code == 200
    missing = await world.site.http.post(MESSAGES, json=body("sandbox-echo"))
    assert (missing.status_code, code_of(missing)) == (401, "key_missing")


async def test_unknown_malformed_and_deleted_keys_are_told_the_same(world: World) -> None:
    await world.account()
    key_id, deleted = await world.new_key()
    async with world.site.sessions.begin() as session:
        await keys.delete(session, await keys.find(session, ALL, key_id, lock=True))
    await world.site.reload()
    good = await world.key()
    bad = [new_key(), deleted, "sk-junk", good[:-1] + ("a" if good[-1] != "a" else "b"), good + "x", "x" * 5000, "é"]
    told: set[str] = set()
    misses = world.site.gate.keys.misses
    for key in bad:
        answer = await world.site.http.post(
            MESSAGES, headers={"x-api-key": key.encode("latin-1")}, json=body("sandbox-echo")
        )
        assert answer.status_code == 401
        told.add(answer.json()["error"]["message"] + code_of(answer))
    assert len(told) == 1
    assert world.site.gate.keys.misses == misses + 2, "junk was looked up"


async def test_disabled_and_expired(world: World) -> None:
    await world.account()
    key_id, key = await world.new_key()
    assert (await world.ask(key)).status_code == 200
    for values, code in (
        ({"enabled": False}, "key_disabled"),
        ({"enabled": True, "expires_at": datetime.now(UTC) - timedelta(seconds=1)}, "key_expired"),
    ):
        await world.change_key(key_id, values)
        answer = await world.ask(key)
        assert (answer.status_code, code_of(answer)) == (401, code)
    await world.change_key(key_id, {"expires_at": datetime.now(UTC) + timedelta(seconds=0.4)})
    assert (await world.ask(key)).status_code == 200
    await asyncio.sleep(0.5)
    assert code_of(await world.ask(key)) == "key_expired", "a cached key outlived its end"


async def test_rotation_overlaps_and_ends(world: World) -> None:
    await world.account()
    key_id, old = await world.new_key(limits=[{"type": "requests", "per": "hour", "max": 100}])
    assert (await world.ask(old)).status_code == 200
    async with world.site.sessions.begin() as session:
        key = await keys.find(session, ALL, key_id, lock=True)
        new = (await keys.rotate(session, world.site.settings.peppers, key, timedelta(seconds=0.6))).reveal()
    await world.site.reload()
    assert [(await world.ask(one)).status_code for one in (old, new)] == [200, 200]
    assert (await world.key_state(new))[0]["used"] == 3, "rotation must keep the counter"
    await asyncio.sleep(0.7)
    assert code_of(await world.ask(old)) == "key_invalid"
    assert (await world.ask(new)).status_code == 200
    async with world.site.sessions.begin() as session:
        key = await keys.find(session, ALL, key_id, lock=True)
        await keys.rotate(session, world.site.settings.peppers, key, timedelta(0))
    await world.site.reload()
    assert code_of(await world.ask(new)) == "key_invalid"


@pytest.mark.parametrize(
    ("allowed", "forwarded", "trusted", "status"),
    [
        (["127.0.0.0/8"], None, "", 200),
        (["127.0.0.1"], None, "", 200),
        (["10.0.0.0/8", "::1"], None, "", 403),
        (["10.0.0.0/8"], "10.1.1.1", "", 403),
        (["10.0.0.0/8"], "10.1.1.1", "127.0.0.0/8", 200),
        (["10.0.0.0/8"], "10.1.1.1, 8.8.8.8", "127.0.0.0/8", 403),
        (["10.0.0.0/8"], "8.8.8.8, 10.1.1.1, 192.168.0.1, 127.0.0.5", "127.0.0.0/8,192.168.0.0/16", 200),
        (["10.0.0.0/8"], "::ffff:10.1.1.1", "127.0.0.0/8", 200),
        (["10.0.0.0/8"], "10.1.1.1, ::ffff:192.168.0.1", "127.0.0.0/8,192.168.0.0/16", 200),
        (["2001:db8::/32"], "2001:db8::5", "127.0.0.0/8", 200),
        (["127.0.0.0/8"], "unknown", "127.0.0.0/8", 403),
        (["127.0.0.0/8"], "", "127.0.0.0/8", 403),
    ],
)
async def test_addresses(
    world: World, allowed: list[str], forwarded: str | None, trusted: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.account()
    key = await world.key(allowed_ips=allowed)
    gate = world.site.gate
    settings = module_settings(gate.settings, trusted)
    monkeypatch.setattr(gate, "settings", settings)
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    answer = await world.ask(key, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert code_of(answer) == "ip_forbidden"


def module_settings(settings: Any, trusted: str) -> Any:
    environ = {**environ_of(settings), "POOLGATE_TRUSTED_PROXIES": trusted}
    return type(settings).from_environ({name: value for name, value in environ.items() if value})


async def test_clients(world: World) -> None:
    await world.account()
    key = await world.key(allowed_clients=["claude-cli/*", "*Codex*"])
    for agent, status in (("claude-cli/2.0 (x)", 200), ("CLAUDE-CLI/1", 200), ("my codex 1", 200), ("curl/8", 403)):
        answer = await world.ask(key, headers={"user-agent": agent})
        assert answer.status_code == status, agent
    assert code_of(answer) == "client_forbidden"


async def test_the_key_is_checked_before_the_body_is_read(site: Site) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: sk-x\r\ncontent-length: 1000\r\n\r\n")
    async with asyncio.timeout(2):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()


# ------------------------------------------------------------------ the cache alone


def caller(key_id: str = "key_1") -> Caller:
    return Caller(key_id=key_id, tenant_id="ten_1", name="", user_id="usr_1", team_id="team_1")


class Store:
    """Stands where PostgreSQL stands: answers when it is let, with what was stored when the read began."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Caller] = {}
        self.reads = 0
        self.gate: asyncio.Event | None = None

    async def find(self, digests: Sequence[bytes]) -> Caller | None:
        self.reads += 1
        found = next((self.rows[one] for one in digests if one in self.rows), None)
        if self.gate is not None:
            await self.gate.wait()
        return found


async def test_one_read_serves_many_and_unknown_keys_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    cache = Keys(PEPPERS, store.find)
    store.rows[PEPPERS.digest("a")] = caller()
    assert [one.key_id for one in await asyncio.gather(*(cache.caller("a") for _ in range(50))) if one] == [
        "key_1"
    ] * 50
    assert store.reads == 1
    assert [await cache.caller("b") for _ in range(3)] == [None] * 3
    assert store.reads == 2
    monkeypatch.setattr(module, "UNKNOWN_FOR", -1.0)
    cache.forget_all()
    await cache.caller("b")
    await cache.caller("b")
    assert store.reads == 4


@pytest.mark.parametrize("kind", ["key", "user", "team", "tenant", "account"])
async def test_a_read_that_overlaps_a_change_is_not_kept(kind: str) -> None:
    store = Store()
    cache = Keys(PEPPERS, store.find)
    store.rows[PEPPERS.digest("a")] = caller()
    store.gate = asyncio.Event()
    early = asyncio.ensure_future(cache.caller("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del store.rows[PEPPERS.digest("a")]
    cache.forget(kind, "key_1")
    late = asyncio.ensure_future(cache.caller("a"))
    await asyncio.sleep(0)
    store.gate.set()
    assert await early is not None
    assert await late is None, "a request that came after the change used a read from before it"
    assert await cache.caller("a") is None


async def test_a_change_is_found_by_key_user_team_and_tenant() -> None:
    store = Store()
    cache = Keys(PEPPERS, store.find)
    for kind, identity, kept in (("key", "key_1", False), ("user", "usr_1", False), ("team", "team_1", False),
                                 ("tenant", "ten_1", False), ("key", "key_2", True), ("team", "team_2", True),
                                 ("pool", "key_1", True)):  # fmt: skip
        store.rows[PEPPERS.digest("a")] = caller()
        await cache.caller("a")
        del store.rows[PEPPERS.digest("a")]
        cache.forget(kind, identity)
        assert (await cache.caller("a") is not None) is kept
        cache.forget_all()


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.CAPACITY == 100_000
    monkeypatch.setattr(module, "CAPACITY", 10)
    store = Store()
    cache = Keys(PEPPERS, store.find)
    for at in range(30):
        store.rows[PEPPERS.digest(f"known {at}")] = caller(f"key_{at}")
        await cache.caller(f"known {at}")
        await cache.caller(f"unknown {at}")
    assert len(cache._callers) == len(cache._unknown) == 10
    assert not cache._reading


# ------------------------------------------------------------------ who presents no key


OWN = Tenant("ten_1", "default", ollama_key_id="key_1")
OTHER = Tenant("ten_2", "other", ollama_key_id="key_2")
HERE = [(b"host", b"localhost:8080")]


async def _nothing() -> bytes:
    return b""


def asking(
    headers: list[tuple[bytes, bytes]], peer: str = "127.0.0.1", protocol: str = "ollama", query: bytes = b""
) -> Call:
    endpoint = CODECS[protocol].endpoints[0]
    header = dict(reversed(headers))
    return Call("req_1", 0, 0, endpoint, endpoint.path, query, headers, header, peer, _nothing)


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:11434", "127.0.0.1", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:80"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_process_of_this_machine_needs_no_key(host: str, peer: str) -> None:
    assert unkeyed(asking([(b"host", host.encode())], peer), build(0, [OTHER, OWN], (), ())) is OWN


@pytest.mark.parametrize(
    "call",
    [
        asking(HERE, "10.0.0.1"),
        asking(HERE, "::ffff:10.0.0.1"),
        asking(HERE, ""),
        asking(HERE, "unknown"),
        asking([]),
        asking([*HERE, (b"host", b"localhost")]),
        *(asking([(b"host", name)]) for name in (
            b"", b"example.org", b"localhost.example.org", b"example.org:127.0.0.1", b"127.0.0.1.example.org",
            b"localhost.", b"0.0.0.0", b"128.0.0.1", b"::1", b"[::1", b"localhost:", b"localhost:80\n", b"u@localhost",
        )),
        *(asking([*HERE, (name, b"")]) for name in (
            b"origin", b"sec-fetch-site", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded", b"via",
        )),
        *(asking([*HERE, (name, b"")]) for name in (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")),
        asking(HERE, query=b"a=b&key="),
        *(asking(HERE, protocol=protocol) for protocol in CODECS if protocol != "ollama"),
    ],
    ids=lambda call: f"{call.endpoint.protocol} {call.client_ip} {call.headers} {call.query}",
)  # fmt: skip
def test_nobody_else_goes_without_a_key(call: Call) -> None:
    assert unkeyed(call, build(0, [OWN, OTHER], (), ())) is None


@pytest.mark.parametrize("tenants", [[], [OTHER], [Tenant("ten_1", "default"), OTHER]])
def test_the_setting_is_off_unless_the_default_tenant_has_it(tenants: list[Tenant]) -> None:
    assert unkeyed(asking(HERE), build(0, tenants, (), ())) is None


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (caller(), None),
        (None, "key_missing"),
        (Caller("key_1", "ten_2", "of another tenant"), "key_missing"),
        (Caller("key_1", "ten_1", "", enabled=False), "key_disabled"),
        (Caller("key_1", "ten_1", "", expires_at=-1.0), "key_expired"),
        (Caller("key_1", "ten_1", "", allowed_ips=("10.0.0.0/8",)), "ip_forbidden"),
    ],
)
async def test_the_key_that_stands_in_is_under_its_own_rules(found: Caller | None, code: str | None) -> None:
    asked: list[str] = []

    async def find_named(key_id: str) -> Caller | None:
        asked.append(key_id)
        return found

    cache = Keys(PEPPERS, Store().find, find_named)
    call = asking(HERE)
    for _ in range(3):
        if code is None:
            assert await authenticate(call, cache, build(0, [OWN], (), ())) is found
            assert (call.key_id, call.tenant_id) == ("key_1", "ten_1")
        else:
            with pytest.raises(GatewayError) as caught:
                await authenticate(call, cache, build(0, [OWN], (), ()))
            assert caught.value.code == code
    assert asked == ["key_1"]
    cache.forget("key", "key_1")
    with pytest.raises(Unauthenticated):
        await authenticate(asking(HERE), cache)
    if found is not None:
        await cache.named("key_1")
        assert asked == ["key_1"] * 2


# ------------------------------------------------------------------ two gateways


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float) -> float:
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def second(site: Site) -> str:
    if len(site.gateways) < 2:
        await site.start_gateway()
    return site.gateways[1].url


async def _switch(session: Any, what: str, ids: dict[str, str], enabled: bool) -> None:
    if what == "key":
        await keys.switch(session, await keys.find(session, ALL, ids["key"], lock=True), enabled=enabled)
    elif what == "user":
        await users.change(session, await users.find(session, ALL, ids["user"], lock=True), {"enabled": enabled})
    else:
        await tenants.change(session, await tenants.find(session, ALL, ids["tenant"], lock=True), {"enabled": enabled})


@pytest.mark.parametrize("told", [True, False], ids=["announced", "pub/sub lost"])
async def test_a_change_holds_on_every_gateway_within_two_seconds(site: Site, told: bool) -> None:
    world = await World.make(site)
    other = await second(site)
    await world.account()
    async with site.sessions.begin() as session:
        role = users.Role(tenant_id=world.tenant_id, role="member")
        user = await users.create(
            session, {"email": f"{os.urandom(4).hex()}@x.y", "name": "u"}, [role], "x", one_time=False
        )
    key_id, key = await world.new_key(user_id=user.id)
    ids = {"key": key_id, "user": user.id, "tenant": world.tenant_id}
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            await asyncio.gather(world.ask(key), world.ask(key, url=other))

    async def lose_messages() -> None:
        while not stop.is_set() and not told:
            await site.gate.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        for work in (load(), lose_messages()):
            tasks.create_task(work)
        try:
            for what in ("key", "user", "tenant"):
                for enabled, status in ((False, 401), (True, 200)):
                    async with site.sessions() as session:
                        await _switch(session, what, ids, enabled)
                        await session.commit()
                        if told:
                            await changes.announce(session, site.gate.redis)

                    async def holds(status: int = status) -> bool:
                        answers = await asyncio.gather(world.ask(key), world.ask(key, url=other))
                        return all(answer.status_code == status for answer in answers)

                    await eventually(holds, 2.0)
            async with site.sessions() as session:
                found = await keys.find(session, ALL, key_id, lock=True)
                await keys.change(session, found, {"models": ["claude-*"]})
                await session.commit()

            async def narrowed() -> bool:
                answers = await asyncio.gather(world.ask(key), world.ask(key, url=other))
                return all(answer.status_code == 403 for answer in answers)

            await eventually(narrowed, 2.0)
            async with site.sessions() as session:
                await keys.delete(session, await keys.find(session, ALL, key_id, lock=True))
                await session.commit()

            async def revoked() -> bool:
                answers = await asyncio.gather(world.ask(key), world.ask(key, url=other))
                return all(answer.status_code == 401 for answer in answers)

            await eventually(revoked, 2.0)
        finally:
            stop.set()


async def test_who_joins_or_leaves_a_team_is_under_its_limits_within_two_seconds(site: Site) -> None:
    world = await World.make(site)
    other = await second(site)
    roles = [users.Role(tenant_id=world.tenant_id, role="member")]
    async with site.sessions.begin() as session:
        user = await users.create(session, {"email": f"{os.urandom(4).hex()}@x.y"}, roles, "x", one_time=False)
        red = await teams.create(session, world.tenant_id, {"name": "red", "limits": [limit_of(5)]})
        blue = await teams.create(session, world.tenant_id, {"name": "blue", "limits": [limit_of(7)]})
    _, key = await world.new_key(user_id=user.id)

    async def told() -> list[list[tuple[str, int]]]:
        states = [await world.key_state(key), await world.key_state(key, other)]
        return [[(limit["scope"], limit["max"]) for limit in state] for state in states]

    assert await told() == [[], []]
    steps: list[tuple[str, dict[str, Any] | None, list[tuple[str, int]]]] = [
        (red.id, {"user_ids": [user.id]}, [("team", 5)]),
        (red.id, {"limits": [limit_of(6)]}, [("team", 6)]),
        (red.id, {"user_ids": []}, []),
        (blue.id, {"user_ids": [user.id]}, [("team", 7)]),
        (blue.id, None, []),
    ]
    for team_id, values, shown in steps:
        async with site.sessions.begin() as session:
            team = await teams.find(session, ALL, team_id, lock=True)
            await (teams.delete(session, team) if values is None else teams.change(session, team, values))

        async def holds(shown: list[tuple[str, int]] = shown) -> bool:
            return await told() == [shown, shown]

        await eventually(holds, 2.0)


def limit_of(most: int) -> dict[str, Any]:
    return {"type": "requests", "per": "hour", "max": most}


async def test_the_keys_of_a_teams_users_share_its_limit(world: World) -> None:
    await world.account()
    roles = [users.Role(tenant_id=world.tenant_id, role="member")]
    async with world.site.sessions.begin() as session:
        made = [
            await users.create(session, {"email": f"{os.urandom(4).hex()}@x.y"}, roles, "x", one_time=False)
            for _ in range(2)
        ]
        values = {"name": "t", "user_ids": [one.id for one in made], "limits": [limit_of(3)]}
        await teams.create(session, world.tenant_id, values)
    one, two = [(await world.new_key(user_id=user.id))[1] for user in made]
    answers = [await world.ask(key) for key in (one, two, one, two, one)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert "team's limit" in answers[-1].text
    assert (await world.ask(await world.key())).status_code == 200


async def test_a_change_between_the_two_reads_of_a_refresh_is_not_lost(world: World) -> None:
    """The snapshot may be newer than the changes that were seen before it: the next look must still find them."""
    await world.account()
    key_id, key = await world.new_key()
    gate = world.site.gate
    assert (await world.ask(key)).status_code == 200
    reload = gate.reload

    async def slow_reload() -> None:
        await world.change_key(key_id, {"enabled": False}, told=False)
        await reload()

    gate.reload = slow_reload  # type: ignore[method-assign]
    try:
        async with world.site.sessions.begin() as session:
            await changes.record(session, "account", "acct_x")
        await background.follow(gate)
    finally:
        gate.reload = reload  # type: ignore[method-assign]
    await background.follow(gate)
    assert code_of(await world.ask(key)) == "key_disabled"


async def test_more_changes_than_one_look_takes(world: World) -> None:
    await world.account()
    key_id, key = await world.new_key()
    assert (await world.ask(key)).status_code == 200
    async with world.site.sessions.begin() as session:
        for at in range(1100):
            await changes.record(session, "account", f"acct_{at}")
        found = await keys.find(session, ALL, key_id, lock=True)
        await keys.switch(session, found, enabled=False)

    async def refused() -> bool:
        return (await world.ask(key)).status_code == 401

    await eventually(refused, 3.0)


@pytest.mark.parametrize("told", [True, False], ids=["announced", "pub/sub lost"])
async def test_a_cut_ends_running_streams_with_the_error_event(world: World, told: bool) -> None:
    await world.account()
    other = await second(world.site)
    key_id, key = await world.new_key()
    key_2 = await world.key()

    async def read(key: str, url: str) -> tuple[float, str]:
        asked = body("sandbox-tokens-100-gap-30", stream=True)
        async with world.site.http.stream("POST", url + MESSAGES, headers={"x-api-key": key}, json=asked) as answer:
            text = (await answer.aread()).decode()
        return time.monotonic(), text

    running = [asyncio.ensure_future(read(key, "")), asyncio.ensure_future(read(key, other))]
    kept = asyncio.ensure_future(read(key_2, ""))
    await asyncio.sleep(0.5)
    async with world.site.sessions() as session:
        await keys.switch(session, await keys.find(session, ALL, key_id, lock=True), enabled=False, cut=True)
        await session.commit()
        cut_at = time.monotonic()
        if told:
            await keys.announce_cuts(session, world.site.gate.redis)
    for ended, text in await asyncio.gather(*running):
        assert ended - cut_at < 2
        last = text.strip().rsplit("\n\n", 1)[-1]
        assert last.startswith("event: error"), last
        assert "key_disabled" in last
        assert "message_stop" not in text
    assert "message_stop" in (await kept)[1]
    assert CUT_CHANNEL == "pg:cut"


async def test_old_peppers_find_keys_which_are_stored_anew(world: World) -> None:
    site = world.site
    await world.account()
    key_id, key = await world.new_key()
    fresh = base64.b64encode(os.urandom(32)).decode()
    old = site.settings.key_peppers[0].reveal()
    both = type(site.settings).from_environ(
        {
            **environ_of(site.settings),
            "POOLGATE_KEY_PEPPERS": f"{fresh},{old}",
            "POOLGATE_HOME": str(site.settings.home),
        }
    )

    async def stored() -> list[m.KeySecret]:
        async with site.sessions() as session:
            return list((await session.execute(select(m.KeySecret).where(m.KeySecret.key_id == key_id))).scalars())

    async with serving(both) as gateway:
        assert (await world.ask(key, url=gateway.url)).status_code == 200

        async def anew() -> bool:
            return [one.pepper_id for one in await stored()] == [both.peppers.newest_id()]

        await eventually(anew, 3.0)
        assert (await stored())[0].digest == both.peppers.digest(key)
        assert (await world.ask(key, url=gateway.url)).status_code == 200
        assert not gateway.gate.redigests
    only_new = type(site.settings).from_environ({**environ_of(site.settings), "POOLGATE_KEY_PEPPERS": fresh})
    async with serving(only_new) as gateway:
        assert (await world.ask(key, url=gateway.url)).status_code == 200
