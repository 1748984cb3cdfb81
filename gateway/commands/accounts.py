"""Accounts: the upstream credentials that the gateway pools."""

import json
from typing import Any

import click

from gateway.commands import secrets, text
from gateway.commands.api import Api
from gateway.commands.options import ID, pairs, said, tenant, tenant_id
from gateway.commands.options import as_json as json_option

COLUMNS = ("id", "name", "platform", "base_url", "models", "priority", "max_concurrency", "enabled")


@click.group()
def accounts() -> None:
    """Upstream accounts."""


@accounts.command()
@click.option("--platform", required=True, help="Such as claude-official, openai, gemini.")
@click.option("--name", required=True)
@click.option(
    "--credential", "credential", multiple=True, metavar="NAME[=SOURCE]",
    help="A secret: api_key asks for it, api_key=- reads standard input, api_key=@FILE, api_key=env:NAME; repeatable "
    "[default: api_key].",
)  # fmt: skip
@click.option(
    "--no-credential", is_flag=True, help="It needs none: an Ollama, a bedrock account by the machine's role."
)
@click.option("--base-url", help="Where its API is, if not at the platform's own address.")
@click.option("--provider", help="Its name in provider:model [default: the platform].")
@click.option("--option", "option", multiple=True, metavar="NAME=VALUE", help="Another setting of the platform.")
@click.option("--model", "models", multiple=True, help="A model it serves, or a pattern; repeatable.")
@click.option("--map", "model_map", multiple=True, metavar="NAME=UPSTREAM", help="The upstream's name for a model.")
@click.option("--pool", "pools", multiple=True)
@click.option("--priority", type=int, help="1 to 100, lower first [default: 50].")
@click.option("--weight", type=int)
@click.option("--max-concurrency", type=int, help="Requests at once.")
@click.option("--proxy", "proxy_id", help="The id of the proxy that it goes out through.")
@click.option("--notes")
@tenant
@json_option
def add(
    credential: tuple[str, ...],
    no_credential: bool,
    option: tuple[str, ...],
    model_map: tuple[str, ...],
    tenant: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Add an account. Its secrets are never part of the command line."""
    options = {name: _value(value) for name, value in pairs(option, "--option").items()}
    with Api() as api:
        body = said({**given, "tenant_id": tenant_id(api, tenant)})
        body |= {"options": options} if options else {}
        body |= {"model_map": pairs(model_map, "--map")} if model_map else {}
        body["credentials"] = {} if no_credential else secrets.named(credential or ("api_key",))
        account = api("POST /accounts", body)
    text.as_json(account) if as_json else click.echo(account["id"])


@accounts.command("list")
@click.option("--platform")
@click.option("--search", "q", help="Part of a name.")
@tenant
@json_option
def listing(platform: str | None, q: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the accounts."""
    with Api() as api:
        asked = {"platform": platform, "q": q, "tenant_id": tenant_id(api, tenant)}
        found = api.everything("GET /accounts", asked)
    text.as_json(found) if as_json else text.table(found, COLUMNS)


@accounts.command()
@click.argument("account_id", type=ID)
@click.option("--model", help="What to ask for [default: one that the account names, or a cheap one].")
@json_option
@click.pass_context
def test(context: click.Context, account_id: str, model: str | None, as_json: bool) -> None:
    """Send one real cheap request through an account. Exits with 1 when it fails."""
    with Api() as api:
        told = api(f"POST /accounts/{account_id}/test", {"model": model} if model else {})
    text.as_json(told) if as_json else text.fields(told)
    context.exit(0 if told["ok"] else 1)


@accounts.command()
@click.argument("account_id", type=ID)
@json_option
def state(account_id: str, as_json: bool) -> None:
    """Show whether an account is usable, why not, and until when."""
    with Api() as api:
        told = api(f"GET /accounts/{account_id}/state")
    text.as_json(told) if as_json else text.fields(told)


@accounts.command()
@click.argument("account_id", type=ID)
@json_option
def enable(account_id: str, as_json: bool) -> None:
    """Let an account be chosen again."""
    _switch(account_id, "enable", "enabled", as_json)


@accounts.command()
@click.argument("account_id", type=ID)
@json_option
def disable(account_id: str, as_json: bool) -> None:
    """Take an account out of the pool. Running requests finish."""
    _switch(account_id, "disable", "disabled", as_json)


@accounts.command()
@click.argument("account_id", type=ID)
@json_option
def drain(account_id: str, as_json: bool) -> None:
    """Give an account nothing new; the sessions that are bound to it go on."""
    with Api() as api:
        told = api(f"POST /accounts/{account_id}/drain")
    text.as_json(told) if as_json else text.fields(told)


@accounts.command()
@click.argument("account_id", type=ID)
@json_option
def recover(account_id: str, as_json: bool) -> None:
    """Lift what was found automatically: cool-downs, a rejected credential."""
    with Api() as api:
        told = api(f"POST /accounts/{account_id}/recover")
    text.as_json(told) if as_json else text.fields(told)


@accounts.command()
@click.argument("account_id", type=ID)
@json_option
def delete(account_id: str, as_json: bool) -> None:
    """Delete an account. Its credentials are erased; the ledger keeps its id."""
    with Api() as api:
        api(f"DELETE /accounts/{account_id}")
    text.as_json({"id": account_id, "deleted": True}) if as_json else text.note(f"{account_id} is deleted")


def _switch(account_id: str, verb: str, done: str, as_json: bool) -> None:
    with Api() as api:
        account = api(f"POST /accounts/{account_id}/{verb}")
    text.as_json(account) if as_json else text.note(f"{account_id} is {done}")


def _value(said_value: str) -> Any:
    """JSON where it is JSON (`true`, `3`), else the text itself."""
    try:
        return json.loads(said_value)
    except ValueError:
        return said_value
