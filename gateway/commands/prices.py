"""Prices: versions on top of the shipped ones, and what is in force."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import ID
from gateway.commands.options import as_json as json_option
from gateway.commands.progress import Advance, bar

COLUMNS = ("id", "version", "effective_at", "source", "prices", "created_at")
_CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "per_request")
_HISTORY = ("platform", "since", "in_force", "version", "model", *_CLASSES, "tiers")
_SUMMARY = ("version", "effective_at", "dry_run", "entries", "imported", "same", "skipped")
_PIECE = 1 << 16


@click.group()
def prices() -> None:
    """Prices of models."""


@prices.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--effective", metavar="TIME", help="A date or a time from which on they hold [default: now].")
@click.option("--name", "version", help="What rows of the ledger will call this version.")
@click.option("--dry-run", is_flag=True, help="Show what would become of each entry, and change nothing.")
@json_option
def take(file: Path, effective: str | None, version: str | None, dry_run: bool, as_json: bool) -> None:
    """Put the prices of LiteLLM's model_prices_and_context_window.json on top of those that there are."""
    data = file.read_bytes()
    params = {"effective_at": effective, "version": version, "dry_run": dry_run}
    with Api() as api, bar("sending", len(data)) as advance:
        told = api.send("POST /prices/import", _pieces(data, advance), len(data), params)
    if as_json:
        text.as_json(told)
        return
    name = told["version"]["version"] if told["version"] else None
    summary = {**told, "version": name, "same": len(told["same"]), "skipped": len(told["skipped"])}
    text.fields({member: summary[member] for member in _SUMMARY})
    if told["skipped"]:
        click.echo()
        text.table(told["skipped"], ("model", "reason"))
        reasons = Counter(str(one["reason"]).partition(":")[0] for one in told["skipped"])
        text.note(f"not imported: {', '.join(f'{count} × {reason}' for reason, count in reasons.most_common(5))}")
    if told["unused"]:
        text.note(f"amounts that are not counted by: {', '.join(sorted(told['unused']))}")


def _pieces(data: bytes, advance: Advance) -> Iterator[bytes]:
    for at in range(0, len(data), _PIECE):
        piece = data[at : at + _PIECE]
        yield piece
        advance(len(piece))


@prices.command("list")
@json_option
def listing(as_json: bool) -> None:
    """Show the versions, newest first; below them all are the shipped prices."""
    with Api() as api:
        found = api.everything("GET /prices", {})
        if not as_json:
            base = api("GET /prices/shipped")
            found.append({**base, "prices": len(base["prices"])})
    text.as_json(found) if as_json else text.table(found, COLUMNS)


@prices.command()
@click.argument("model")
@click.option("--platform", help="Only of this platform.")
@click.option("--at", metavar="TIME", help="A date or a time [default: now].")
@json_option
def show(model: str, platform: str | None, at: str | None, as_json: bool) -> None:
    """Show what MODEL costs and will cost at each platform, for a million tokens, and which version says so."""
    with Api() as api:
        told = api("GET /prices/in-force", params={"model": model, "platform": platform, "at": at})
    if as_json:
        text.as_json(told)
        return
    lines = [_line(found, entry) for found in told["data"] for entry in found["history"]]
    text.table(lines, _HISTORY)
    if not any(line["in_force"] for line in lines):
        text.note(f"{model} has no price" + (f" at {platform}" if platform else ""))


def _line(found: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    price = entry["price"]
    tiers = [f"above {tier['above']}: {tier['input']}/{tier['output']}" for tier in price.get("tiers", [])]
    shown = {"platform": found["platform"], "since": entry["since"], "version": entry["version"], "tiers": tiers}
    return {**price, **shown, "in_force": entry == found["in_force"]}


@prices.command()
@json_option
def unpriced(as_json: bool) -> None:
    """Show the models that are used and have no price."""
    with Api() as api:
        told = api("GET /prices/unpriced")
    text.as_json(told) if as_json else text.table(told["data"], ("platform", "model", "requests", "since", "until"))


@prices.command()
@click.argument("version_id", type=ID)
def delete(version_id: str) -> None:
    """Delete a version that is not in force yet."""
    with Api() as api:
        api(f"DELETE /prices/{version_id}")
    text.note(f"{version_id} is deleted")
