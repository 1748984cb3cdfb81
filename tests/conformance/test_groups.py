"""Groups and aliases from the client's side, through a whole gateway: where a path and a name lead, what the ledger
says of it, and how soon a change holds. Groups are written by the admin API, asked for by the vendors' SDKs.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import anthropic
import ollama
import openai
import pytest
import pytest_asyncio
from google import genai
from google.genai import types

from gateway.core.groups import Alias, Target
from gateway.local.sandbox import Rule
from gateway.routing.authorise import drawn
from tests.admin.conftest import Api
from tests.conformance.matrix import wires
from tests.conformance.matrix.clients import speaking
from tests.conformance.matrix.provider import Provider, providing
from tests.conformance.matrix.said import PROTOCOLS, Protocol, Talk
from tests.conformance.realm import ACCOUNTS, Realm, operating, simple
from tests.relay.world import World, code_of
from tests.support.installation import Site

#: Prefix → whose alias `fast` it is.
PREFIXES = {
    "": "default",
    "/compat_mode": "default",
    "/team": "team",
    "/team/compat_mode": "team",
    "/team/compat": "team",
    "/switch": "team",
    "/switch/compat_mode": "team",
    "/claude": "claude",
    "/claude/compat_mode": "claude",
    "/openai": "default",
    "/gemini/compat": "default",
    "/Team.2-x_y": "other",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncGenerator[Provider]:
    async with providing() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def root(site: Site) -> AsyncGenerator[Api]:
    async with operating(site) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def realm(site: Site, root: Api, provider: Provider) -> Realm:
    """A tenant of the test's own."""
    provider.sandbox.rules.replace(())
    return Realm(await World.make(site), root, provider)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.01)


def alias(match: str, *targets: dict[str, Any]) -> dict[str, Any]:
    return {"match": match, "targets": list(targets)}


async def asked(
    realm: Realm, prefix: str, client: Protocol, key: str, model: str, streams: Iterable[bool] = (False, True)
) -> None:
    """The SDK reads the echo; what was translated is in the protocol's own grammar."""
    talk = Talk(model)
    async with speaking(client, realm.site.url + prefix, key) as sdk:
        for stream in streams:
            said = await sdk.ask(talk, stream)
            assert (said.text, said.stop) == (talk.text, "end")
            assert realm.spoken == client or wires.faults(client, sdk.wire) == []


# ---------------------------------------------------------------- where a path leads


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_every_protocol_below_every_prefix(realm: Realm, client: Protocol) -> None:
    await realm.at("anthropic", models=["sandbox-echo-*"])
    names = {"default", "team", "claude", "Team.2-x_y"}
    groups = {name: await realm.group(name, aliases=[to(name)]) for name in names}
    await realm.root(f"POST /groups/{groups['team']}/activate")
    await realm.site.reload()
    key = await realm.key()
    for prefix, group in PREFIXES.items():
        await asked(realm, prefix, client, key, "fast")
        assert realm.model == f"sandbox-echo-of-{'Team.2-x_y' if group == 'other' else group}", prefix
        await asked(realm, prefix, client, key, "team@fast", (False,))
        assert realm.model == "sandbox-echo-of-team", prefix
    for prefix in ("/nobody", "/TEAM", "/nobody/compat_mode"):
        async with speaking(client, realm.site.url + prefix, key) as sdk:
            with pytest.raises(sdk.fault):
                await sdk.ask(Talk("fast"), False)
            assert (sdk.wire.status, wires.faults(client, sdk.wire)) == (404, [])


def to(group: str) -> dict[str, Any]:
    return alias("fast", {"model": f"sandbox-echo-of-{group}"})


