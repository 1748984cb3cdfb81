"""From a state that changes to the receiver that hears of it, with real servers; and what happens when things fail."""

import asyncio
import base64
import hmac
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from gateway.core import db
from gateway.core import models as m
from gateway.core.ids import new_id
from gateway.core.inspection import recover
from gateway.core.names import TAGS, prefix, tag_of, tenant_prefix
from gateway.core.redis import client, connector
from gateway.core.scripts import MARK, scripts
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, deliveries, proxies, webhooks
from gateway.core.settings import Settings
from gateway.core.state import FOR_EVER, State, encode
from gateway.jobs import webhooks as jobs
from gateway.upstream.notify import Told
from tests.support.installation import installation
from tests.support.receiver import Receiver, receiving

KEY = base64.b64encode(bytes(32)).decode()
UNTIL = 4_000_000_000.0


def entry(news: Mapping[str, str | None], identity: str = "1700000000123-0") -> jobs.News | None:
    held = {"a": new_id("acct"), "s": "account", "o": "", "n": "", "h": "", **news}
    return jobs.read(identity, {name: value for name, value in held.items() if value is not None})


def state(reason: str = "rate_limited", until: float = UNTIL, **more: Any) -> str:
    return encode(State(reason, until, request_id="req_1", status=429, **more)).decode()


@pytest.mark.parametrize(
    "broken",
    [{"a": None}, {"a": "nobody"}, {"a": "key_1"}, {"s": None}, {"n": "{"}, {"n": '{"reason":1}'}, {"h": "["}],
)
def test_what_cannot_be_read_is_none(broken: Mapping[str, str | None]):
    assert entry(broken) is None


@pytest.mark.parametrize(
    ("news", "said"),
    [
        ({"n": state()}, ("account.trouble", "account", "rate_limited", "2096-10-02T07:06:40.000Z", "req_1", 429)),
        ({"n": state("money", FOR_EVER)}, ("account.disabled", "account", "money", None, "req_1", 429)),
        ({"n": state(), "o": state("x")}, ("account.trouble", "account", "rate_limited", "2096-10-02T07:06:40.000Z",
            "req_1", 429)),
        ({"o": state("x"), "s": "model:m"}, ("account.recovered", "model:m", "x", None, None, None)),
        ({"o": state("x"), "h": '{"request_id":"req_2"}'}, ("account.recovered", "account", "x", None, "req_2", None)),
        ({"n": state("proxy"), "a": new_id("prx")}, ("account.trouble", "proxy", "proxy", "2096-10-02T07:06:40.000Z",
            "req_1", 429)),
    ],
)  # fmt: skip
def test_events(news: Mapping[str, str], said: tuple[Any, ...]):
    read = entry(news)
    assert read is not None
    event = jobs.event_of(read, m.Account(id="acct_1", name="main", platform="openai"))
    data = event.data
    assert event.timestamp == "2023-11-14T22:13:20.123Z"
    assert data["account"] == {"id": "acct_1", "name": "main", "platform": "openai"}
    source = data["source"]
    found = (event.type, data["scope"], data["reason"], data["until"], source["request_id"], source["status"])
    assert found == said


def test_identities_are_made_of_the_event_and_sorted_as_they_came():
    news = [entry({"n": state()}, one) for one in ("1700000000123-0", "1700000000123-7", "1700000000124-0")]
    read = [one for one in news if one is not None]
    ids = [jobs.identity_of(one, 3, "acct_1", "whk_1") for one in read]
    assert ids == sorted(set(ids))
    assert ids == [jobs.identity_of(one, 3, "acct_1", "whk_1") for one in read]
    others = [("acct_1", "whk_2", 3), ("acct_2", "whk_1", 3), ("acct_1", "whk_1", 4)]
    assert len({ids[0], *(jobs.identity_of(read[0], tag, account, hook) for account, hook, tag in others)}) == 4


@pytest.mark.parametrize(
    ("attempts", "chance", "seconds"),
    [(1, 0.5, 10), (1, 0, 8), (1, 1, 12), (2, 0.5, 30), (3, 0.5, 120), (6, 0.5, 21600), (7, 0.5, None)],
)
def test_pauses_grow_until_it_is_given_up(attempts: int, chance: float, seconds: float | None):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    again = jobs.again_at(attempts, Told(500, "HTTP 500", ""), now, chance)
    assert again == (None if seconds is None else now + timedelta(seconds=seconds))


