"""Accounts, with a provider that answers."""

from pathlib import Path

import pytest

from gateway.local.sandbox import Running
from tests.commands.conftest import Commands

SECRET = "sk-upstream-canary-0123456789"


@pytest.mark.parametrize("source", ["asked for", "standard input", "file", "environment"])
async def test_a_secret_is_never_shown_again(commands: Commands, upstream: Running, tmp_path: Path, source: str):
    (tmp_path / "secret").write_text(SECRET)
    given = {
        "asked for": [],
        "standard input": ["--credential", "api_key=-"],
        "file": ["--credential", f"api_key=@{tmp_path}/secret"],
        "environment": ["--credential", "api_key=env:UPSTREAM"],
    }[source]
    line = ["accounts", "add", "--platform", "claude-console", "--name", source, "--base-url", upstream.url, *given]
    done = await commands(line, said=f"{SECRET}\n", environ={"UPSTREAM": SECRET})
    account = done.stdout.strip()
    assert account.startswith("acct_")
    tested = await commands(f"accounts test {account} --model sandbox-echo")
    assert "ok\tyes\nstatus\t200\n" in tested.stdout
    listed = await commands("accounts list --json")
    assert SECRET not in listed.output + tested.output + done.output


async def test_what_does_not_work_exits_with_one(commands: Commands, upstream: Running):
    line = ["accounts", "add", "--platform", "openai", "--name", "broken", "--base-url", upstream.url]
    account = await commands.json([*line, "--model", "sandbox-*"], said="sk-x\n")
    tested = await commands.json(f"accounts test {account['id']} --model sandbox-error-401", expect=1)
    assert (tested["ok"], tested["status"]) == (False, 401)


async def test_everything_an_account_can_be_told(commands: Commands, upstream: Running):
    line = ["accounts", "add", "--platform", "openai", "--name", "whole", "--base-url", upstream.url, "--priority", "7"]
    more = [
        "--model",
        "gpt-*",
        "--map",
        "a=b",
        "--max-concurrency",
        "3",
        "--option",
        "usage_probe=false",
        "--weight",
        "2",
    ]
    named = ["--provider", "mine", "--notes", "n"]
    made = await commands.json([*line, *more, *named], said="sk-x\n")
    assert (made["models"], made["model_map"], made["options"]) == (["gpt-*"], {"a": "b"}, {"usage_probe": False})
    assert (made["priority"], made["max_concurrency"], made["provider"]) == (7, 3, "mine")
    assert made["credential_fields"] == ["api_key"]
    account = made["id"]
    assert "usable\tyes\n" in (await commands(f"accounts state {account}")).stdout
    await commands(f"accounts disable {account}")
    assert (await commands.json(f"accounts state {account}"))["usable"] is False
    assert (await commands.json(f"accounts enable {account}"))["enabled"] is True
    assert (await commands.json(f"accounts recover {account}"))["usable"] is True
    assert account in (await commands("accounts list --platform openai --search whole")).stdout
    await commands(f"accounts delete {account}")
    assert account not in (await commands("accounts list")).stdout


async def test_a_secret_on_the_command_line_is_refused(commands: Commands):
    done = await commands(f"accounts add --platform openai --name x --credential api_key={SECRET}", expect=2)
    assert "secrets are not read from the command line" in done.stderr
    assert SECRET not in done.output


async def test_an_account_without_a_secret(commands: Commands, upstream: Running):
    line = ["accounts", "add", "--platform", "ollama", "--name", "bare", "--base-url", upstream.url, "--no-credential"]
    made = await commands.json([*line, "--model", "sandbox-*"])
    assert made["credential_fields"] == []