async def test_fixed_paths_are_of_the_group_of_their_prefix(realm: Realm) -> None:
    """Otherwise its rules could be gone around by another path."""
    await realm.at("openai_chat", models=["sandbox-echo-*"])
    for name in ("default", "openai", "gemini"):
        await realm.group(name, aliases=[to(name)])
    key, chat = await realm.key(), {"messages": [{"role": "user", "content": "Hello"}]}
    for path, body, group in (
        ("/openai/deployments/fast/chat/completions?api-version=1", chat, "openai"),
        ("/openai/responses", {"model": "fast", "input": "Hello"}, "openai"),
        ("/openai/v1/responses", {"model": "fast", "input": "Hello"}, "openai"),
        ("/responses", {"model": "fast", "input": "Hello"}, "default"),
        ("/gemini/v1/chat", {"model": "fast", **chat}, "gemini"),
    ):
        answer = await realm.post(key, path, body)
        assert (answer.status_code, realm.model) == (200, f"sandbox-echo-of-{group}"), (path, answer.text)
    none = await realm.key(groups=[])
    for path in ("/openai/deployments/fast/chat/completions", "/openai/responses", "/gemini/v1/chat"):
        answer = await realm.post(none, path, {"model": "fast", **chat})
        assert (answer.status_code, code_of(answer)) == (403, "group_forbidden"), (path, answer.text)


async def test_permission_comes_before_existence(realm: Realm) -> None:
    await realm.at("openai_chat")
    for name in ("team", "claude"):
        await realm.group(name, aliases=[to(name)])
    await realm.group("off", enabled=False, aliases=[to("off")])
    team, nothing = await realm.key(groups=["team"], models=["fast"]), await realm.key(groups=[])
    for key, prefix, model, status, code in (
        (team, "/team", "fast", 200, ""),
        (team, "/claude", "fast", 403, "group_forbidden"),
        # A group that the key may not use is told by nothing from one that is not there.
        (team, "", "claude@fast", 403, "model_forbidden"),
        (team, "/team", "claude@fast", 403, "model_forbidden"),
        (team, "/team", "nobody@fast", 403, "model_forbidden"),
        (team, "", "team@fast", 200, ""),
        (team, "/off", "fast", 403, "group_forbidden"),
        (team, "/nobody", "fast", 403, "group_forbidden"),
        (team, "/switch", "fast", 404, "not_found"),
        (team, "/team", "sandbox-echo-of-team", 403, "model_forbidden"),
        (nothing, "/openai", "sandbox-echo", 200, ""),
        (nothing, "/team", "sandbox-echo", 403, "group_forbidden"),
        (await realm.key(), "/off", "fast", 404, "not_found"),
        (await realm.key(platforms=["claude"]), "/team", "fast", 403, "platform_forbidden"),
    ):
        answer = await realm.message(key, model, prefix)
        assert answer.status_code == status, (prefix, model, answer.text)
        assert not code or code_of(answer) == code, (prefix, model)


@pytest.mark.parametrize("prefix", ["/team", "/switch", "/team/compat"])
async def test_lists_below_a_group(realm: Realm, prefix: str) -> None:
    await realm.at("openai_chat", models=["plain"], provider="acme")
    group = await realm.group("team", aliases=[alias("fast", {"model": "plain"}), alias("any-*", {"model": "plain"})])
    await realm.root(f"POST /groups/{group}/activate")
    await realm.site.reload()
    key, url = await realm.key(), realm.site.url + prefix
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key) as claude:
        assert [one.id async for one in claude.models.list()] == ["fast", "plain"]
        assert (await claude.models.retrieve("fast")).display_name == "fast"
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key=key) as gpt:
        assert [one.id async for one in gpt.models.list()] == ["fast", "plain"]
    gemini = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url)).aio
    assert [one.name async for one in await gemini.models.list()] == ["models/fast", "models/plain"]
    await gemini.aclose()
    async with ollama.AsyncClient(url, headers={"authorization": f"Bearer {key}"}, trust_env=False) as llama:
        assert [one.model for one in (await llama.list()).models] == ["acme:plain", "fast"]
        assert "completion" in ((await llama.show("fast")).capabilities or ())
    assert (await realm.site.http.get("/v1/models", headers={"x-api-key": key})).text.count("fast") == 0


# ---------------------------------------------------------------- several targets


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_targets_of_every_protocol_for_every_client(realm: Realm, client: Protocol) -> None:
    targets = [{"model": f"sandbox-echo-{name}", "account_id": await realm.at(name)} for name in ACCOUNTS]
    await realm.group("team", aliases=[alias("mixed*", *targets)])
    key, met = await realm.key(), Counter[str]()
    for _ in range(12):
        await asked(realm, "/team", client, key, "mixed-up")
        met[realm.model] += 1
    assert len(met) > 2, "the client's own protocol is not all"
    by_hand = [await realm.said(client, key, simple(client, "mixed-up"), prefix="/team") for _ in range(30)]
    rows = [await realm.row_of(answer) for answer in by_hand]
    assert {row.model_asked for row in rows} == {"mixed-up"}
    assert {row.model_used for row in rows} == {f"sandbox-echo-{name}" for name in ACCOUNTS}
    assert {row.platform for row in rows} == {platform for platform, _, _ in ACCOUNTS.values()}
    assert {(row.status, row.usage_source, len(row.attempts)) for row in rows} == {(200, "provider", 1)}