def test_a_receiver_may_ask_for_more_time_or_for_no_more():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for asked, seconds in ((300.0, 300), (3.0, 10), (-5.0, 10)):
        told = Told(429, "HTTP 429", "", now.timestamp() + asked)
        assert jobs.again_at(1, told, now, 0.5) == now + timedelta(seconds=seconds)
    assert jobs.again_at(1, Told(410, "HTTP 410", ""), now, 0.5) is None


class Scene:
    """A tenant of its own with an account, stores, and jobs that can be started and stopped."""

    def __init__(self, settings: Settings, sessions: db.Sessions, redis: Any, hot: Any) -> None:
        self.settings = settings
        self.sessions = sessions
        self.redis = redis
        self.hot = hot
        self.sealer = Sealer(settings.master_key_bytes)
        self.tenant = new_id("ten")
        self.account = ""

    async def prepare(self) -> None:
        async with self.sessions.begin() as session:
            session.add(m.Tenant(id=self.tenant, name=self.tenant))
            await session.flush()
        self.account = await self.new_account()

    async def new_account(self, **more: Any) -> str:
        values = {"name": new_id("acct"), "platform": "openai", "provider": "openai", **more}
        async with self.sessions.begin() as session:
            return (await accounts.create(session, self.sealer, self.tenant, values, {"api_key": "x"})).id

    async def webhook(self, url: str, *, tenant: str | None = None, kind: str = "plain", **more: Any) -> str:
        values = {"name": new_id("whk"), "kind": kind, **more}
        async with self.sessions.begin() as session:
            made, secret = await webhooks.create(session, self.sealer, tenant or self.tenant, values, url, None)
        self.secret = secret.reveal() if secret else ""
        return made.id

    async def mark(
        self, reason: str | None = "rate_limited", *, scope: str = "account", owner: str | None = None, **more: Any
    ) -> None:
        """As the relay does."""
        now = time.time()
        told = None if reason is None else State(reason, more.pop("until", now + 60), now, "req_1", 429, **more)
        history = msgspec.json.encode({"scope": scope, "at": now, "state": told})
        state = b"" if told is None else encode(told)
        await self.hot.run(MARK, tenant_prefix(self.tenant), (owner or self.account, scope, state, history))

    async def rows(self, webhook_id: str) -> list[m.Delivery]:
        async with self.sessions() as session:
            found = select(m.Delivery).where(m.Delivery.webhook_id == webhook_id).order_by(m.Delivery.id)
            return list((await session.execute(found)).scalars())

    async def at_once(self) -> None:
        """What waits for its next attempt is tried now."""
        async with self.sessions.begin() as session:
            waiting = update(m.Delivery).where(m.Delivery.next_at.is_not(None))
            await session.execute(waiting.values(next_at=datetime.now(UTC), first_at=datetime.now(UTC)))

    async def left(self) -> int:
        return sum([await self.redis.xlen(prefix(tag) + "e") for tag in range(TAGS)])

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[None]:
        """The jobs of webhooks, until the context ends: killed as a leader is."""
        task = asyncio.get_running_loop().create_task(jobs.keep(self.settings, self.sessions, self.sealer, self.redis))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def scene(database_url: str, clean_redis: str) -> AsyncGenerator[Scene]:
    environ = {
        "POOLGATE_DATABASE_URL": database_url, "POOLGATE_REDIS_URL": clean_redis, "POOLGATE_MASTER_KEYS": KEY,
        "POOLGATE_KEY_PEPPERS": KEY, "POOLGATE_EGRESS_ALLOW": "127.0.0.1/32",
    }  # fmt: skip
    async with (
        db.engine(database_url) as engine,
        client(clean_redis) as redis,
        scripts(*connector(clean_redis)) as hot,
    ):
        made = Scene(Settings.from_environ(environ), db.sessions(engine), redis, hot)
        async with made.sessions.begin() as session:
            await session.execute(update(m.Webhook).values(enabled=False))  # of earlier tests
        await made.prepare()
        yield made


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with receiving() as made:
        yield made


async def until(true: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)


