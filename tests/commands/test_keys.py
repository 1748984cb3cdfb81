"""Keys, from the making to the end."""

from typing import Any

import pytest

from tests.commands.conftest import Commands


async def test_a_key_is_handed_over_on_standard_output_alone(commands: Commands):
    done = await commands(["keys", "create", "--all", "--name", "my laptop"])
    secret = done.stdout.strip()
    assert done.stdout.startswith("sk-")
    assert done.stdout.count("\n") == 1
    assert "my laptop: this key is shown once" in done.stderr
    assert secret not in done.stderr
    listed = await commands("keys list --search laptop")
    assert secret not in listed.stdout
    assert "\tmy laptop\tsk-" in listed.stdout
    assert "\t*\t*\tyes\t-\t0\t0\n" in listed.stdout


async def test_everything_a_key_can_be_told(commands: Commands):
    user = (await commands.json("users create --email ann@example.com --role member"))["id"]
    pattern: list[str] = ["--platform", "claude", "--platform", "gemini", "--model", "claude-*"]
    limited = ["--limit", "requests/minute=60", "--limit", "concurrency=2"]
    more = ["--allow-ip", "10.0.0.0/8", "--tag", "ci", "--expires", "2099-01-31T00:00:00Z", "--debug"]
    made = await commands.json(
        ["keys", "create", *pattern, *limited, *more, "--user", user, "--on-disconnect", "drain"]
    )
    told: dict[str, Any] = {
        "platforms": ["claude", "gemini"],
        "models": ["claude-*"],
        "limits": [{"type": "requests", "per": "minute", "max": 60}, {"type": "concurrency", "max": 2}],
        "allowed_ips": ["10.0.0.0/8"],
        "tags": ["ci"],
        "expires_at": "2099-01-31T00:00:00.000Z",
        "debug": True,
        "user_id": user,
        "on_disconnect": "drain",
    }
    assert {name: made[name] for name in told} == told
    shown = (await commands(f"keys show {made['id']}")).stdout
    assert "models\tclaude-*\n" in shown
    assert "key\trequests\tminute\t60\t0\t60\t" in shown
    assert [limit["max"] for limit in (await commands.json(f"keys show {made['id']}"))["standing"]] == [60, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("keys create --name x", "say --platform and --model, or --all"),
        ("keys create --platform claude", "say --platform and --model, or --all"),
        ("keys create --all --model x", "leave --platform and --model out"),
        ("keys show ../me", "is not an id"),
    ],
)
async def test_what_is_not_said_is_not_guessed(commands: Commands, line: str, message: str):
    assert message in (await commands(line, expect=2)).stderr


async def test_from_the_making_to_the_end(commands: Commands):
    made = await commands.json("keys create --all --name whole")
    key = made["id"]
    assert f"{key} is disabled" in (await commands(f"keys disable {key} --cut")).stderr
    assert (await commands.json(f"keys show {key}"))["enabled"] is False
    assert (await commands.json(f"keys enable {key}"))["enabled"] is True
    rotated = await commands(f"keys rotate {key} --overlap 60")
    assert rotated.stdout.strip() not in {"", made["secret"]}
    assert await commands.json(f"keys delete {key}") == {"id": key, "deleted": True}
    assert (await commands(f"keys show {key}", expect=1)).stderr.count("\n") == 1
    assert [row["id"] for row in await commands.json("keys list --deleted")] == [key]
    await commands(f"keys restore {key}")
    assert (await commands.json(f"keys show {key}"))["name"] == "whole"
