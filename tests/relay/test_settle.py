"""Rows on their way: sent again after Redis lost them, waiting while the stream or the jobs do not take them, adopted
from gateways that are gone. Nothing is lost, nothing comes twice."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import redis
from sqlalchemy import select

from gateway.core import models as m
from gateway.core.ledger import Row, encode, new_request
from gateway.core.names import gateway_name, prefix
from gateway.core.redis import connector
from gateway.core.scripts import Scripts, scripts
from gateway.jobs.ledger import GROUP, read_entry
from gateway.relay import settle as module
from gateway.relay.journal import Journal
from gateway.relay.settle import Settler
from tests.support.installation import Site
from tests.support.processes import until

pytestmark = pytest.mark.usefixtures("emptied")
TAG = 7


def row(number: int) -> bytes:
    return msgspec.json.encode({"request_id": f"req_{number}", "account_id": "acc_1", "more": "x" * 50})


class Store:
    """What is in Redis."""

    def __init__(self, client: "redis.Redis[str]") -> None:
        self.client = client

    def stream(self, tag: int = TAG) -> list[tuple[str, int]]:
        """(instance, sequence) in order."""
        found: Any = self.client.xrange(prefix(tag) + "u")
        return [(fields["i"], int(fields["s"])) for _, fields in found]

    def sequences(self, tag: int = TAG) -> list[int]:
        return [sequence for _, sequence in self.stream(tag)]

    def commit(self, instance: str, sequence: int, tag: int = TAG) -> None:
        self.client.delete(prefix(tag) + "u")
        self.client.hset(prefix(tag) + "done", instance, str(sequence))


@pytest.fixture
def emptied(clean_redis: str) -> str:
    return clean_redis


@pytest.fixture
def store(emptied: str) -> Any:
    with redis.Redis.from_url(emptied, decode_responses=True) as client:
        yield Store(client)


@pytest_asyncio.fixture(loop_scope="session")
async def hot(emptied: str) -> AsyncGenerator[Scripts]:
    connect, greeting = connector(emptied)
    async with scripts(connect, greeting) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def settler(hot: Scripts, tmp_path: Path) -> AsyncGenerator[Settler]:
    journal = Journal.open(tmp_path)
    made = Settler(journal, hot, tmp_path)
    hot.reconnected = made.interrupt
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(made.watch())
        yield made
        watching.cancel()
    journal.close()


def put(settler: Settler, count: int, tag: int = TAG, names: list[str] | None = None) -> None:
    first = settler._journal.last(tag)
    for number in range(first + 1, first + count + 1):
        settler.settle(tag, f"req_{number}", "acc_1", names or [], row(number))


async def test_rows_enter_their_stream_in_order(settler: Settler, store: Store):
    for tag in (1, 2):
        put(settler, 50, tag)
    await until(lambda: len(store.stream(1)) == len(store.stream(2)) == 50)
    assert store.sequences(1) == store.sequences(2) == list(range(1, 51))
    assert settler.resent == 0


async def test_a_running_gateway_is_known_so_that_its_progress_is_kept(settler: Settler, hot: Scripts, store: Store):
    name = gateway_name(settler._journal.instance)
    for _ in range(2):
        await until(lambda: store.client.exists(name))
        assert store.client.ttl(name) > 3600
        store.client.flushall()
        hot.drop("a test")  # Redis comes back empty


async def test_the_leases_go_with_the_row(settler: Settler, store: Store):
    store.client.zadd(prefix(TAG) + "s:acc_1", {"req_1": 9e15})
    store.client.zadd(prefix(TAG) + "c:key:x", {"req_1": 9e15, "req_2": 9e15})
    store.client.hset(prefix(TAG) + "r", "req_1", "acc_1\n\n{}")
    put(settler, 1, names=["c:key:x"])
    await until(lambda: store.sequences() == [1])
    assert store.client.zrange(prefix(TAG) + "c:key:x", 0, -1) == ["req_2"]
    assert not store.client.exists(prefix(TAG) + "s:acc_1", prefix(TAG) + "r")


async def test_a_row_kept_while_redis_was_away_gives_all_its_leases_back(settler: Settler, hot: Scripts, store: Store):
    store.client.zadd(prefix(TAG) + "s:acc_1", {"req_1": 9e15})
    store.client.zadd(prefix(TAG) + "c:key:x", {"req_1": 9e15})
    hot.drop("a test")
    put(settler, 1, names=["c:key:x"])
    await until(lambda: store.sequences() == [1])
    assert not store.client.exists(prefix(TAG) + "s:acc_1", prefix(TAG) + "c:key:x")


async def test_a_lost_connection_sends_again_from_what_is_committed(settler: Settler, hot: Scripts, store: Store):
    put(settler, 10)
    await until(lambda: len(store.stream()) == 10)
    store.commit(settler._journal.instance, 4)
    await until(lambda: settler._journal.committed.get(TAG) == 4)
    hot.drop("a test")
    put(settler, 3)
    await until(lambda: settler.live and len(store.stream()) >= 9)
    assert store.sequences() == list(range(5, 14))
    put(settler, 1)
    await until(lambda: store.sequences()[-1] == 14)


@pytest.mark.parametrize("count", [1, 199, 200, 201, 1000])
async def test_batches_of_a_long_wait(settler: Settler, hot: Scripts, store: Store, count: int):
    hot.drop("a test")
    put(settler, count)
    await until(lambda: settler.live and len(store.stream()) >= count)
    assert store.sequences() == list(range(1, count + 1))
    assert settler.resent == count


async def test_a_full_stream_waits_and_goes_on_without_sending_twice(
    settler: Settler, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "STREAM_LIMIT", 20)
    put(settler, 50)
    await until(lambda: not settler.live)
    await asyncio.sleep(1.2)
    assert store.sequences() == list(range(1, 21))
    taken: list[int] = []

    def more() -> bool:
        return bool(store.stream()) or len(taken) == 50

    while len(taken) < 50:
        taken += store.sequences()
        store.commit(settler._journal.instance, taken[-1])
        await until(more, 5)
    assert taken == list(range(1, 51))
    await until(lambda: settler.live and not settler._journal.waiting)


async def test_what_is_committed_is_dropped(settler: Settler, store: Store):
    put(settler, 5)
    await until(lambda: len(store.stream()) == 5)
    assert settler._journal.waiting == 5
    store.commit(settler._journal.instance, 5)
    await until(lambda: not settler._journal.waiting)


async def test_a_stream_that_was_lost_unnoticed_is_sent_again_and_jobs_that_are_away_are_not_flooded(
    settler: Settler, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_STUCK", 0.5)
    settler._patience = 0.5
    put(settler, 3)
    await until(lambda: len(store.stream()) == 3)
    store.client.flushall()
    await until(lambda: store.sequences()[:3] == [1, 2, 3], 5)
    before = len(store.stream())
    await asyncio.sleep(3)
    assert len(store.stream()) - before <= 3 * 3, "sent again and again"


async def test_forgotten_scripts(settler: Settler, store: Store):
    store.client.script_flush()
    put(settler, 5)
    await until(lambda: settler.live and len(store.stream()) >= 5, 5)
    assert sorted(set(store.sequences())) == [1, 2, 3, 4, 5]


async def test_files_that_somebody_removed_do_not_hold_up_the_process(settler: Settler, hot: Scripts, store: Store):
    put(settler, 5)
    await until(lambda: len(store.stream()) == 5)
    for path in settler._journal.directory.glob("rows-*"):
        path.unlink()
    hot.drop("a test")
    await until(lambda: hot.connected)
    async with asyncio.timeout(5):
        await until(lambda: settler.live, 5)


async def test_a_fault_of_its_own_does_not_end_the_watch(
    settler: Settler, hot: Scripts, store: Store, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(settler, "_confirm", lambda: 1 / 0)
        await asyncio.sleep(1.2)
    hot.drop("a test")
    put(settler, 2)
    await until(lambda: store.sequences()[-2:] == [1, 2], 5)


def gone(spool: Path, count: int) -> str:
    """The journal of an instance that was killed."""
    journal = Journal.open(spool)
    for number in range(1, count + 1):
        journal.append(TAG, row(number))
    journal.flush()
    os.close(journal._lock)
    return journal.instance


@pytest.mark.parametrize("torn", [False, True])
async def test_a_gone_instances_rows_are_sent_once_under_its_name_and_removed_when_committed(
    settler: Settler, store: Store, tmp_path: Path, torn: bool
):
    instance = gone(tmp_path, 450)
    if torn:
        with (tmp_path / instance / "rows-000001").open("ab") as file:
            file.write(b'7 451 {"request_id": "req_4')
    await until(lambda: len(store.stream()) >= 450)
    await asyncio.sleep(1.5)
    assert store.stream() == [(instance, number) for number in range(1, 451)]
    assert (tmp_path / instance).exists()
    store.commit(instance, 450)
    await until(lambda: not (tmp_path / instance).exists())


async def test_of_a_gone_instance_only_what_is_not_committed_is_sent(settler: Settler, store: Store, tmp_path: Path):
    store.client.hset(prefix(TAG) + "done", "placeholder", "1")
    instance = Journal.open(tmp_path).instance
    path = tmp_path / instance / "rows-000002"
    path.write_bytes(b"".join(b"%d %d %b\n" % (TAG, number, row(number)) for number in range(301, 311)))
    store.client.hset(prefix(TAG) + "done", instance, "305")
    # Its lock is held by this process, so it must not be taken …
    await asyncio.sleep(1)
    assert store.stream() == []


async def test_what_ran_in_a_gone_instance_becomes_rows_of_its_journal(settler: Settler, store: Store, tmp_path: Path):
    journal = Journal.open(tmp_path)
    names = [new_request()[0] for _ in range(3)]
    for name in names:
        kept = encode(Row(name, 1.0, "ten_1", "key_1", "anthropic", "/v1/messages", "m", True, input_tokens=9))
        journal.begin(TAG, name, "acc_1", "S w:key_1:tokens:minute:0 60000 1 500", kept)
    journal.append(TAG, b'{"request_id":"%b","ending":"complete"}' % names[1].encode(), names[1])
    journal.flush()
    os.close(journal._lock)
    await until(lambda: len(store.stream()) >= 3)
    await asyncio.sleep(1.2)
    first, *lost = [fields for _, fields in store.client.xrange(prefix(TAG) + "u")]
    assert (first["s"], first["r"][:30]) == ("1", '{"request_id":"' + names[1][:15])
    assert [(one["i"], one["s"], one["a"]) for one in lost] == [
        (journal.instance, "2", "acc_1"),
        (journal.instance, "3", "acc_1"),
    ]
    entries = [read_entry("1-1", fields) for fields in lost]
    assert [one.row.request_id for one in entries if one.row] == [names[0], names[2]]
    assert {(one.row.ending, one.row.input_tokens, one.row.charges) for one in entries if one.row} == {
        ("gateway_lost", 9, "S w:key_1:tokens:minute:0 60000 1 500")
    }
    store.commit(journal.instance, 3)
    await until(lambda: not journal.directory.exists())


async def test_two_processes_do_not_both_adopt(settler: Settler, hot: Scripts, store: Store, tmp_path: Path):
    other = Settler(Journal.open(tmp_path), hot, tmp_path)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(other.watch())
        instance = gone(tmp_path, 30)
        await until(lambda: len(store.stream()) >= 30)
        await asyncio.sleep(1.2)
        assert store.stream() == [(instance, number) for number in range(1, 31)]
        watching.cancel()
    other._journal.close()


# ------------------------------------------------------------ with the jobs


BODY = {"model": "sandbox-echo", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}


async def ask(site: Site, key: str, count: int) -> list[str]:
    ids: list[str] = []
    for _ in range(count):
        answer = await site.http.post("/v1/messages", headers={"x-api-key": key}, json=BODY)
        assert answer.status_code == 200, answer.text
        ids.append(answer.headers["x-request-id"])
    return ids


async def rows_of(site: Site, key_id: str) -> list[m.Request]:
    async with site.sessions() as session:
        return list((await session.execute(select(m.Request).where(m.Request.key_id == key_id))).scalars())


async def counted(site: Site, key_id: str) -> int:
    async with site.sessions() as session:
        found = await session.execute(select(m.UsageHour.requests).where(m.UsageHour.key_id == key_id))
        return sum(found.scalars())


@pytest.mark.parametrize("trouble", ["jobs away", "redis emptied", "stream lost", "twice in the stream", "group lost"])
async def test_each_row_once_whatever_happens_on_the_way(site: Site, store: Store, trouble: str):
    await site.stop_jobs()
    await site.account("claude-console")
    key_id, key = await site.new_key()
    run = store.client.info("server")["run_id"]
    for tag in range(16):
        store.client.set(prefix(tag) + "epoch", f"{run}:{os.urandom(8).hex()}", nx=True)
    await asyncio.sleep(1.2)
    ids = await ask(site, key, 20)
    await until(lambda: sum(store.client.xlen(prefix(tag) + "u") for tag in range(16)) >= 20)
    match trouble:
        case "redis emptied":
            store.client.flushall()
        case "stream lost":
            for tag in range(16):
                store.client.delete(prefix(tag) + "u")
            site.gate.settler.interrupt()
        case "twice in the stream":
            site.gate.settler.interrupt()
        case "group lost":
            for tag in range(16):
                if store.client.exists(prefix(tag) + "u"):
                    store.client.xgroup_destroy(prefix(tag) + "u", GROUP)
        case _:
            pass
    ids += await ask(site, key, 5)
    assert await rows_of(site, key_id) == []
    await site.start_jobs()
    await site.settled(10)
    assert sorted(one.request_id for one in await rows_of(site, key_id)) == sorted(ids)
    assert await counted(site, key_id) == 25
    assert not site.gate.journal.waiting
