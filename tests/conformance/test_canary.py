"""Another checker's word: `compatcanary` probes what SDKs of OpenAI's two protocols rest on, for all accounts.
It is found as the agents are (npm's `compatcanary`), and skipped where it is not installed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.agents import program, run
from tests.conformance.test_comply import PLATFORMS
from tests.relay.world import World
from tests.support.installation import Site

CHECKS = (
    "models.list",
    "chat.basic",
    "chat.streaming",
    "chat.tool_call",
    "chat.structured_output",
    "responses.basic",
    "responses.streaming",
)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_the_canary_sings(site: Site, tmp_path: Path, platform: str) -> None:
    binary = program("compatcanary")
    world = await World.make(site)
    await world.account(platform, models=["sandbox-echo"])
    command = [binary, "scan", "--base-url", f"{site.url}/v1", "--model", "sandbox-echo", "--format", "json"]
    code, said, _ = await run(command, tmp_path, {"OPENAI_API_KEY": await world.key()})
    report: dict[str, Any] = json.loads(said)
    assert code == 0, said
    assert {each["id"]: each["status"] for each in report["results"]} == dict.fromkeys(CHECKS, "pass"), said
