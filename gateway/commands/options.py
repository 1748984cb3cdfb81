"""Options that several commands share, and how what is written on the command line is read."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import click

from gateway.commands.api import Api

F = TypeVar("F", bound=Callable[..., Any])

_LIMIT = re.compile(r"(?P<type>[a-z_]+)(?:/(?P<per>[a-z]+|[1-9][0-9]*[smhd]))?=(?P<max>[0-9]+(?:\.[0-9]+)?)")
_LENGTH = re.compile(r"[1-9][0-9]*[smhd]")


class Identifier(click.ParamType[str]):
    """Part of a path: nothing that could name another one."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]+", value) is None:
            self.fail(f"{value!r} is not an id", param, ctx)
        return str(value)


ID = Identifier()
as_json = click.option("--json", "as_json", is_flag=True, help="Print the API's JSON.")
tenant = click.option("--tenant", metavar="NAME", help="A tenant's name or id; your own by default.")


def limits(given: tuple[str, ...]) -> list[dict[str, Any]]:
    """`requests/minute=60`, `requests/5h=100` (rolling), `concurrency=5`, or JSON: one object, or a list of them."""
    found: list[dict[str, Any]] = []
    for text in given:
        if text.lstrip()[:1] in {"{", "["}:
            try:
                value: Any = json.loads(text)
            except ValueError as error:
                raise click.UsageError(f"--limit: this is not JSON: {error}") from None
            found += cast("list[dict[str, Any]]", value if isinstance(value, list) else [value])
        else:
            found.append(_short_limit(text))
    return found


def _short_limit(text: str) -> dict[str, Any]:
    read = _LIMIT.fullmatch(text)
    if read is None:
        raise click.UsageError(f"--limit: {text!r} is not of the form requests/minute=60, concurrency=5, or JSON")
    limit: dict[str, Any] = {"type": read["type"]}
    if read["per"]:
        limit["per"] = {"rolling": read["per"]} if _LENGTH.fullmatch(read["per"]) else read["per"]
    # Money is a decimal string, a count is a number.
    limit["max"] = read["max"] if read["type"] == "budget" else _number(read["max"])
    return limit


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping."""
    found: dict[str, str] = {}
    for text in given:
        name, said, value = text.partition("=")
        if not said or not name:
            raise click.UsageError(f"{option}: {text!r} is not of the form NAME=VALUE")
        found[name] = value
    return found


def tenant_id(api: Api, given: str | None) -> str | None:
    """The id of a tenant that is named by its name or its id."""
    if given is None or given.startswith("ten_"):
        return given
    for found in api.everything("GET /tenants", {"q": given}):
        if found["name"] == given:
            return str(found["id"])
    raise click.UsageError(f"--tenant: there is no tenant {given!r}")


def said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was not given."""
    return {name: value for name, value in values.items() if value is not None and value != () and value != []}
