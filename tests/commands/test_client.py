"""The configuration of clients, as it is printed."""

import json
import tomllib

import pytest

from gateway.commands.client import CLIENTS, codex
from tests.commands.conftest import Commands

KEY = "sk-0123456789"
PRINTED = {
    "claude-code": """\
export ANTHROPIC_BASE_URL=http://127.0.0.1:8080
export ANTHROPIC_AUTH_TOKEN=sk-0123456789
""",
    "codex": """\
export POOLGATE_KEY=sk-0123456789

# ~/.codex/config.toml
model_provider = "poolgate"

[model_providers.poolgate]
name = "poolgate"
base_url = "http://127.0.0.1:8080/v1"
env_key = "POOLGATE_KEY"
wire_api = "responses"
""",
    "gemini-cli": """\
export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8080
export GEMINI_API_KEY=sk-0123456789

# ~/.gemini/settings.json
{"security": {"auth": {"selectedType": "gemini-api-key"}}}
""",
    "openai": """\
export OPENAI_BASE_URL=http://127.0.0.1:8080/v1
export OPENAI_API_KEY=sk-0123456789
""",
}
WITH_MODEL = {
    "claude-code": "export ANTHROPIC_MODEL=m\n",
    "codex": 'model = "m"\n',
    "gemini-cli": "export GEMINI_MODEL=m\n",
    "openai": "",
}


def test_every_client_is_here():
    assert set(CLIENTS) == set(PRINTED) == set(WITH_MODEL)


@pytest.mark.parametrize("name", PRINTED)
async def test_what_is_printed(commands: Commands, name: str):
    assert (await commands(f"client {name} --key -", said=f"{KEY}\n")).stdout == PRINTED[name]
    assert (await commands(f"client {name}", environ={"POOLGATE_KEY": KEY})).stdout == PRINTED[name]
    elsewhere = (await commands(f"client {name} --url https://gate.example.com/ --model m", said=f"{KEY}\n")).stdout
    assert WITH_MODEL[name] in elsewhere
    assert "https://gate.example.com" in elsewhere
    assert "example.com//" not in elsewhere
    told = await commands.json(f"client {name} --key -", said=KEY)
    assert all(f"export {variable}={value}\n" in PRINTED[name] for variable, value in told["env"].items())
    assert all(f"# {place}\n{content}" in PRINTED[name] for place, content in told["files"].items())
    for place, content in told["files"].items():
        (tomllib.loads if place.endswith("toml") else json.loads)(content)


def test_a_strange_model_stays_a_string():
    (written,) = codex("http://a", "k", 'a"\\b\n\x7fé').files.values()
    assert tomllib.loads(written)["model"] == 'a"\\b\n\x7fé'
