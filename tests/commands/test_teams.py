"""Teams."""

import pytest

from tests.commands.conftest import Commands


async def test_a_team_and_who_is_in_it(commands: Commands):
    ann = (await commands.json("users create --email ann@team.test --role member"))["id"]
    bob = (await commands.json("users create --email bob@team.test --role member"))["id"]
    made = await commands("teams create --name research --user Ann@team.test --limit requests/minute=60")
    team = made.stdout.strip()
    assert team.startswith("team_")
    assert "\tresearch\t" in (await commands("teams list --search sear")).stdout
    added = await commands(f"teams add {team} bob@team.test {ann}")
    assert added.stderr == f"poolgate: {team} research has 2 users\n"
    (listed,) = await commands.json("teams list --user bob@team.test --tenant default")
    assert (listed["id"], listed["user_ids"]) == (team, sorted([ann, bob]))
    held = await commands("teams create --name other --user bob@team.test", expect=1)
    assert held.stderr == f"poolgate: user_ids[0]: {bob} is in {team} already, and a user has one team (conflict)\n"
    assert (await commands.json(f"teams remove {team} ann@team.test"))["user_ids"] == [bob]
    again = await commands(f"teams remove {team} ann@team.test", expect=2)
    assert "ann@team.test is not in the team" in again.stderr
    assert "is deleted" in (await commands(f"teams delete {team}")).stderr
    assert await commands.json("teams list --user bob@team.test") == []


async def test_its_limits_are_shown_and_written(commands: Commands):
    team = (await commands.json("teams create --name limited"))["id"]
    path = f"teams limits {team}"
    assert await commands.json(path) == []
    written = await commands.json([*path.split(), "--limit", "requests/5h=100", "--limit", "concurrency=2"])
    assert written == [
        {"type": "requests", "per": {"rolling": "5h"}, "max": 100},
        {"type": "concurrency", "max": 2},
    ]
    assert await commands.json(path) == written
    assert "concurrency\t-\t2\t-\n" in (await commands(path)).stdout
    wrong = await commands(f"{path} --limit requests/minute=1 --limit requests/minute=0.5", expect=1)
    assert wrong.stderr.startswith("poolgate: limits[1].max: ")
    assert await commands.json(path) == written
    assert await commands.json(f"{path} --none") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("teams create", "--name"),
        ("teams create --name x --user nobody@team.test", "there is no user 'nobody@team.test'"),
        ("teams add team_x", "USER"),
        ("teams limits team_x --none --limit concurrency=1", "leave --limit out"),
        ("teams add ../me ann@team.test", "is not an id"),
    ],
)
async def test_what_is_not_said_is_not_guessed(commands: Commands, line: str, message: str):
    assert message in (await commands(line, expect=2)).stderr
