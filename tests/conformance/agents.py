"""The command-line agents as they are installed: Claude Code, Codex and Gemini CLI, found on PATH or in
POOLGATE_CLIENTS, each with the configuration that `poolgate client` prints."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import select

from gateway.commands.client import CLIENTS
from gateway.core import models as m
from gateway.local.sandbox import Row
from tests.support.installation import Site

FOLDER = os.environ.get("POOLGATE_CLIENTS", "")
PLACES = os.pathsep.join([FOLDER, os.environ.get("PATH", "")]) if FOLDER else os.environ.get("PATH", "")
QUIET = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
NOTE = "the pomegranate is ripe"
"""What stands in `note.txt`, in the folder in which an agent works."""


class Agent(Struct, frozen=True):
    """`flags` keep it from asking, and from remembering a run. `tool` with `arguments` is its own tool, reading the
    note."""

    program: str
    flags: Sequence[str]
    protocol: str
    tool: str
    arguments: Mapping[str, str]

    @property
    def directed(self) -> str:
        """The prompt that makes the sandbox call the tool."""
        return f"MOCK_TOOL {self.tool} {json.dumps(self.arguments)} ; go"


AGENTS: Mapping[str, Agent] = {
    "claude-code": Agent(
        "claude", ("-p", "{prompt}", "--allowedTools", "Bash"),
        "anthropic", "Bash", {"command": "cat note.txt", "description": "Read the note"},
    ),
    "codex": Agent(
        "codex", ("exec", "--skip-git-repo-check", "-s", "danger-full-access", "{prompt}"),
        "openai_responses", "exec_command", {"cmd": "cat note.txt"},
    ),
    "gemini-cli": Agent(
        "gemini", ("-p", "{prompt}", "--skip-trust", "--yolo"), "gemini", "read_file", {"file_path": "note.txt"}
    ),
}  # fmt: skip


class Turn(Struct, frozen=True):
    """One run: what the agent printed, its rows in the ledger and on the sandbox's bill, in the order of their ends."""

    said: str
    rows: list[m.Request]
    billed: list[Row]


def program(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed: put it on PATH or its folder into POOLGATE_CLIENTS")
    return found


async def run(command: Sequence[str], home: Path, environ: Mapping[str, str]) -> tuple[int | None, str, float]:
    """(exit code, both outputs, seconds), in a home and a working folder of its own."""
    work = home / "work"
    work.mkdir(exist_ok=True)
    (work / "note.txt").write_text(NOTE)
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


async def turn(site: Site, client: str, model: str, prompt: str, home: Path, *, prefix: str = "", **key: Any) -> Turn:
    """One run with the printed configuration, which succeeds; what the ledger has of it is what was billed."""
    agent = AGENTS[client]
    binary = program(agent.program)
    made = CLIENTS[client](site.url + prefix, await site.key(**key), model)
    for place, content in made.files.items():
        path = home / place.removeprefix("~/")
        path.parent.mkdir(parents=True)
        path.write_text(content)
    before = len(site.sandbox.bill().rows)
    environ = dict(made.environ)
    if client == "claude-code":
        environ["ANTHROPIC_SMALL_FAST_MODEL"] = model
    code, said, _ = await run([binary, *(flag.format(prompt=prompt) for flag in agent.flags)], home, environ)
    assert code == 0, said[-3000:]
    await site.settled()
    billed = list(site.sandbox.bill().rows)[before:]
    rows = await newest(site, len(billed))
    # Requests that run side by side end in either order.
    assert sorted(map(tokens, rows)) == sorted(map(tokens, billed))
    return Turn(said, rows, billed)


def tokens(one: m.Request | Row) -> tuple[int, ...]:
    cached = (one.cache_read_tokens, one.cache_write_5m_tokens, one.cache_write_1h_tokens)
    return (one.input_tokens, *cached, one.output_tokens, one.reasoning_tokens)


async def newest(site: Site, count: int) -> list[m.Request]:
    async with site.sessions() as session:
        found = select(m.Request).order_by(m.Request.received_at.desc()).limit(count)
        return list(reversed((await session.execute(found)).scalars().all()))