def verified(receiver: Receiver, secret: str) -> bool:
    """As a receiver does it, by the page of Standard Webhooks."""
    one = receiver.received[-1]
    assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 300
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    made = base64.b64encode(hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256").digest())
    return any(hmac.compare_digest(f"v1,{made.decode()}", given) for given in one.headers["webhook-signature"].split())


async def test_trouble_and_recovery_are_told_and_signed(scene: Scene, receiver: Receiver):
    hook = await scene.webhook(receiver.url)
    async with scene.working():
        await scene.mark()
        await receiver.heard(1)
        assert verified(receiver, scene.secret)
        await scene.mark("money", until=FOR_EVER)
        await receiver.heard(2)
        await scene.mark(None)
        await receiver.heard(3)
        assert list(receiver.types()) == ["account.trouble", "account.disabled", "account.recovered"]
        data = receiver.received[0].json["data"]
        assert (data["account"]["id"], data["scope"], data["reason"]) == (scene.account, "account", "rate_limited")
        assert data["source"] == {"request_id": "req_1", "status": 429}
        rows = await scene.rows(hook)
        assert [one.headers["webhook-id"] for one in receiver.received] == [row.id for row in rows]
        await until(lambda: _delivered(scene, hook, 3))
    assert await scene.left() == 0


async def _delivered(scene: Scene, hook: str, count: int) -> bool:
    return sum(row.delivered_at is not None for row in await scene.rows(hook)) == count


async def test_only_whom_it_concerns(scene: Scene, receiver: Receiver):
    async with scene.sessions() as session:
        default = (await session.execute(select(m.Tenant.id).where(m.Tenant.name == "default"))).scalar_one()
    foreign = await scene.webhook(receiver.url, tenant=default)
    off = await scene.webhook(receiver.url, enabled=False)
    other = await scene.webhook(receiver.url, events=["account.disabled"])
    mine = await scene.webhook(receiver.url, events=["account.t*"])
    await scene.mark()
    gone = await scene.new_account()
    await scene.mark(owner=gone)
    await scene.mark(scope="model:\0é\u202e")
    async with scene.sessions.begin() as session:
        row = await session.get(m.Account, gone)
        assert row is not None
        row.deleted_at = datetime.now(UTC)
    await scene.redis.xadd(tenant_prefix(scene.tenant) + "e", {"a": "junk"})
    assert await jobs.collect(scene.redis, scene.sessions) == 2
    assert [len(await scene.rows(one)) for one in (foreign, off, other, mine)] == [0, 0, 0, 2]
    assert (await scene.rows(mine))[1].event["data"]["scope"] == "model:\ufffdé\u202e"
    assert await scene.left() == 0


async def test_a_proxys_trouble_is_that_of_its_accounts(scene: Scene, receiver: Receiver):
    hook = await scene.webhook(receiver.url)
    async with scene.sessions.begin() as session:
        values = {"name": "way", "url": "http://proxy.example:3128"}
        proxy = await proxies.create(session, scene.sealer, scene.tenant, values)
    through = await scene.new_account(proxy_id=proxy.id)
    await scene.mark("proxy", owner=proxy.id)
    assert await jobs.collect(scene.redis, scene.sessions) == 1
    (row,) = await scene.rows(hook)
    assert (row.event["data"]["account"]["id"], row.event["data"]["scope"]) == (through, "proxy")


async def test_it_is_tried_again_until_it_is_accepted(scene: Scene, receiver: Receiver):
    receiver.says(500, 500, 200)
    hook = await scene.webhook(receiver.url)
    async with scene.working():
        await scene.mark()
        for attempt in (1, 2):
            await receiver.heard(attempt)
            await until(lambda attempt=attempt: _failed(scene, hook, attempt))
            (row,) = await scene.rows(hook)
            assert row.next_at is not None
            pause = (row.next_at - datetime.now(UTC)).total_seconds()
            assert deliveries.PAUSES[attempt - 1] * 0.7 < pause < deliveries.PAUSES[attempt - 1] * 1.3
            await scene.at_once()
        await receiver.heard(3)
        await until(lambda: _delivered(scene, hook, 1))
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert verified(receiver, scene.secret)


async def _failed(scene: Scene, hook: str, attempt: int, error: str = "HTTP 500") -> bool:
    (row,) = await scene.rows(hook)
    return row.attempts == attempt and (row.error or "").startswith(error)


async def test_it_is_given_up_after_seven_attempts(scene: Scene, receiver: Receiver):
    receiver.says(302, location="http://127.0.0.1:1/elsewhere")
    hook = await scene.webhook(receiver.url)
    await scene.mark()
    await jobs.collect(scene.redis, scene.sessions)
    async with scene.sessions.begin() as session:
        await session.execute(update(m.Delivery).where(m.Delivery.webhook_id == hook).values(attempts=6))
    async with scene.working():
        await until(lambda: _failed(scene, hook, 7, "HTTP 302: redirects are not followed"))
    (row,) = await scene.rows(hook)
    assert (row.next_at, row.delivered_at, row.status) == (None, None, 302)
    assert len(receiver.received) == 1


async def test_one_that_hangs_delays_only_itself(scene: Scene, receiver: Receiver):
    async with receiving() as hanging:
        hanging.answers = [60.0]
        await scene.webhook(hanging.url)
        await scene.webhook(receiver.url)
        async with scene.working():
            for n in range(3):
                await scene.mark(scope=f"family:{n}")
            await hanging.heard(1)
            await receiver.heard(3)
        assert len(hanging.received) == 1


async def test_nothing_is_lost_between_two_leaders(scene: Scene, receiver: Receiver):
    """Killed while it waits for the receiver; events come meanwhile; the next one goes on."""
    hook = await scene.webhook(receiver.url)
    receiver.answers = [60.0, (200, b"", {})]
    async with scene.working():
        await scene.mark()
        await receiver.heard(1)
    for reason in ("overloaded", "credentials"):
        await scene.mark(reason, scope=f"family:{reason}")
    (row,) = await scene.rows(hook)
    assert (row.delivered_at, row.attempts) == (None, 1)
    await scene.at_once()
    async with scene.working():
        await receiver.heard(4)
        await until(lambda: _delivered(scene, hook, 3))
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert ids.count(row.id) == 2, "at least once, by the same id"
    assert len(set(ids)) == 3


async def test_a_crash_between_commit_and_delete_writes_nothing_twice(scene: Scene, receiver: Receiver):
    hook = await scene.webhook(receiver.url)
    await scene.mark()
    stream = tenant_prefix(scene.tenant) + "e"
    ((identity, fields),) = await scene.redis.xrange(stream)
    assert await jobs.collect(scene.redis, scene.sessions) == 1
    await scene.redis.delete(stream)
    await scene.redis.xadd(stream, fields, id=identity)
    assert await jobs.collect(scene.redis, scene.sessions) == 0
    assert len(await scene.rows(hook)) == 1
    assert tag_of(scene.tenant) < TAGS


async def test_where_no_webhook_goes(scene: Scene):
    """Not to private addresses, and never to our own ports."""
    hooks = [await scene.webhook(url) for url in ("http://127.0.0.2:9/x", "https://10.0.0.1/x", "https://[::1]/x")]
    async with scene.working():
        await scene.mark()
        for hook in hooks:
            await until(lambda hook=hook: _error(scene, hook, "is refused"))


async def _error(scene: Scene, hook: str, words: str) -> bool:
    return any(words in (row.error or "") for row in await scene.rows(hook))


async def test_a_url_that_does_not_open_is_given_up(scene: Scene, receiver: Receiver):
    hook = await scene.webhook(receiver.url)
    async with scene.sessions.begin() as session:
        await session.execute(update(m.Webhook).where(m.Webhook.id == hook).values(url=os.urandom(64)))
    async with scene.working():
        await scene.mark()
        await until(lambda: _error(scene, hook, "does not open"))
    (row,) = await scene.rows(hook)
    assert row.next_at is None


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("slack", b"ok", lambda said: said["blocks"][0]["text"]["text"]),
        ("feishu", b'{"code":0}', lambda said: said["content"]["post"]["en_us"]["title"]),
        ("dingtalk", b'{"errcode":0}', lambda said: said["text"]["content"].partition("\n")[0]),
    ],
)
async def test_chats(scene: Scene, receiver: Receiver, kind: str, body: bytes, shown: Callable[[Any], str]):
    receiver.says(200, body=body)
    hook = await scene.webhook(receiver.url, kind=kind)
    async with scene.working():
        await scene.mark()
        await until(lambda: _delivered(scene, hook, 1))
    assert shown(receiver.received[0].json).startswith("poolgate: account acct_")


