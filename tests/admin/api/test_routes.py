"""Where a request would go: the answer is what the relay then does."""

import time
from typing import Any

import pytest

from gateway.core.counters import counter
from gateway.core.limits import parse
from gateway.core.names import pace_name, session_name, tenant_prefix
from gateway.core.paces import Pace
from gateway.core.paces import encode as encode_paces
from gateway.core.state import BREAKER, FOR_EVER, State, encode
from tests.admin.conftest import Site, Tenant

MODEL = "claude-test-1"
ASK = "POST /route:explain"


async def account(north: Tenant, name: str, **fields: Any) -> str:
    body = {"name": name, "platform": "claude-official", "credentials": {"api_key": "sk-ant-x"}, **fields}
    return (await north.as_("owner")("POST /accounts", body, expect=201))["id"]


async def key(north: Tenant, **fields: Any) -> str:
    body = {"name": "k", "platforms": ["*"], "models": ["*"], **fields}
    return (await north.as_("owner")("POST /keys", body, expect=201))["id"]


async def ask(north: Tenant, key_id: str, **more: Any) -> dict[str, Any]:
    return await north.as_("viewer")(ASK, {"key_id": key_id, "path": "/v1/messages", "model": MODEL, **more})


def names(told: dict[str, Any]) -> list[str]:
    return [one["name"] for one in told["candidates"]]


def reasons(told: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["reason"] for one in told["excluded"]}


@pytest.fixture(autouse=True)
async def nothing_left(north: Tenant) -> None:
    owner = north.as_("owner")
    for one in (await owner("GET /accounts"))["data"]:
        await owner(f"DELETE /accounts/{one['id']}", expect=204)


async def test_candidates_in_order_and_the_rest_with_reasons(site: Site, north: Tenant) -> None:
    second = await account(north, "second", priority=20)
    first = await account(north, "first", priority=10, model_map={MODEL: "claude-up"})
    await account(north, "other model", models=["gpt-*"])
    await account(north, "off", enabled=False)
    cooling = await account(north, "cooling")
    broken = await account(north, "broken")
    prefix, now = tenant_prefix(north.id), time.time()
    held = {
        f"{cooling}|family:test": State("rate_limited", now + 60, now, "req_1", 429),
        f"{broken}|account": State("disabled", FOR_EVER, now, "req_2", 403),
    }
    for name, state in held.items():
        await site.resources.redis.hset(prefix + "state", name, encode(state).decode())
    await site.resources.redis.zadd(prefix + "s:" + second, {"req_9": (now + 60) * 1000})
    told = await ask(north, await key(north))
    assert (told["protocol"], told["group"], told["model"], told["sticky"]) == ("anthropic", "", MODEL, None)
    assert names(told) == ["first", "second"]
    best, next_one = told["candidates"]
    assert (best["account_id"], best["model"], best["translated"], best["in_flight"]) == (first, "claude-up", False, 0)
    assert (next_one["in_flight"], next_one["score"]) == (1, 0.01)
    found = reasons(told)
    assert {name: found[name] for name in ("other model", "off", "cooling", "broken")} == {
        "other model": "model_not_served", "off": "disabled", "cooling": "rate_limited", "broken": "disabled",
    }  # fmt: skip
    until = {one["name"]: one["until"] for one in told["excluded"]}
    assert until["cooling"] is not None
    assert until["broken"] is None


async def test_a_bound_session_goes_first_and_a_draining_account_serves_nobody_else(site: Site, north: Tenant) -> None:
    await account(north, "first", priority=1)
    bound = await account(north, "bound", priority=90)
    key_id = await key(north)
    await north.as_("operator")(f"POST /accounts/{bound}/drain")
    assert reasons(await ask(north, key_id)) == {"bound": "draining"}
    name = session_name(north.id, key_id, "conversation", "anthropic")
    await site.resources.redis.set(tenant_prefix(north.id) + name, bound)
    told = await ask(north, key_id, session_id="conversation")
    assert (told["sticky"], names(told)) == (bound, ["bound", "first"])
    assert reasons(await ask(north, key_id, session_id="another")) == {"bound": "draining"}
    shown = await north.as_("operator")(f"POST /accounts/{bound}/enable")
    assert (shown["enabled"], shown["draining"]) == (True, False)
    assert names(await ask(north, key_id)) == ["first", "bound"]