async def test_weights_hold_whatever_is_translated_and_whatever_the_priorities(realm: Realm) -> None:
    await realm.at("anthropic", models=["sandbox-echo-light"], priority=1)
    for _ in range(2):
        await realm.at("openai_chat", models=["sandbox-echo-heavy"], priority=90)
    targets = {"model": "sandbox-echo-light", "weight": 1}, {"model": "sandbox-echo-heavy", "weight": 3}
    await realm.group("team", aliases=[alias("mixed", *targets)])
    key, met = await realm.key(), Counter[str]()
    for _ in range(25):
        for answer in await asyncio.gather(*(realm.message(key, "mixed") for _ in range(8))):
            assert answer.status_code == 200, answer.text
    for request in list(realm.provider.requests)[-200:]:
        met[json.loads(request.body)["model"]] += 1
    assert met["sandbox-echo-light"] + met["sandbox-echo-heavy"] == 200
    assert 0.58 < met["sandbox-echo-heavy"] / 200 < 0.92, "five standard deviations"


async def test_a_session_has_one_target_and_one_account(realm: Realm) -> None:
    for name in ("anthropic", "openai_chat") * 2:
        await realm.at(name, models=[f"sandbox-echo-{name}"])
    targets = [{"model": f"sandbox-echo-{name}"} for name in ("anthropic", "openai_chat")]
    await realm.group("team", aliases=[alias("mixed", *targets)])
    key, met = await realm.key(debug=True), set[str]()
    for session in range(12):
        headers = {"x-session-id": f"s-{session}"}
        seen = [await realm.message(key, "mixed", headers=headers) for _ in range(4)]
        assert len({answer.headers["x-poolgate-account"] for answer in seen}) == 1
        met.add(seen[0].headers["x-poolgate-platform"])
    assert met == {"claude-console", "openai"}


# ---------------------------------------------------------------- failing over


def session_for(key_id: str, first: int, count: int) -> str:
    """One whose requests are given to this target first."""
    one = Alias("a", tuple(Target(str(at)) for at in range(count)))
    return next(f"s-{at}" for at in range(10_000) if drawn(one, f"{key_id} s-{at}")[0].model == str(first))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("failing", ["error-529", "error-429-retry-after-60", "error-404-model", "error-500"])
async def test_from_one_target_to_the_next(realm: Realm, failing: str, client: Protocol, stream: bool) -> None:
    """To another model at another platform, and in another protocol."""
    one = await realm.at("anthropic", models=["claude-first"])
    two = await realm.at("openai_chat", models=["gpt-second"])
    await realm.group("team", aliases=[alias("mixed", {"model": "claude-first"}, {"model": "gpt-second"})])
    realm.script(Rule(failing, match="claude-first"), Rule("echo", match="gpt-second"))
    key_id, key = await realm.new_key(debug=True)
    headers = {"x-session-id": session_for(key_id, 0, 2)}
    answer = await realm.said(client, key, simple(client, "mixed"), stream=stream, prefix="/team", headers=headers)
    assert "Hello" in answer.text
    assert (answer.headers["x-poolgate-platform"], answer.headers["x-poolgate-attempts"]) == ("openai", "2")
    row = await realm.row_of(answer)
    assert (row.model_asked, row.model_used, row.account_id, row.platform) == ("mixed", "gpt-second", two, "openai")
    assert [(each["account_id"], each["model"], each["status"]) for each in row.attempts] == [
        (one, "claude-first", int(failing[6:9])),
        (two, "gpt-second", 200),
    ]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_from_one_target_to_the_next_at_one_account(realm: Realm, stream: bool) -> None:
    """A model that is overloaded, with another as its stand-in: the account is the same."""
    only = await realm.at("anthropic", max_concurrency=1, limits=[{"type": "requests", "per": "minute", "max": 100}])
    await realm.group("team", aliases=[alias("best", {"model": "claude-opus-x"}, {"model": "claude-haiku-x"})])
    realm.script(Rule("error-529", match="claude-opus-x"), Rule("echo", match="claude-haiku-x"))
    key_id, key = await realm.new_key()
    headers = {"x-session-id": session_for(key_id, 0, 2)}
    for tried in (["claude-opus-x", "claude-haiku-x"], ["claude-haiku-x"], ["claude-haiku-x"]):
        answer = await realm.message(key, "best", stream=stream, headers=headers)
        assert answer.status_code == 200, answer.text
        row = await realm.row_of(answer)
        assert [(each["account_id"], each["model"]) for each in row.attempts] == [(only, model) for model in tried]
        assert row.model_used == "claude-haiku-x"
    assert (await realm.state(only))["in_flight"] == 0


