"""What was used: sums, and the ledger row by row."""

from typing import Any

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import ID, said, tenant, tenant_id
from gateway.commands.options import as_json as json_option

MEASURES = (
    "requests", "errors", "unpriced", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "cost",
)  # fmt: skip
DIMENSIONS = "tenant user key account platform model hour day month"
#: The measures of the table; `--json` has them all.
SHOWN = ("requests", "errors", "input_tokens", "cache_read_tokens", "output_tokens", "cost")
COLUMNS = (
    "request_id", "received_at", "status", "ending", "platform", "model_used", "input_tokens", "output_tokens", "cost",
)  # fmt: skip
_ATTEMPT = ("account_id", "platform", "model", "status", "outcome", "error_code", "input_tokens", "output_tokens")


@click.command()
@click.option("--by", "group_by", default="day", show_default=True, help=f"A comma list of {DIMENSIONS}.")
@click.option("--from", "since", metavar="TIME", help="A date or a time, inside [default: 30 days ago].")
@click.option("--to", "until", metavar="TIME", help="A date or a time, outside [default: now].")
@click.option("--key", "key_id")
@click.option("--user", "user_id")
@click.option("--account", "account_id")
@click.option("--platform")
@click.option("--model")
@tenant
@json_option
def usage(since: str | None, until: str | None, tenant: str | None, as_json: bool, **asked: Any) -> None:
    """Show what was used, summed. Days are UTC."""
    with Api() as api:
        params = {**asked, "from": since, "to": until, "tenant_id": tenant_id(api, tenant)}
        told = api("GET /usage", params=said(params))
    if as_json:
        text.as_json(told)
        return
    rows: list[dict[str, Any]] = told["data"]
    groups = [name for name in rows[0] if name not in MEASURES] if rows else []
    text.table(rows, [*groups, *SHOWN])
    if told["has_more"]:
        text.note("there is more: narrow it with --from, --to or another filter")


@click.command()
@click.argument("request_id", type=ID, required=False)
@click.option("--key", "key_id")
@click.option("--user", "user_id")
@click.option("--account", "account_id")
@click.option("--model")
@click.option("--status", type=int)
@click.option("--ending", help="complete client_abort_drained client_abort_cut upstream_error stalled refused …")
@click.option("--from", "since", metavar="TIME")
@click.option("--to", "until", metavar="TIME")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many rows.")
@tenant
@json_option
def requests(
    request_id: str | None, since: str | None, until: str | None, limit: int, tenant: str | None, as_json: bool,
    **asked: Any,
) -> None:  # fmt: skip
    """Show the ledger, newest first, or the one row of REQUEST_ID with its attempts."""
    if request_id is not None:
        _one(request_id, as_json)
        return
    with Api() as api:
        params = said({**asked, "from": since, "to": until, "tenant_id": tenant_id(api, tenant)})
        found = api.everything("GET /requests", params, limit)
    text.as_json(found) if as_json else text.table(found, COLUMNS)


def _one(request_id: str, as_json: bool) -> None:
    with Api() as api:
        row = api(f"GET /requests/{request_id}")
    if as_json:
        text.as_json(row)
        return
    text.fields(row, leaving=("attempts",))
    if row["attempts"]:
        click.echo()
        text.table(row["attempts"], _ATTEMPT)
