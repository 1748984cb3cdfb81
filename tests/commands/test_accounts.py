"""Accounts, with a provider that answers."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

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


async def test_a_service_account_is_read_from_its_file(commands: Commands, upstream: Running, tmp_path: Path):
    """As Google writes it; the account then works: its token is got, and the sandbox answers."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = {
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": pem.decode(),
        "client_email": "a@p.iam.gserviceaccount.com", "token_uri": f"{upstream.url}/oauth/token",
    }  # fmt: skip
    (tmp_path / "key.json").write_text(json.dumps(key, indent=2))
    line = ["accounts", "add", "--platform", "gemini", "--name", "vertex", "--base-url", upstream.url]
    made = await commands.json([*line, "--credential", f"service_account=@{tmp_path}/key.json"])
    assert made["credential_fields"] == ["service_account"]
    tested = await commands(f"accounts test {made['id']} --model sandbox-echo")
    assert "ok\tyes\nstatus\t200\n" in tested.stdout