async def test_what_is_wrong_with_an_account_is_wrong_for_all_of_its_targets(realm: Realm) -> None:
    one = await realm.at("anthropic", models=["a", "b"], secret="sk-upstream-bad1")
    two = await realm.at("openai_chat", models=["c"])
    await realm.group("team", aliases=[alias("m", *({"model": name} for name in "abc"))])
    realm.script(Rule("error-401", credential="*bad1"), Rule("echo"))
    key_id, key = await realm.new_key()
    headers = {"x-session-id": session_for(key_id, 0, 3)}
    answer = await realm.message(key, "m", headers=headers)
    assert answer.status_code == 200, answer.text
    attempts = (await realm.row_of(answer)).attempts
    assert [(each["account_id"], each["model"]) for each in attempts] == [(one, "a"), (two, "c")]


async def test_nobody_left(realm: Realm) -> None:
    await realm.at("anthropic", models=["a"])
    await realm.at("openai_chat", models=["b"])
    await realm.group("team", aliases=[alias("m", {"model": "a"}, {"model": "b"}), alias("lost", {"model": "gone"})])
    realm.script(Rule("error-401"))
    key = await realm.key()
    answer = await realm.message(key, "m")
    assert (answer.status_code, code_of(answer)) == (502, "upstream_auth_failed")
    assert len((await realm.row_of(answer)).attempts) == 2
    for model in ("lost", "unknown"):
        answer = await realm.message(key, model)
        assert (answer.status_code, code_of(answer)) == (404, "model_not_found")
        assert f"{model!r}" in answer.json()["error"]["message"]
        assert "gone" not in answer.text


# ---------------------------------------------------------------- changes


async def test_a_change_holds_within_two_seconds(realm: Realm) -> None:
    """Nobody tells the gateway: it finds out."""
    await realm.at("anthropic", models=["sandbox-echo-*"])
    key = await realm.key()

    async def until(prefix: str, status: int, model: str = "") -> None:
        end = time.monotonic() + 2
        while True:
            answer = await realm.message(key, "fast", prefix)
            if answer.status_code == status and model in {"", realm.model}:
                return
            assert time.monotonic() < end, (prefix, answer.status_code, answer.text)
            await asyncio.sleep(0.05)

    await until("/team", 404)
    group = await realm.group("team", told=False, aliases=[to("team")])
    await until("/team", 200, "sandbox-echo-of-team")
    await realm.root(f"PATCH /groups/{group}", {"aliases": [to("change")]})
    await until("/team", 200, "sandbox-echo-of-change")
    await until("/switch", 404)
    await realm.root(f"POST /groups/{group}/activate")
    await until("/switch", 200, "sandbox-echo-of-change")
    other = await realm.group("other", told=False, aliases=[to("other")])
    await realm.root(f"POST /groups/{other}/activate")
    await until("/switch", 200, "sandbox-echo-of-other")
    await realm.root(f"PATCH /groups/{group}", {"name": "renamed"})
    await until("/team", 404)
    await until("/renamed", 200)
    await realm.root(f"PATCH /groups/{group}", {"enabled": False})
    await until("/renamed", 404)
    await realm.root(f"PATCH /groups/{group}", {"enabled": True})
    await until("/renamed", 200)
    await realm.root(f"DELETE /groups/{group}", expect=204)
    await until("/renamed", 404)
    await realm.root(f"DELETE /groups/{other}", expect=204)
    await until("/switch", 404)
