"""Keys: the ones that clients of the gateway present."""

from typing import Any

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import ID, limits, said, tenant, tenant_id
from gateway.commands.options import as_json as json_option

COLUMNS = ("id", "name", "prefix", "platforms", "models", "enabled", "last_used_at", "usage.requests", "usage.cost")
_STANDING = ("scope", "type", "per", "max", "used", "remaining", "resets_at")


@click.group()
def keys() -> None:
    """Keys for the gateway's clients."""


@keys.command()
@click.option("--name", help="What to call it.")
@click.option("--all", "everything", is_flag=True, help="It may use all platforms and all models.")
@click.option("--platform", "platforms", multiple=True, help="A platform or family it may use; repeatable.")
@click.option("--model", "models", multiple=True, help="A model, or a pattern such as 'claude-*'; repeatable.")
@click.option("--limit", "limit", multiple=True, help="requests/minute=60, requests/5h=100, concurrency=5, or JSON.")
@click.option("--pool", "pools", multiple=True, help="A pool it is bound to; repeatable.")
@click.option("--account", "account_id", help="The account it is bound to.")
@click.option("--user", "user_id", help="The user it belongs to.")
@click.option("--allow-ip", "allowed_ips", multiple=True, help="An address or network it may be used from; repeatable.")
@click.option("--tag", "tags", multiple=True)
@click.option("--expires", "expires_at", metavar="TIME", help="Such as 2027-01-31T12:00:00Z.")
@click.option("--on-disconnect", type=click.Choice(["abort", "drain"]), help="What happens when a client leaves.")
@click.option("--debug/--no-debug", default=None, help="Name the account in the answers' headers.")
@tenant
@json_option
def create(everything: bool, limit: tuple[str, ...], tenant: str | None, as_json: bool, **given: Any) -> None:
    """Make a key. It is printed on standard output, this once."""
    if everything and (given["platforms"] or given["models"]):
        raise click.UsageError("--all is all platforms and models: leave --platform and --model out")
    if everything:
        given |= {"platforms": ["*"], "models": ["*"]}
    elif not given["platforms"] or not given["models"]:
        raise click.UsageError("say --platform and --model, or --all")
    with Api() as api:
        body = said({**given, "limits": limits(limit), "tenant_id": tenant_id(api, tenant)})
        _hand_over(api("POST /keys", body), as_json)


@keys.command("list")
@click.option("--search", "q", help="Part of a name.")
@click.option("--user", "user_id")
@click.option("--deleted", is_flag=True, help="The deleted ones, which `restore` brings back for 30 days.")
@tenant
@json_option
def listing(q: str | None, user_id: str | None, deleted: bool, tenant: str | None, as_json: bool) -> None:
    """Show the keys."""
    with Api() as api:
        asked = {"q": q, "user_id": user_id, "deleted": deleted or None, "tenant_id": tenant_id(api, tenant)}
        found = api.everything("GET /keys", asked)
    text.as_json(found) if as_json else text.table(found, COLUMNS)


@keys.command()
@click.argument("key_id", type=ID)
@json_option
def show(key_id: str, as_json: bool) -> None:
    """Show one key, what it used, and how it stands with its limits."""
    with Api() as api:
        key = api(f"GET /keys/{key_id}")
        standing = api(f"GET /keys/{key_id}/limits")["data"]
    if as_json:
        text.as_json({**key, "standing": standing})
        return
    text.fields({**key, **key["usage"]}, leaving=("usage", "limits"))
    if standing:
        click.echo()
        text.table(standing, _STANDING)


@keys.command()
@click.argument("key_id", type=ID)
@click.option("--overlap", type=click.IntRange(0), default=0, metavar="SECONDS", help="The old one goes on so long.")
@json_option
def rotate(key_id: str, overlap: int, as_json: bool) -> None:
    """Give a key a new secret. It is printed on standard output, this once."""
    with Api() as api:
        _hand_over(api(f"POST /keys/{key_id}/rotate", {"overlap_seconds": overlap}), as_json)


@keys.command()
@click.argument("key_id", type=ID)
@click.option("--cut", is_flag=True, help="End its running requests too.")
@json_option
def disable(key_id: str, cut: bool, as_json: bool) -> None:
    """Stop a key, everywhere within two seconds."""
    with Api() as api:
        _done(api(f"POST /keys/{key_id}/disable", {"cut": cut}), "disabled", as_json)


@keys.command()
@click.argument("key_id", type=ID)
@json_option
def enable(key_id: str, as_json: bool) -> None:
    """Let a disabled key work again."""
    with Api() as api:
        _done(api(f"POST /keys/{key_id}/enable"), "enabled", as_json)


@keys.command()
@click.argument("key_id", type=ID)
@json_option
def delete(key_id: str, as_json: bool) -> None:
    """Delete a key; `restore` brings it back for 30 days."""
    with Api() as api:
        api(f"DELETE /keys/{key_id}")
    _done({"id": key_id, "deleted": True}, "deleted", as_json)


@keys.command()
@click.argument("key_id", type=ID)
@json_option
def restore(key_id: str, as_json: bool) -> None:
    """Bring a deleted key back."""
    with Api() as api:
        _done(api(f"POST /keys/{key_id}/restore"), "restored", as_json)


def _hand_over(key: dict[str, Any], as_json: bool) -> None:
    """Only the secret goes to standard output, so that it can be piped."""
    if as_json:
        text.as_json(key)
        return
    text.note(f"{key['id']} {key['name']}: this key is shown once")
    click.echo(key["secret"])


def _done(key: dict[str, Any], what: str, as_json: bool) -> None:
    text.as_json(key) if as_json else text.note(f"{key['id']} is {what}")