async def test_full_accounts_are_no_candidates(site: Site, north: Tenant) -> None:
    full = await account(north, "full", max_concurrency=1)
    await site.resources.redis.zadd(tenant_prefix(north.id) + "s:" + full, {"req_1": (time.time() + 60) * 1000})
    told = await ask(north, await key(north))
    assert (names(told), reasons(told)) == ([], {"full": "full"})
    assert (told["error"]["status"], told["error"]["code"]) == (503, "overloaded")


async def test_accounts_at_a_cap_of_their_own_are_no_candidates(site: Site, north: Tenant) -> None:
    cap = {"type": "requests", "per": "total", "max": 1}
    capped = await account(north, "capped", limits=[cap])
    other = await account(north, "of another model", limits=[{**cap, "models": ["claude-other-*"]}])
    for one in (capped, other):
        row = (await north.as_("owner")(f"GET /accounts/{one}"))["limits"]
        (limit,) = parse(row, scope="account", owner=one)
        await site.resources.redis.set(tenant_prefix(north.id) + counter(limit, time.time()).name, 1)
    told = await ask(north, await key(north))
    assert (names(told), reasons(told), told["error"]) == (["of another model"], {"capped": "limit_reached"}, None)
    await north.as_("owner")(f"DELETE /accounts/{other}", expect=204)
    told = await ask(north, await key(north))
    assert (names(told), told["error"]["code"]) == ([], "no_account")


async def test_a_breaker_that_another_request_tries_is_no_candidate(site: Site, north: Tenant) -> None:
    trying = await account(north, "trying")
    prefix, now = tenant_prefix(north.id), time.time()
    half_open = State(BREAKER, now - 1, now - 31, faults=5)
    await site.resources.redis.hset(prefix + "state", f"{trying}|family:test", encode(half_open).decode())
    key_id = await key(north)
    assert names(await ask(north, key_id)) == ["trying"]
    await site.resources.redis.set(f"{prefix}probe:{trying}|family:other", "req_1", ex=60)
    assert names(await ask(north, key_id)) == ["trying"], "another family is another's matter"
    await site.resources.redis.set(f"{prefix}probe:{trying}|family:test", "req_1", ex=60)
    told = await ask(north, key_id)
    assert (names(told), reasons(told), told["error"]["code"]) == ([], {"trying": "breaker"}, "no_account")


@pytest.mark.parametrize("strategy", ["least_busy", "latency"])
async def test_slow_accounts_come_last_as_gateways_have_met_them(site: Site, north: Tenant, strategy: str) -> None:
    owner, now = north.as_("owner"), time.time()
    pool = await owner("POST /pools", {"name": f"slow {strategy}", "strategy": strategy}, expect=201)
    ids = [await account(north, f"a{at}", pools=[pool["id"]]) for at in range(3)]
    key_id = await key(north)
    one = {ids[0]: Pace(0.5, now - 9), ids[1]: Pace(9.0, now - 2, True)}
    two = {ids[0]: Pace(0.4, now - 1), ids[1]: Pace(0.1, now - 7), ids[2]: Pace(0.2, now - 3)}
    for hour, told in ((now, {"gw_1": one}), (now - 3600, {"gw_2": two})):
        name = pace_name((north.id, "test", "generate", True), hour)
        await site.resources.redis.hset(
            tenant_prefix(north.id) + name, mapping={g: encode_paces(p) for g, p in told.items()}
        )
    found = await ask(north, key_id)
    assert [one["tier"] for one in found["candidates"]] == [50, 50, 1050]
    assert names(found) == (["a2", "a0", "a1"] if strategy == "latency" else ["a0", "a2", "a1"])
    assert {one["tier"] for one in (await ask(north, key_id, stream=False))["candidates"]} == {50}, "other requests"


