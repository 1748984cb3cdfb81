"""A gateway that is told to go, or killed, in mid-stream; real processes and real signals."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest_asyncio

from tests.failures.requests import body
from tests.support.processes import Plant, until, works


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made() -> AsyncGenerator[tuple[Plant, str]]:
    async with works() as plant:
        await plant.site.account("claude-console")
        key = await plant.site.key(limits=[{"type": "concurrency", "max": 50}])
        await asyncio.sleep(1.5)
        yield plant, key


@pytest_asyncio.fixture(loop_scope="session")
async def plant(made: tuple[Plant, str]) -> AsyncGenerator[Plant]:
    yield made[0]
    gateway = made[0].gateways[0]
    if not gateway.alive:
        gateway.start()
    await made[0].answers(gateway)


@pytest_asyncio.fixture(loop_scope="session")
async def http(made: tuple[Plant, str], plant: Plant) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=plant.gateways[0].url, headers={"x-api-key": made[1]}, timeout=20) as client:
        yield client


@asynccontextmanager
async def streaming(http: httpx.AsyncClient, model: str) -> AsyncGenerator[httpx.Response]:
    async with http.stream("POST", "/v1/messages", json=body(model, stream=True)) as answer:
        assert answer.status_code == 200
        yield answer


async def row(plant: Plant, answer: httpx.Response, seconds: float = 15) -> Any:
    found: list[Any] = []

    async def there() -> bool:
        found[:] = await plant.query(
            "SELECT * FROM requests WHERE request_id = $1", answer.headers["x-request-id"].removeprefix("req_")
        )
        return bool(found)

    await until(there, seconds, "no row")
    assert len(found) == 1
    return found[0]


async def test_sigterm_lets_a_stream_end_and_refuses_the_rest(plant: Plant, http: httpx.AsyncClient):
    gateway = plant.gateways[0]
    kept = httpx.AsyncClient(base_url=gateway.url, headers=http.headers, timeout=10)
    assert (await kept.get("/readyz")).status_code == 200
    async with streaming(http, "sandbox-tokens-10-gap-100") as answer:
        gateway.send(signal.SIGTERM)
        await asyncio.sleep(0.3)
        ready = await kept.get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
        refused = await kept.post("/v1/messages", json=body())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert refused.headers["connection"] == "close"
        assert refused.json()["error"]["type"] == "overloaded_error"
        text = (await answer.aread()).decode()
    assert text.count("event: message_stop") == 1
    assert "event: error" not in text
    await kept.aclose()
    assert gateway.ended_by(time.monotonic() + 5)
    found = await row(plant, answer)
    assert (found["ending"], found["usage_source"]) == ("complete", "provider")


async def test_a_stream_beyond_the_drain_time_gets_the_error_event(plant: Plant, http: httpx.AsyncClient):
    gateway = plant.gateways[0]
    began = time.monotonic()
    async with streaming(http, "sandbox-tokens-90-gap-100") as answer:
        gateway.send(signal.SIGTERM)
        text = (await answer.aread()).decode()
    assert 1.5 < time.monotonic() - began < 5
    assert "message_stop" not in text
    last = text.strip().split("\n\n")[-1]
    assert last.startswith("event: error\n")
    assert '"code":"draining"' in last
    assert gateway.ended_by(time.monotonic() + 5)
    gateway.start()  # the next process on this disk adopts what the last one could not send
    found = await row(plant, answer)
    assert (found["ending"], found["error_code"]) == ("client_abort_cut", "draining")
    assert found["usage_source"] == "estimated"
    await until(lambda: not plant.held(), 10)


async def test_a_request_that_waits_for_its_upstream_hears_draining(plant: Plant, http: httpx.AsyncClient):
    asking = asyncio.get_running_loop().create_task(http.post("/v1/messages", json=body("sandbox-stall-20")))
    await asyncio.sleep(0.3)
    plant.gateways[0].send(signal.SIGTERM)
    answer = await asking
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
    assert plant.gateways[0].ended_by(time.monotonic() + 5)


async def test_a_second_signal_ends_at_once(plant: Plant, http: httpx.AsyncClient):
    gateway = plant.gateways[0]
    async with streaming(http, "sandbox-tokens-90-gap-100") as answer:
        gateway.send(signal.SIGTERM)
        await asyncio.sleep(0.3)
        began = time.monotonic()
        gateway.send(signal.SIGTERM)
        text = (await answer.aread()).decode()
    assert "event: error" in text
    assert gateway.ended_by(time.monotonic() + 3)
    assert time.monotonic() - began < 1.5
    gateway.start()
    assert (await row(plant, answer))["ending"] == "client_abort_cut"


async def test_an_idle_gateway_ends_soon(plant: Plant, http: httpx.AsyncClient):
    assert (await http.get("/health")).status_code == 200
    assert plant.gateways[0].end() < 2


async def test_sigkill_in_mid_stream(plant: Plant, http: httpx.AsyncClient):
    """Its leases end, the sweep writes what is known; a row that was in its journal replaces that, once."""
    gateway = plant.gateways[0]
    plant.jobs.kill()
    async with streaming(http, "sandbox-tokens-90-gap-100") as answer:
        done = await http.post("/v1/messages", json=body())
        await asyncio.sleep(0.2)  # the row follows the answer within a moment
        gateway.kill()
        with suppress(httpx.HTTPError):
            await answer.aread()
    assert plant.held() >= 2, "slot and concurrency lease of what ran"
    plant.jobs.start()
    found = await row(plant, answer)
    assert (found["ending"], found["usage_source"]) == ("gateway_lost", "estimated")
    assert found["input_tokens"] > 0
    await until(lambda: not plant.held(), 5, "a lease stayed")
    gateway.start()
    assert (await row(plant, done))["ending"] == "complete"
    own = plant.home / "spool"
    await until(lambda: len([one for one in own.iterdir() if not one.name.startswith(".")]) == 1, 15, "not adopted")


async def test_a_real_row_replaces_the_swept_one_once(plant: Plant, http: httpx.AsyncClient):
    """Redis dies, the request ends, the gateway is killed: the row is only in its files when the sweep has spoken."""
    gateway = plant.gateways[0]
    async with streaming(http, "sandbox-tokens-20-gap-100") as answer:
        await asyncio.sleep(0.5)
        with plant.redis_client() as client:
            kept = {f"{{pg:{tag:02d}}}:": client.hgetall(f"{{pg:{tag:02d}}}:r") for tag in range(16)}
            place, reservation = next((name, held) for name, held in kept.items() if held)
        plant.crash(plant.redis)
        text = (await answer.aread()).decode()
    assert "message_stop" in text
    await asyncio.sleep(0.2)
    gateway.kill()
    plant.redis.start()
    with plant.redis_client() as client:  # as a Redis that keeps its data would have it
        client.hset(place + "r", mapping=reservation)
        client.zadd(place + "l", dict.fromkeys(reservation, 1))
    found = await row(plant, answer)
    assert found["ending"] == "gateway_lost"
    gateway.start()
    await plant.answers(gateway)

    async def replaced() -> bool:
        return (await row(plant, answer))["ending"] == "complete"

    await until(replaced, 15, "the real row did not replace it")
    again = await row(plant, answer)
    assert again["usage_source"] == "provider"
    hours = await plant.query("SELECT sum(requests) AS n, sum(output_tokens) AS t FROM usage_hours")
    rows = await plant.query("SELECT count(*) AS n, sum(output_tokens) AS t FROM requests")
    assert (hours[0]["n"], hours[0]["t"]) == (rows[0]["n"], rows[0]["t"])
