"""The real command-line agents at accounts that speak their own protocol: one prompt, and one loop with a tool."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.conformance.agents import AGENTS, NOTE, program, run, turn
from tests.support.installation import Site, installation

PLATFORM = {"claude-code": "claude-console", "codex": "openai-responses", "gemini-cli": "gemini"}
#: Those that name their session: it sticks to an account and is in the ledger.
WITH_SESSION = {"claude-code", "codex"}

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        for platform in (*PLATFORM.values(), *PLATFORM.values()):
            await made.account(platform)
        yield made


@pytest.mark.parametrize("client", AGENTS)
async def test_one_prompt(site: Site, tmp_path: Path, client: str):
    done = await turn(site, client, "sandbox-echo", "say the word pomegranate", tmp_path)
    assert "pomegranate" in done.said
    for row in done.rows:
        assert (row.status, row.ending, row.usage_source, row.platform) == (
            200, "complete", "provider", PLATFORM[client],
        )  # fmt: skip
        assert row.model_used == "sandbox-echo"
        assert row.stream
        assert (row.session_id is not None) == (client in WITH_SESSION)


@pytest.mark.parametrize("client", AGENTS)
async def test_a_loop_with_a_tool(site: Site, tmp_path: Path, client: str):
    done = await turn(site, client, "sandbox", AGENTS[client].directed, tmp_path)
    assert NOTE in done.said.partition("The tool answered:")[2]
    assert [row.ending for row in done.rows] == ["complete"] * 2
    if client in WITH_SESSION:
        # Of the two accounts, one has the whole session.
        assert len({row.session_id for row in done.rows}) == 1
        assert len({row.account_id for row in done.rows}) == 1


async def test_codex_s_own_provider_goes_on_without_a_websocket(site: Site, tmp_path: Path):
    """It tries WebSocket first; 426 sends it to HTTP at once, a 404 would cost it seven seconds."""
    binary = program("codex")
    command = [binary, "exec", "--skip-git-repo-check", "-m", "sandbox-echo", "-c", f'openai_base_url="{site.url}/v1"']
    code, said, seconds = await run([*command, "say pomegranate"], tmp_path, {"CODEX_API_KEY": await site.key()})
    assert code == 0, said[-3000:]
    assert "pomegranate" in said
    assert seconds < 5


async def test_what_claude_code_asks_first(site: Site):
    for path in ("/", "/api/hello"):
        assert (await site.http.head(path)).status_code == 200
