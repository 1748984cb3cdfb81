"""Groups: path prefixes with aliases and rules of their own."""

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any, cast

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import ID, said, tenant, tenant_id
from gateway.commands.options import as_json as json_option

COLUMNS = ("id", "name", "enabled", "active", "aliases", "tool_mode", "description")
_ALIASES = ("match", "model", "platform", "provider", "pool_id", "account_id", "weight")


@click.group()
def groups() -> None:
    """Groups: path prefixes with aliases and rules of their own."""


@groups.command("list")
@click.option("--search", "q", help="Part of a name or a description.")
@tenant
@json_option
def listing(q: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the groups."""
    with Api() as api:
        found = api.everything("GET /groups", {"q": q, "tenant_id": tenant_id(api, tenant)})
    if as_json:
        text.as_json(found)
        return
    text.table([{**one, "aliases": [alias["match"] for alias in one["aliases"]]} for one in found], COLUMNS)


@groups.command()
@click.argument("group_id", type=ID)
@json_option
def show(group_id: str, as_json: bool) -> None:
    """Show one group, with its aliases in the order in which they are asked."""
    with Api() as api:
        group = api(f"GET /groups/{group_id}")
    if as_json:
        text.as_json(group)
        return
    text.fields(group, leaving=("aliases",))
    if group["aliases"]:
        click.echo()
        text.table(_targets(group["aliases"]), _ALIASES)


@groups.command()
@click.option("--name", help="Letters, digits, `.`, `_` and `-`: clients put it before their paths.")
@click.option("--description")
@click.option(
    "--alias", "alias", multiple=True, metavar="MATCH=[PLATFORM,|PROVIDER:]MODEL",
    help="MATCH is a model's name or a pattern with * and ?. A model with a colon in its name needs its platform: "
    "small=ollama,gemma3:12b. Repeatable; one MATCH again is another target of it.",
)  # fmt: skip
@click.option("--file", "file", type=click.File("rb"), help="The whole group as JSON; the other options win over it.")
@tenant
@json_option
def create(
    name: str | None,
    description: str | None,
    alias: tuple[str, ...],
    file: IO[bytes] | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Make a group."""
    body = {} if file is None else _read(file)
    if not name and "name" not in body:
        raise click.UsageError("say --name, or give a --file that does")
    told = {"name": name, "description": description, "aliases": aliases(alias)}
    with Api() as api:
        group = api("POST /groups", {**body, **said({**told, "tenant_id": tenant_id(api, tenant)})})
    text.as_json(group) if as_json else click.echo(group["id"])


@groups.command()
@click.argument("group_id", type=ID)
@json_option
def activate(group_id: str, as_json: bool) -> None:
    """Make a group its tenant's active one: what clients reach at /switch, everywhere within two seconds."""
    with Api() as api:
        group = api(f"POST /groups/{group_id}/activate")
    text.as_json(group) if as_json else text.note(f"{group['id']} {group['name']} is active")


@groups.command()
@click.argument("group_id", type=ID)
@json_option
def delete(group_id: str, as_json: bool) -> None:
    """Delete a group. Its path answers 404 from then on, and /switch too if it was the active one."""
    with Api() as api:
        api(f"DELETE /groups/{group_id}")
    text.as_json({"id": group_id, "deleted": True}) if as_json else text.note(f"{group_id} is deleted")


def aliases(given: tuple[str, ...]) -> list[dict[str, Any]]:
    """The words of `--alias` as the API wants them, in their order."""
    found: dict[str, list[dict[str, str]]] = {}
    for word in given:
        match, _, aim = word.partition("=")
        target = _target(aim)
        if not match or not all(target.values()):
            raise click.UsageError(f"--alias: {word!r} is not of the form MATCH=[PLATFORM,|PROVIDER:]MODEL")
        found.setdefault(match, []).append(target)
    return [{"match": match, "targets": targets} for match, targets in found.items()]


def _target(aim: str) -> dict[str, str]:
    """As clients name a model: up to the first comma a platform, else up to the first colon a provider."""
    for mark, place in ((",", "platform"), (":", "provider")):
        left, found, model = aim.partition(mark)
        if found:
            return {place: left.strip(), "model": model.strip()}
    return {"model": aim.strip()}


def _targets(given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line for each target; the weight is said only where it is not 1."""
    return [{"match": alias["match"], "weight": 1, **target} for alias in given for target in alias["targets"]]


def _read(file: IO[bytes]) -> dict[str, Any]:
    try:
        body: Any = json.loads(file.read())
    except ValueError as error:
        raise click.UsageError(f"--file: this is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise click.UsageError("--file: an object is expected")
    return cast("dict[str, Any]", body)
