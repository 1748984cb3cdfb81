"""Vectors and counts across protocols, and answers for which nobody is asked."""

from typing import Any

import pytest

from gateway.local.sandbox import Rule
from tests.relay.world import World, code_of

EMBEDDINGS, COUNT = "/v1/embeddings", "/v1/messages/count_tokens"


async def post(world: World, path: str, key: str, asked: dict[str, Any]) -> Any:
    return await world.site.http.post(path, headers={"x-api-key": key}, json=asked)


@pytest.mark.parametrize("platform", ["openai", "gemini", "ollama"])
async def test_vectors_for_every_client_from_every_account(world: World, platform: str) -> None:
    await world.account(platform)
    key = await world.key()
    two = await post(
        world, EMBEDDINGS, key, {"model": "sandbox-embed", "input": ["a", "bb"], "encoding_format": "float"}
    )
    assert two.status_code == 200, two.text
    assert [one["index"] for one in two.json()["data"]] == [0, 1]
    row = await world.site.row(two.headers["x-request-id"])
    assert (row.ending, row.platform, row.protocol) == ("complete", platform, "openai_chat")
    one = await post(world, "/v1beta/models/sandbox-embed:embedContent", key, {"content": {"parts": [{"text": "a"}]}})
    assert len(one.json()["embedding"]["values"]) > 1, one.text
    many = await post(world, "/api/embed", key, {"model": "sandbox-embed", "input": ["a", "bb"]})
    assert len(many.json()["embeddings"]) == 2, many.text
    old = await post(world, "/api/embeddings", key, {"model": "sandbox-embed", "prompt": "a"})
    assert len(old.json()["embedding"]) > 1, old.text


async def test_vectors_that_cannot_be(world: World) -> None:
    await world.account("gemini")
    key = await world.key()
    answer = await post(world, EMBEDDINGS, key, {"model": "sandbox-embed", "input": [[1, 2]]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    answer = await post(world, EMBEDDINGS, key, {"model": "sandbox-error-400", "input": "a"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_tokens_are_counted_by_who_can(world: World) -> None:
    await world.account("gemini")
    key = await world.key()
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello " * 40}]}
    answer = await post(world, COUNT, key, asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["input_tokens"] > 20
    assert "x-poolgate-adjusted" not in answer.headers
    assert world.site.sandbox.requests()[-1].target.endswith(":countTokens")


async def test_tokens_that_nobody_counts_are_estimated(world: World) -> None:
    account = await world.account("openai")
    key = await world.key(limits=[{"type": "requests", "per": "hour", "max": 5}])
    sent = len(world.site.sandbox.requests())
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello " * 40}]}
    answer = await post(world, COUNT, key, asked)
    assert 40 <= answer.json()["input_tokens"] <= 120
    assert answer.headers["x-poolgate-adjusted"] == "estimated"
    gemini = await post(
        world, "/v1beta/models/sandbox-echo:countTokens", key, {"contents": [{"parts": [{"text": "hi"}]}]}
    )
    assert gemini.json()["totalTokens"] >= 1
    assert len(world.site.sandbox.requests()) == sent
    row = await world.site.row(answer.headers["x-request-id"])
    assert (row.status, row.ending, row.usage_source, row.cost) == (200, "complete", "none", None)
    assert (await world.key_state(key))[0]["used"] == 2, "a count is a request"
    assert await world.slots(account) == 0


async def test_tokens_are_estimated_where_who_counts_fails(world: World) -> None:
    await world.account("claude-console", priority=1)
    await world.account("openai", priority=2)
    asked = {"model": "sandbox-error-500", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await post(world, COUNT, await world.key(), asked)
    assert (answer.status_code, answer.headers["x-poolgate-adjusted"]) == (200, "estimated"), answer.text
    row = await world.site.row(answer.headers["x-request-id"])
    assert (row.ending, [one["status"] for one in row.attempts]) == ("complete", [500])


async def test_a_count_that_cannot_be_read(world: World) -> None:
    await world.account("openai")
    answer = await post(world, COUNT, await world.key(), {"model": "sandbox-echo", "messages": 7})
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("path", "asked", "reason"),
    [
        ("/api/chat", {"messages": []}, "load"),
        ("/api/generate", {}, "load"),
        ("/api/chat", {"messages": [], "keep_alive": 0}, "unload"),
        ("/api/generate", {"keep_alive": "0s"}, "unload"),
    ],
)
async def test_ollamas_request_to_load_a_model(world: World, path: str, asked: dict[str, Any], reason: str) -> None:
    await world.account("claude-console")
    sent = len(world.site.sandbox.requests())
    answer = await post(world, path, await world.key(), {"model": "sandbox-echo", **asked})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, reason)
    assert len(world.site.sandbox.requests()) == sent


@pytest.mark.parametrize("failing", ["error-529", "error-401", "error-404-model"])
async def test_who_cannot_count_estimates_where_another_has_failed(world: World, failing: str) -> None:
    first = await world.account("claude-console", secret="sk-upstream-fail")
    second = await world.account("openai")
    world.site.sandbox.rules([Rule(failing, credential="*fail")])
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello " * 40}]}
    answer = await post(world, COUNT, await world.key(), asked)
    assert answer.status_code == 200, answer.text
    assert 40 <= answer.json()["input_tokens"] <= 120
    assert answer.headers["x-poolgate-adjusted"] == "estimated"
    row = await world.site.row(answer.headers["x-request-id"])
    assert (row.status, row.ending, row.usage_source, row.account_id) == (200, "complete", "none", None)
    assert [attempt["account_id"] for attempt in row.attempts] == [first]
    assert (await world.slots(first), await world.slots(second)) == (0, 0)
    world.site.sandbox.rules([])


@pytest.mark.parametrize(("path", "asked"), [("/api/chat", {"messages": []}), ("/api/generate", {})])
async def test_a_model_is_loaded_where_another_account_has_failed(
    world: World, path: str, asked: dict[str, Any]
) -> None:
    first = await world.account(
        "ollama", base_url=world.site.sandbox.url + "/ollama", credentials={"api_key": "sk-fail"}
    )
    await world.account("claude-console")
    world.site.sandbox.rules([Rule("error-503", credential="*fail")])
    answer = await post(world, path, await world.key(), {"model": "sandbox-echo", **asked})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, "load")
    row = await world.site.row(answer.headers["x-request-id"])
    assert [attempt["account_id"] for attempt in row.attempts] == [first]
    world.site.sandbox.rules([])