async def test_a_failing_request_is_told_within_two_seconds(database_url: str, clean_redis: str, receiver: Receiver):
    """The whole way: a request through a gateway, the upstream's 429, its state, the jobs, the receiver."""
    async with installation(database_url, clean_redis) as site:
        account = await site.account("openai")
        key = await site.key()
        values = {"name": new_id("whk"), "kind": "plain"}
        async with site.sessions.begin() as session:
            sealer = Sealer(site.settings.master_key_bytes)
            await webhooks.create(session, sealer, await site.tenant(), values, receiver.url, None)
        asked = {"model": "gpt-sandbox-error-401", "messages": [{"role": "user", "content": "hi"}]}
        answer = await site.http.post("/v1/chat/completions", headers={"x-api-key": key}, json=asked)
        told_at = asyncio.get_running_loop().time()
        (one,) = await receiver.heard(1)
        assert one.at - told_at < 2
        data = one.json["data"]
        assert (one.json["type"], data["scope"], data["reason"]) == ("account.trouble", "account", "credentials")
        assert data["source"]["request_id"] == answer.headers["x-request-id"]
        assert await recover(site.gate.redis, await site.tenant(), account, "usr_1") == 1
        await receiver.heard(2)
        assert receiver.received[1].json["type"] == "account.recovered"
