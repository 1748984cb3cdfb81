"""`/metrics`: what it says, and to whom."""

import re
from collections.abc import AsyncGenerator

import httpx
import msgspec
import pytest
import pytest_asyncio

from tests.support.installation import Site, installation

pytestmark = pytest.mark.asyncio(loop_scope="session")
LINE = re.compile(r'poolgate_[a-z_]+\{process="[0-9a-f]{32}"(?:,ending="[a-z_]+")?\} [0-9.]+')


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    environ = {"POOLGATE_METRICS_ALLOW": "127.0.0.0/8, ::1"}
    async with installation(database_url, redis_url, environ=environ) as made:
        yield made


async def ask(site: Site, key: str) -> httpx.Response:
    body = {"model": "sandbox-echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return await site.http.post("/v1/messages", json=body, headers={"x-api-key": key})


async def numbers(site: Site) -> dict[str, float]:
    got = await site.http.get("/metrics")
    assert (got.status_code, got.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = [line for line in got.text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines)
    return {re.sub(r'process="\w+",?', "", line.rpartition(" ")[0]): float(line.rpartition(" ")[2]) for line in lines}


async def test_requests_and_degraded_mode_are_counted(open_site: Site) -> None:
    await open_site.account("claude-console")
    key = await open_site.key()
    for _ in range(3):
        assert (await ask(open_site, key)).status_code == 200
    found = await numbers(open_site)
    assert found['poolgate_requests_total{ending="complete"}'] == 3
    assert (found["poolgate_degraded{}"], found["poolgate_redis_connected{}"]) == (0, 1)
    open_site.gate.scripts.drop("away")
    assert (await ask(open_site, key)).status_code == 200
    found = await numbers(open_site)
    assert (found["poolgate_degraded{}"], found["poolgate_redis_connected{}"]) == (1, 0)
    assert found["poolgate_degraded_admissions_total{}"] == 1


async def test_every_number_has_its_type_and_meaning(open_site: Site) -> None:
    text = (await open_site.http.get("/metrics")).text
    named = set(re.findall(r"^(poolgate_\w+)\{", text, re.MULTILINE))
    assert set(re.findall(r"^# TYPE (poolgate_\w+) (?:gauge|counter)$", text, re.MULTILINE)) == named
    assert set(re.findall(r"^# HELP (poolgate_\w+) .+\.$", text, re.MULTILINE)) == named


async def test_it_is_not_there_for_others(site: Site) -> None:
    got = await site.http.get("/metrics")
    assert (got.status_code, got.json()["error"]["code"]) == (404, "not_found")


async def test_behind_a_proxy_the_client_counts(open_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = open_site.gate.settings
    trusting = msgspec.structs.replace(settings, trusted_proxies=("127.0.0.1/32",), metrics_allow=("127.0.0.1/32",))
    monkeypatch.setattr(open_site.gate, "settings", trusting)
    for forwarded, status in (({}, 200), ("8.8.8.8", 404), ("127.0.0.1, 8.8.8.8", 404), ("8.8.8.8, 127.0.0.1", 404)):
        headers = {"x-forwarded-for": forwarded} if isinstance(forwarded, str) else {}
        assert (await open_site.http.get("/metrics", headers=headers)).status_code == status, forwarded
    untrusting = msgspec.structs.replace(trusting, trusted_proxies=())
    monkeypatch.setattr(open_site.gate, "settings", untrusting)
    assert (await open_site.http.get("/metrics", headers={"x-forwarded-for": "8.8.8.8"})).status_code == 200


async def test_it_is_named_like_every_answer(open_site: Site) -> None:
    assert (await open_site.http.get("/metrics")).headers["x-request-id"].startswith("req_")


async def test_it_is_not_there_for_other_addresses(open_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = msgspec.structs.replace(open_site.gate.settings, metrics_allow=("10.9.8.7",))
    monkeypatch.setattr(open_site.gate, "settings", narrow)
    got = await open_site.http.get("/metrics")
    assert (got.status_code, got.json()["error"]["code"]) == (404, "not_found")
