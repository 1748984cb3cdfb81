"""Users of the admin API."""

from typing import Any

import click

from gateway.commands import secrets, text
from gateway.commands.api import Api
from gateway.commands.options import as_json as json_option
from gateway.commands.options import tenant, tenant_id

COLUMNS = ("id", "email", "name", "root", "enabled", "roles", "last_login_at")
ROLES = ("owner", "operator", "viewer", "member")


@click.group()
def users() -> None:
    """Users of the admin API."""


@users.command("list")
@click.option("--search", "q", help="Part of an e-mail or a name.")
@tenant
@json_option
def listing(q: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the users."""
    with Api() as api:
        found = api.everything("GET /users", {"q": q, "tenant_id": tenant_id(api, tenant)})
    if as_json:
        text.as_json(found)
        return
    text.table([{**user, "roles": [f"{each['role']}@{each['tenant_id']}" for each in user["roles"]]} for user in found],
               COLUMNS)  # fmt: skip


@users.command()
@click.option("--email", required=True)
@click.option("--name")
@click.option("--role", type=click.Choice(ROLES), help="What the user may do in the tenant.")
@click.option("--tenant", default="default", show_default=True, metavar="NAME", help="A tenant's name or id.")
@click.option("--root", is_flag=True, help="May do everything; only root can say so.")
@click.option("--password", "password", metavar="SOURCE", help="-, @FILE or env:NAME [default: a one-time password].")
@json_option
def create(
    email: str, name: str | None, role: str | None, tenant: str, root: bool, password: str | None, as_json: bool
) -> None:
    """Make a user. A one-time password is printed on standard output, this once."""
    body: dict[str, Any] = {"email": email}
    if name is not None:
        body["name"] = name
    if password is not None:
        body["password"] = secrets.read(password, "--password")
    if root:
        body["root"] = True
    with Api() as api:
        if role is not None:
            body["roles"] = [{"tenant_id": tenant_id(api, tenant), "role": role}]
        user = api("POST /users", body)
    if as_json:
        text.as_json(user)
        return
    text.note(f"{user['id']} {user['email']}" + (": this password is shown once" if "password" in user else ""))
    if "password" in user:
        click.echo(user["password"])
