"""A strict checker's word: `llm-comply` asks a gateway in four protocols, every account speaking another one, and holds
the answers against the vendors' schemas."""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.relay.world import World
from tests.support.installation import Site

#: Formats: below which path, which headers, what of the schemas it brings, and the account that speaks it natively.
FORMATS: dict[str, tuple[str, dict[str, str], str | None, set[str]]] = {
    "anthropic": ("/v1", {"anthropic-version": "2023-06-01"}, "anthropic.json", {"claude-console", "ollama"}),
    "openai-chat": ("/v1", {}, "openai_chat.json", {"openai", "ollama"}),
    "open-responses": ("/v1", {}, "openresponses.json", {"openai", "openai-responses", "ollama"}),
    "google-genai": ("", {}, None, {"gemini"}),
}
PLATFORMS = ("claude-console", "openai", "openai-responses", "gemini", "ollama")
PAIRS = [(form, platform) for form, about in FORMATS.items() for platform in PLATFORMS if platform not in about[3]]
#: Ollama cannot be made to call a tool, which the loss table says.
REFUSED = {("google-genai", "ollama"): {"google-tool-calling"}}


def checked(form: str, url: str, key: str) -> dict[str, list[str]]:
    """What is wrong, by the name of the check."""
    part = {name: import_module(f"llm_comply.{name}") for name in ("config", "runner", "schema", "tests")}
    path, headers, spec, _ = FORMATS[form]
    specs = Path(str(import_module("llm_comply").__file__)).parent / "specs"
    config = part["config"].ComplianceConfig(url + path, key, "sandbox-echo", extra_headers=headers)
    loader = part["schema"].SpecLoader(None if spec is None else str(specs / spec))
    results: list[Any] = part["runner"].TestRunner(config, part["tests"].get_tests(form), loader).run_all().results
    assert len(results) > 5
    return {each.id: each.errors for each in results if each.status.value == "failed"}


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated")  # the checker's own
@pytest.mark.parametrize(("form", "platform"), PAIRS)
async def test_the_checker_finds_nothing(site: Site, form: str, platform: str) -> None:
    world = await World.make(site)
    await world.account(platform)
    found = await asyncio.to_thread(checked, form, site.url, await world.key())
    assert set(found) == REFUSED.get((form, platform), set()), found
