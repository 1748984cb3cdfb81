"""What was refused: counts, since such requests have no row."""

from typing import Any

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import as_json as json_option
from gateway.commands.options import said, tenant, tenant_id


@click.command()
@click.option("--by", "group_by", default="key,code", show_default=True, help="Of tenant key code status hour day.")
@click.option("--from", "since", metavar="TIME", help="A date or a time, inside [default: 30 days ago].")
@click.option("--to", "until", metavar="TIME", help="A date or a time, outside [default: now].")
@click.option("--key", "key_id")
@click.option("--code")
@click.option("--status", type=int)
@tenant
@json_option
def refusals(since: str | None, until: str | None, tenant: str | None, as_json: bool, **asked: Any) -> None:
    """Show how often requests were refused (400, 401, 403, 404, 413, 429)."""
    with Api() as api:
        params = {**asked, "from": since, "to": until, "tenant_id": tenant_id(api, tenant)}
        told = api("GET /usage/refusals", params=said(params))
    if as_json:
        text.as_json(told)
        return
    rows: list[dict[str, Any]] = told["data"]
    text.table(rows, list(rows[0]) if rows else ["count"])
    if told["has_more"]:
        text.note("there is more: narrow it with --from, --to or another filter")
