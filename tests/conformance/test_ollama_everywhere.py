"""Ollama's own client with the models of every platform: a turn with a call of a tool and its result, an image, JSON by
a schema, thinking, an error; and the ledger's row of each request is what was billed."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx
import ollama
import pytest
import pytest_asyncio
from msgspec import Struct

from gateway.local.sandbox import Row
from gateway.local.sandbox.bedrock import KNOWN_KEYS, SECRET
from gateway.platforms import PLATFORMS
from tests.support.installation import Site

AWS = {"access_key_id": f"{KNOWN_KEYS}3", "secret_access_key": SECRET}
PLAN = {"access_token": "at-everywhere-1", "refresh_token": "rt-everywhere-1", "expires_at": 4102444800}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Place(Struct, frozen=True):
    """An account at the sandbox, and the words before and after a script that make a model's name there."""

    platform: str
    protocol: str
    """What it is asked in, as the bill names it."""
    name: str
    below: str | None = None
    fields: Mapping[str, Any] = {}
    asked: str = ""
    """Before the model's name."""


BEDROCK = {"credentials": AWS, "options": {"region": "us-east-1"}}
PLACES: Mapping[str, Place] = {
    "claude-official": Place("claude-official", "anthropic", "claude-opus-4-7-sandbox-{}"),
    "claude-console": Place("claude-console", "anthropic", "claude-sonnet-4-5-sandbox-{}"),
    "claude-ccr": Place("claude-ccr", "anthropic", "glm-5-sandbox-{}", asked="ccr,"),
    "invoke": Place("bedrock", "bedrock", "us.anthropic.claude-haiku-4-5-sandbox-{}-v1:0", fields=BEDROCK),
    "converse": Place("bedrock", "bedrock-converse", "us.amazon.nova-pro-sandbox-{}-v1:0", fields=BEDROCK),
    "chat": Place("openai", "openai-chat", "qwen3-sandbox-{}", fields={"options": {"protocols": ["openai_chat"]}}),
    "responses": Place(
        "openai", "openai-responses", "gpt-5.1-sandbox-{}", fields={"options": {"protocols": ["openai_responses"]}}
    ),
    "azure-openai": Place("azure-openai", "openai-chat", "gpt-5-sandbox-{}", ""),
    "openai-responses": Place("openai-responses", "openai-responses", "gpt-6.1-sandbox-{}"),
    "plan": Place(
        "openai-responses", "chatgpt", "gpt-5.1-codex-sandbox-{}", "/backend-api/codex",
        {"credentials": PLAN, "options": {"account_id": "ws-1", "token_url": "http://127.0.0.1:1/oauth/token"}},
    ),
    "gemini": Place("gemini", "gemini", "gemini-3-pro-sandbox-{}"),
    "ollama": Place("ollama", "ollama", "gemma3-sandbox-{}", fields={"credentials": {}}),
}  # fmt: skip


class Llama(Struct):
    """The client at one place."""

    site: Site
    client: ollama.AsyncClient
    place: Place
    ids: list[str]

    def named(self, script: str) -> str:
        return self.place.asked + self.place.name.format(script)

    async def say(self, script: str, messages: list[Any], stream: bool, **more: Any) -> ollama.Message:
        """The whole answer, put together where it is a stream; its figures are those of the bill and of the ledger."""
        before = len(self.site.sandbox.bill().rows)
        made: Any = await self.client.chat(self.named(script), messages, stream=stream, **more)
        parts = [part async for part in made] if stream else [made]
        [bill] = list(self.site.sandbox.bill().rows)[before:]
        row = await self.site.row(self.ids[-1])
        assert (row.protocol, row.platform, row.ending, row.usage_source) == (
            "ollama", self.place.platform, "complete", "provider",
        )  # fmt: skip
        assert (bill.protocol, bill.outcome) == (self.place.protocol, "complete")
        given = bill.input_tokens + bill.cache_read_tokens
        assert (row.input_tokens + row.cache_read_tokens, row.output_tokens) == (given, bill.output_tokens)
        last = parts[-1]
        assert (last.done, last.prompt_eval_count, last.eval_count) == (True, given, bill.output_tokens)
        assert [part.done for part in parts[:-1]] == [False] * (len(parts) - 1)
        return together(parts)


def together(parts: list[Any]) -> ollama.Message:
    return ollama.Message(
        role="assistant",
        content="".join(part.message.content or "" for part in parts),
        thinking="".join(part.message.thinking or "" for part in parts) or None,
        tool_calls=[call for part in parts for call in part.message.tool_calls or ()] or None,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PLACES)
async def llama(site: Site, request: Any) -> AsyncGenerator[Llama]:
    place, ids = PLACES[request.param], []
    below = {} if place.below is None else {"base_url": site.sandbox.url + place.below}
    account = await site.account(place.platform, **below, **place.fields)

    async def note(response: httpx.Response) -> None:
        ids.append(response.headers["x-request-id"])

    header = {"Authorization": f"Bearer {await site.key(account_id=account)}"}
    hooks = {"response": [note]}
    async with ollama.AsyncClient(site.url, headers=header, event_hooks=hooks, trust_env=False) as client:
        yield Llama(site, client, place, ids)


def test_no_platform_is_missing() -> None:
    assert {place.platform for place in PLACES.values()} == set(PLATFORMS)


ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@ways
async def test_a_loop_with_a_tool(llama: Llama, stream: bool) -> None:
    talk: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is it there?"}]
    called = await llama.say("tool", talk, stream, tools=[WEATHER])
    [call] = called.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("weather", {"city": "sandbox"})
    talk += [called, {"role": "tool", "tool_name": "weather", "content": "sunny, 21°"}]
    told = await llama.say("tool", talk, stream, tools=[WEATHER])
    assert told.tool_calls is None
    assert (told.content or "").startswith("The tool answered: ") and "sunny, 21°" in (told.content or "")


@ways
async def test_text_with_an_image(llama: Llama, stream: bool) -> None:
    said = await llama.say("echo", [{"role": "user", "content": "one two thrée", "images": [PIXEL]}], stream)
    assert (said.content, said.thinking, said.tool_calls) == ("one two thrée", None, None)


@ways
async def test_json_by_a_schema(llama: Llama, stream: bool) -> None:
    said = await llama.say("echo", [{"role": "user", "content": "Zürich"}], stream, format=CITY)
    assert json.loads(said.content or "").keys() == {"city"}


@ways
async def test_options_and_thinking(llama: Llama, stream: bool) -> None:
    options = {"temperature": 1, "top_p": 0.95, "top_k": 64, "num_predict": 4000, "num_ctx": 8192, "seed": 7}
    said = await llama.say("think-4", [{"role": "user", "content": "Hm?"}], stream, think=True, options=options)
    assert said.content
    shown = 0 if llama.place.protocol == "openai-chat" else 4  # OpenAI's chat tells only how much it was
    assert len((said.thinking or "").split()) == shown


async def test_an_error(llama: Llama) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        await llama.client.chat(llama.named("error-400"), [{"role": "user", "content": "Hm?"}])
    assert caught.value.status_code == 400
    assert caught.value.error and not caught.value.error.startswith("{")
    [*_, bill] = llama.site.sandbox.bill().rows
    assert isinstance(bill, Row) and (bill.status, bill.outcome) == (400, "error")
