"""Teams: users who share limits."""

from typing import Any

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import ID, limits, said, tenant, tenant_id
from gateway.commands.options import as_json as json_option

COLUMNS = ("id", "name", "user_ids", "limits")
_LIMIT = "requests/minute=60, tokens/day=5000000, budget/month=200.00, or JSON; repeatable."


@click.group()
def teams() -> None:
    """Teams: users who share limits."""


@teams.command("list")
@click.option("--search", "q", help="Part of a name.")
@click.option("--user", "user", metavar="USER", help="Those that this user is in: an e-mail address or an id.")
@tenant
@json_option
def listing(q: str | None, user: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the teams."""
    with Api() as api:
        user_id = None if user is None else _user_id(api, user)
        asked = {"q": q, "user_id": user_id, "tenant_id": tenant_id(api, tenant)}
        found = api.everything("GET /teams", asked)
    text.as_json(found) if as_json else text.table(found, COLUMNS)


@teams.command()
@click.option("--name", required=True)
@click.option(
    "--user", "users", multiple=True, metavar="USER", help="A member: an e-mail address or an id; repeatable."
)
@click.option("--limit", "limit", multiple=True, help=_LIMIT)
@tenant
@json_option
def create(name: str, users: tuple[str, ...], limit: tuple[str, ...], tenant: str | None, as_json: bool) -> None:
    """Make a team."""
    with Api() as api:
        user_ids = [_user_id(api, user) for user in users]
        body = {"name": name, "user_ids": user_ids, "limits": limits(limit), "tenant_id": tenant_id(api, tenant)}
        team = api("POST /teams", said(body))
    text.as_json(team) if as_json else click.echo(team["id"])


@teams.command()
@click.argument("team_id", type=ID)
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@json_option
def add(team_id: str, users: tuple[str, ...], as_json: bool) -> None:
    """Take users into a team."""
    with Api() as api:
        wanted = [_user_id(api, user) for user in users]
        held: list[str] = api(f"GET /teams/{team_id}")["user_ids"]
        _shown(api(f"PATCH /teams/{team_id}", {"user_ids": list(dict.fromkeys([*held, *wanted]))}), as_json)


@teams.command()
@click.argument("team_id", type=ID)
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@json_option
def remove(team_id: str, users: tuple[str, ...], as_json: bool) -> None:
    """Let users out of a team."""
    with Api() as api:
        going = [_user_id(api, user) for user in users]
        held: list[str] = api(f"GET /teams/{team_id}")["user_ids"]
        for user, user_id in zip(users, going, strict=True):
            if user_id not in held:
                raise click.UsageError(f"{user} is not in the team")
        _shown(api(f"PATCH /teams/{team_id}", {"user_ids": [one for one in held if one not in going]}), as_json)


@teams.command("limits")
@click.argument("team_id", type=ID)
@click.option("--limit", "limit", multiple=True, help=f"Instead of all that it has: {_LIMIT}")
@click.option("--none", "none", is_flag=True, help="Take its limits away.")
@json_option
def limiting(team_id: str, limit: tuple[str, ...], none: bool, as_json: bool) -> None:
    """Show the limits of a team, or write them."""
    if limit and none:
        raise click.UsageError("--none is no limit: leave --limit out")
    with Api() as api:
        body = {"limits": limits(limit)}
        team = api(f"PATCH /teams/{team_id}", body) if limit or none else api(f"GET /teams/{team_id}")
    text.as_json(team["limits"]) if as_json else text.table(team["limits"], ("type", "per", "max", "timezone"))


@teams.command()
@click.argument("team_id", type=ID)
@json_option
def delete(team_id: str, as_json: bool) -> None:
    """Delete a team. Its users stay, and what they used."""
    with Api() as api:
        api(f"DELETE /teams/{team_id}")
    text.as_json({"id": team_id, "deleted": True}) if as_json else text.note(f"{team_id} is deleted")


def _shown(team: dict[str, Any], as_json: bool) -> None:
    text.as_json(team) if as_json else text.note(f"{team['id']} {team['name']} has {len(team['user_ids'])} users")


def _user_id(api: Api, given: str) -> str:
    """The id of a user who is named by the e-mail address or the id."""
    if given.startswith("usr_"):
        return given
    for found in api.everything("GET /users", {"q": given}):
        if found["email"] == given.lower():
            return str(found["id"])
    raise click.UsageError(f"there is no user {given!r}")
