"""The real command-line agents through the gateway: Claude Code, Codex and Gemini CLI, each with the configuration that
`poolgate client` prints, one prompt and one loop with a tool. They are found on PATH or in POOLGATE_CLIENTS.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.commands.client import CLIENTS
from gateway.core import models as m
from tests.support.installation import Site, installation

FOLDER = os.environ.get("POOLGATE_CLIENTS", "")
PLACES = os.pathsep.join([FOLDER, os.environ.get("PATH", "")]) if FOLDER else os.environ.get("PATH", "")

#: Its own flags: no question, no trust dialogue, no memory of a run.
AGENTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "claude-code": ("claude", ("-p", "{prompt}", "--allowedTools", "Bash")),
    "codex": ("codex", ("exec", "--skip-git-repo-check", "-s", "danger-full-access", "{prompt}")),
    "gemini-cli": ("gemini", ("-p", "{prompt}", "--skip-trust", "--yolo")),
}
PLATFORM = {"claude-code": "claude-console", "codex": "openai-responses", "gemini-cli": "gemini"}
#: Those that name their session: it sticks to an account and is in the ledger.
WITH_SESSION = {"claude-code", "codex"}
QUIET = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        for platform in (*PLATFORM.values(), *PLATFORM.values()):
            await made.account(platform)
        yield made


def program(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed: put it on PATH or its folder into POOLGATE_CLIENTS")
    return found


async def run(command: Sequence[str], home: Path, environ: Mapping[str, str]) -> tuple[int | None, str, float]:
    """(exit code, both outputs, seconds), in a home and a working folder of its own."""
    work = home / "work"
    work.mkdir(exist_ok=True)
    # Behind a proxy of this machine it would reach the gateway as someone else.
    env = {"PATH": PLACES, "HOME": str(home), "LANG": "C.UTF-8", "NO_PROXY": "*", "TERM": "dumb", **QUIET, **environ}
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command, cwd=work, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
        pytest.fail(f"{command[0]} did not end: {said.decode(errors='replace')[-2000:]}")
    return process.returncode, said.decode(errors="replace"), time.monotonic() - began


async def agent(site: Site, client: str, model: str, prompt: str, home: Path) -> tuple[list[m.Request], str]:
    """One run with the printed configuration: its rows in the ledger, and what it said."""
    name, flags = AGENTS[client]
    binary = program(name)
    made = CLIENTS[client](site.url, await site.key(), model)
    for place, content in made.files.items():
        path = home / place.removeprefix("~/")
        path.parent.mkdir(parents=True)
        path.write_text(content)
    before = len(site.sandbox.bill().rows)
    environ = dict(made.environ)
    if client == "claude-code":
        environ["ANTHROPIC_SMALL_FAST_MODEL"] = model
    code, said, _ = await run([binary, *(flag.format(prompt=prompt) for flag in flags)], home, environ)
    assert code == 0, said[-3000:]
    await site.settled()
    billed = list(site.sandbox.bill().rows)[before:]
    rows = await site_rows(site, len(billed))
    # Requests that run side by side end in either order.
    counted = sorted((row.input_tokens, row.output_tokens) for row in rows)
    assert counted == sorted((bill.input_tokens, bill.output_tokens) for bill in billed)
    return rows, said


async def site_rows(site: Site, count: int) -> list[m.Request]:
    async with site.sessions() as session:
        newest = select(m.Request).order_by(m.Request.received_at.desc()).limit(count)
        return list(reversed((await session.execute(newest)).scalars().all()))


@pytest.mark.parametrize("client", AGENTS)
async def test_one_prompt(site: Site, tmp_path: Path, client: str):
    rows, said = await agent(site, client, "sandbox-echo", "say the word pomegranate", tmp_path)
    assert "pomegranate" in said
    for row in rows:
        assert (row.status, row.ending, row.usage_source, row.platform) == (
            200, "complete", "provider", PLATFORM[client],
        )  # fmt: skip
        assert row.model_used == "sandbox-echo"
        assert row.stream
        assert (row.session_id is not None) == (client in WITH_SESSION)


@pytest.mark.parametrize("client", AGENTS)
async def test_a_loop_with_a_tool(site: Site, tmp_path: Path, client: str):
    rows, said = await agent(site, client, "sandbox-tool", "use a tool", tmp_path)
    assert "The tool answered" in said
    assert len(rows) >= 2
    assert {row.ending for row in rows} == {"complete"}
    if client in WITH_SESSION:
        # Of the two accounts, one has the whole session.
        assert len({row.session_id for row in rows}) == 1
        assert len({row.account_id for row in rows}) == 1


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
