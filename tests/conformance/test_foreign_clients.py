"""The real command-line agents with models of other protocols: a turn with a call of one of their own tools and its
result; and with models that only write text (`compat_mode`), two calls one after the other.

The sandbox says "The tool answered" only where the conversation ends with a result in the upstream's own protocol.
"""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from msgspec import Struct

from gateway.local.sandbox import Rule
from tests.conformance.agents import AGENTS, NOTE, Agent, Turn, turn
from tests.support.installation import Site, installation


class Foreign(Struct, frozen=True):
    """An account at the sandbox; `protocol` and `path` as its bill has them."""

    platform: str
    protocol: str
    path: str
    fields: Mapping[str, Any] = {}


ACCOUNTS: Mapping[str, Foreign] = {
    "claude": Foreign("claude-console", "anthropic", "/v1/messages"),
    "openai": Foreign("openai", "openai-chat", "/v1/chat/completions"),
    "chat": Foreign("openai", "openai-chat", "/v1/chat/completions", {"options": {"protocols": ["openai_chat"]}}),
    "responses": Foreign("openai-responses", "openai-responses", "/v1/responses"),
    "gemini": Foreign("gemini", "gemini", "/v1beta/models/{model}:streamGenerateContent"),
    "ollama": Foreign("ollama", "ollama", "/ollama/api/chat", {"credentials": {}}),
}
#: Names that tell whose model it is, as the builders of requests read them.
MODELS = {
    "claude": "claude-sonnet-4-5-sandbox-echo",
    "openai": "gpt-5.1-sandbox-echo",
    "chat": "qwen3-coder-sandbox-echo",
    "responses": "gpt-5.1-sandbox-echo",
    "gemini": "gemini-2.5-pro-sandbox-echo",
    "ollama": "gemma3-sandbox-echo",
}

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        yield made


async def foreign(site: Site, client: str, account: str, prompt: str, home: Path, prefix: str = "") -> Turn:
    """A turn at an account that speaks no other protocol; all of its requests are complete, and were billed there."""
    wanted, model = ACCOUNTS[account], MODELS[account]
    id = await site.account(wanted.platform, **wanted.fields)
    done = await turn(site, client, model, prompt, home, prefix=prefix, account_id=id)
    for row in done.rows:
        assert (row.status, row.ending, row.usage_source, row.stream) == (200, "complete", "provider", True)
        assert (row.protocol, row.platform, row.account_id) == (AGENTS[client].protocol, wanted.platform, id)
        assert (row.model_asked, row.model_used, len(row.attempts)) == (model, model, 1)
    path = wanted.path.format(model=model)
    assert {(one.protocol, one.path, one.outcome) for one in done.billed} == {(wanted.protocol, path, "complete")}
    return done


@pytest.mark.parametrize(
    ("client", "account"),
    [
        ("claude-code", "chat"),
        ("claude-code", "openai"),
        ("claude-code", "responses"),
        ("claude-code", "gemini"),
        ("codex", "claude"),
        ("codex", "chat"),
        ("codex", "gemini"),
        ("gemini-cli", "claude"),
        ("gemini-cli", "openai"),
        ("gemini-cli", "responses"),
        ("gemini-cli", "ollama"),
    ],
)
async def test_a_loop_with_a_tool(site: Site, tmp_path: Path, client: str, account: str):
    done = await foreign(site, client, account, AGENTS[client].directed, tmp_path)
    assert NOTE in done.said.partition("The tool answered:")[2]
    assert len(done.rows) == 2


@pytest.mark.parametrize(
    ("client", "account"),
    [
        ("claude-code", "chat"),
        ("claude-code", "claude"),
        ("claude-code", "gemini"),
        ("codex", "chat"),
        ("codex", "responses"),
        ("codex", "claude"),
        ("gemini-cli", "chat"),
    ],
)
async def test_two_steps_of_a_model_without_tools(site: Site, tmp_path: Path, client: str, account: str):
    """It echoes at the end what the client sent last: the result, as such a model is told of it."""
    model, agent = MODELS[account], AGENTS[client]
    site.sandbox.rules([Rule(say=f"Step {step}. {written(agent)}", match=model, times=1) for step in ("one", "two")])
    done = await foreign(site, client, account, "read the note twice", tmp_path, "/compat_mode")
    told = done.said.rpartition("<pg:result call=")[2]
    assert told.partition(">")[0].endswith(f' name="{agent.tool}"')
    assert NOTE in told.partition("</pg:result>")[0]
    assert "<pg:call" not in done.said
    assert len(done.rows) == 3


def written(agent: Agent) -> str:
    """A call of its tool as such a model writes it."""
    arguments = [f'<pg:arg name="{name}">{escape(value)}</pg:arg>' for name, value in agent.arguments.items()]
    return f'<pg:call name="{agent.tool}">{"".join(arguments)}</pg:call>'
