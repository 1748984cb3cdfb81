"""The form of a ChatGPT plan: refuses what the real one refuses, and its stream adds up without its last event."""

import json
from typing import Any

import httpx
import openai
import pytest

from gateway.local.sandbox import Rule, Running

PATH = "/backend-api/codex/responses"
HEADERS = {"authorization": "Bearer at-1", "chatgpt-account-id": "ws-1"}
GOOD: dict[str, Any] = {
    "model": "sandbox-echo",
    "input": [{"role": "user", "content": "one two"}],
    "instructions": "",
    "store": False,
    "stream": True,
}


async def post(sandbox: Running, body: Any, headers: dict[str, str] = HEADERS) -> httpx.Response:
    async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as client:
        return await client.post(PATH, json=body, headers=headers)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(block.partition("\ndata: ")[2]) for block in answer.text.split("\n\n") if block]


async def test_the_items_come_before_an_end_without_them(sandbox: Running) -> None:
    answer = await post(sandbox, {**GOOD, "model": "sandbox-think-3"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-codex-primary-used-percent"] == "30"
    said = events(answer)
    items = [event["item"]["type"] for event in said if event["type"] == "response.output_item.done"]
    assert items == ["reasoning", "message"]
    last = said[-1]
    assert (last["type"], last["response"]["output"], last["response"]["store"]) == ("response.completed", [], False)
    (row,) = sandbox.bill().rows
    assert (row.protocol, row.path, row.id) == ("chatgpt", PATH, last["response"]["id"])
    assert row.output_tokens == last["response"]["usage"]["output_tokens"]


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"store": True}, "Store must be set to false"),
        ({"stream": False}, "Stream must be set to true"),
        ({"instructions": None}, "Instructions are required"),
        ({"input": "text"}, "Input must be a list"),
        ({"input": [{"role": "system", "content": "x"}]}, "System messages are not allowed"),
        ({"max_output_tokens": 16}, "Unsupported parameter: max_output_tokens"),
        ({"temperature": 1}, "Unsupported parameter: temperature"),
        ({"previous_response_id": "resp_1"}, "Unsupported parameter: previous_response_id"),
    ],
)
async def test_what_it_refuses(sandbox: Running, more: dict[str, Any], detail: str) -> None:
    answer = await post(sandbox, {**GOOD, **more})
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


async def test_who_is_not_let_in(sandbox: Running) -> None:
    for headers in ({}, {"authorization": "Bearer at-1"}, {**HEADERS, "authorization": "Bearer revoked"}):
        answer = await post(sandbox, GOOD, headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")


async def test_a_plan_that_is_used_up(sandbox: Running) -> None:
    sandbox.rules([Rule(match="*", script="error-429", times=1), Rule(match="*", script="first-error-429")])
    answer = await post(sandbox, GOOD)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["resets_in_seconds"]) == (429, "usage_limit_reached", 3600)
    assert answer.headers["x-codex-primary-used-percent"] == "100"
    (event,) = events(await post(sandbox, GOOD))
    assert (event["type"], event["error"]["type"]) == ("error", "usage_limit_reached")


async def test_the_sdk_reads_it(sandbox: Running) -> None:
    async with openai.AsyncOpenAI(
        base_url=sandbox.url + "/backend-api/codex", api_key="at-1", default_headers=HEADERS, max_retries=0
    ) as client:
        text = ""
        async for event in await client.responses.create(**GOOD):
            text += event.delta if event.type == "response.output_text.delta" else ""
    assert text == "one two"