async def test_the_targets_of_an_alias_have_paces_of_their_own(site: Site, north: Tenant) -> None:
    owner, now = north.as_("owner"), time.time()
    targets = [{"model": MODEL}, {"model": "gpt-x"}]
    await owner("POST /groups", {"name": "paced", "aliases": [{"match": "best", "targets": targets}]}, expect=201)
    ids = {name: await account(north, name, models=[MODEL]) for name in ("a0", "a1")}
    ids |= {name: await account(north, name, models=["gpt-x"]) for name in ("b0", "b1")}
    for family, slow in (("test", "a0"), ("gpt-x", "b1")):
        told = {
            ids[slow]: Pace(9.0, now - 2, True),
            **{id_: Pace(0.1, now - 2) for id_ in ids.values() if id_ != ids[slow]},
        }
        name = pace_name((north.id, family, "generate", True), now)
        await site.resources.redis.hset(tenant_prefix(north.id) + name, "gw", encode_paces(told))
    found = await ask(north, await key(north), path="/paced/v1/messages", model="best", session_id="s")
    tiers = {one["name"]: one["tier"] % 4000 for one in found["candidates"]}
    assert tiers == {"a0": 1050, "a1": 50, "b0": 50, "b1": 1050}


async def test_a_key_that_may_ask_nothing(north: Tenant) -> None:
    await account(north, "one")
    for fields, code in (({"enabled": False}, "key_disabled"), ({"expires_at": "2026-01-01T00:00:00Z"}, "key_expired")):
        key_id = await key(north)
        assert names(await ask(north, key_id)) == ["one"]
        await north.as_("owner")(f"PATCH /keys/{key_id}", fields)
        told = await ask(north, key_id)
        assert (told["error"]["status"], told["error"]["code"], told["candidates"]) == (401, code, [])


async def test_what_the_client_would_be_told(north: Tenant) -> None:
    await account(north, "one")
    refused = await ask(north, await key(north, models=["gpt-*"]))
    assert (refused["error"]["code"], refused["candidates"]) == ("model_forbidden", [])
    nowhere = await ask(north, await key(north), model="gpt-9")
    assert (nowhere["error"]["code"], nowhere["error"]["status"]) == ("model_not_found", 404)
    assert reasons(nowhere) == {"one": "model_not_served"}
    foreign = await ask(north, await key(north), path=f"/v1beta/models/{MODEL}:generateContent")
    assert [one["translated"] for one in foreign["candidates"]] == [True]


async def test_bound_keys_never_fall_back(north: Tenant) -> None:
    one = await account(north, "one")
    await account(north, "two")
    told = await ask(north, await key(north, account_id=one))
    assert (names(told), reasons(told)) == (["one"], {"two": "key_bound_to_account"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"path": "/v1/nothing", "model": MODEL}, "path"),
        ({"path": "/v1/key", "model": MODEL}, "path"),
        ({"path": "/v1/messages"}, "model"),
        ({"path": "/v1/messages", "model": MODEL, "extra": 1}, "extra"),
    ],
)
async def test_bad_questions_name_the_field(north: Tenant, body: dict[str, Any], field: str) -> None:
    told = await north.as_("viewer")(ASK, {"key_id": await key(north), **body}, expect=400)
    assert field in str(told["errors"])


async def test_keys_of_others_are_unknown(north: Tenant, south: Tenant) -> None:
    body = {"key_id": await key(north), "path": "/v1/messages", "model": MODEL}
    await south.as_("owner")(ASK, body, expect=404)
    await north.as_("member")(ASK, body, expect=403)
