"""What was used: sums, and the ledger row by row."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from gateway.commands import export, text
from gateway.commands.api import Api
from gateway.commands.options import ID, said, tenant, tenant_id
from gateway.commands.options import as_json as json_option

F = TypeVar("F", bound=Callable[..., Any])

MEASURES = (
    "requests", "errors", "unpriced", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "cost",
)  # fmt: skip
DIMENSIONS = "tenant team user key account platform provider model hour day month"
#: The measures of the table; `--json` has them all.
SHOWN = ("requests", "errors", "unpriced", "input_tokens", "cache_read_tokens", "output_tokens", "cost")
COLUMNS = (
    "request_id", "received_at", "status", "ending", "platform", "model_used", "input_tokens", "output_tokens", "cost",
)  # fmt: skip
#: Filters that are no ids.
_WORDS = {"platform", "provider", "model"}
_ATTEMPT = ("account_id", "platform", "model", "status", "outcome", "error_code", "input_tokens", "output_tokens")


def _filtered(*options: str) -> Callable[[F], F]:
    """The span and the filters that a command and its export share."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = click.option(f"--{option}", option if option in _WORDS else f"{option}_id")(command)
        command = tenant(command)
        command = click.option("--to", "until", metavar="TIME", help="A date or a time, outside [default: now].")(
            command
        )
        return click.option("--from", "since", metavar="TIME", help="A date or a time, inside.")(command)

    return add


def _summed(command: F) -> F:
    command = _filtered("team", "user", "key", "account", "platform", "provider", "model")(command)
    command = click.option("--sort", metavar="MEASURE", help="The largest first, by cost, requests, errors …")(command)
    help_ = f"A comma list of {DIMENSIONS}."
    return click.option("--by", "group_by", default="day", show_default=True, help=help_)(command)


def _listed(command: F) -> F:
    command = click.option("--ending", help="complete client_abort_drained client_abort_cut upstream_error …")(command)
    command = click.option("--status", type=int)(command)
    return _filtered("key", "user", "account", "model")(command)


def _params(
    api: Api, since: str | None, until: str | None, tenant: str | None, asked: Mapping[str, Any]
) -> dict[str, Any]:
    return said({**asked, "from": since, "to": until, "tenant_id": tenant_id(api, tenant)})


def _for_the_group_alone(context: click.Context) -> bool:
    """Raises UsageError for options before `export`, which they would not reach."""
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if context.invoked_subcommand == "export" and given:
        raise click.UsageError("options of an export come after the word `export`")
    return context.invoked_subcommand is None


@click.group(invoke_without_command=True)
@_summed
@json_option
@click.pass_context
def usage(
    context: click.Context, since: str | None, until: str | None, tenant: str | None, as_json: bool, **asked: Any
) -> None:
    """Show what was used, summed: 30 days by default. Days are UTC."""
    if not _for_the_group_alone(context):
        return
    with Api() as api:
        told = api("GET /usage", params=_params(api, since, until, tenant, asked))
    if as_json:
        text.as_json(told)
        return
    rows: list[dict[str, Any]] = told["data"]
    groups = [name for name in rows[0] if name not in MEASURES] if rows else []
    text.table(rows, [*groups, *SHOWN])
    if told["has_more"]:
        text.note("there is more: narrow it with --from, --to or another filter, or use `poolgate usage export`")


@usage.command("export")
@_summed
@export.options
def usage_export(
    since: str | None, until: str | None, tenant: str | None, form: str, output: str, **asked: Any
) -> None:
    """Write the sums, all of them, as CSV or as JSON lines."""
    with Api() as api:
        export.write(api, "GET /usage/export", _params(api, since, until, tenant, asked), form, output)


class _Ledger(click.Group):
    """`requests export`, and `requests REQUEST_ID`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return (
            ("show", self.commands["show"], args)
            if args[0] not in self.commands
            else super().resolve_command(ctx, args)
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [("REQUEST_ID", "The one row, with its attempts."), ("export", "All rows, into a file.")]
            )


@click.group(cls=_Ledger, invoke_without_command=True, subcommand_metavar="[REQUEST_ID | export [OPTIONS]]")
@_listed
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many rows.")
@json_option
@click.pass_context
def requests(
    context: click.Context, since: str | None, until: str | None, tenant: str | None, limit: int, as_json: bool,
    **asked: Any,
) -> None:  # fmt: skip
    """Show the ledger, newest first, or the one row of REQUEST_ID with its attempts."""
    if not _for_the_group_alone(context):
        return
    with Api() as api:
        found = api.everything("GET /requests", _params(api, since, until, tenant, asked), limit)
    text.as_json(found) if as_json else text.table(found, COLUMNS)


@requests.command("show", hidden=True)
@click.argument("request_id", type=ID)
@json_option
@click.pass_context
def requests_show(context: click.Context, request_id: str, as_json: bool) -> None:
    """Show one row with its attempts."""
    before = context.parent.params["as_json"] if context.parent is not None else False
    _one(request_id, as_json or before)


@requests.command("export")
@_listed
@export.options
def requests_export(
    since: str | None, until: str | None, tenant: str | None, form: str, output: str, **asked: Any
) -> None:
    """Write the ledger's rows, oldest first, as CSV or as JSON lines."""
    with Api() as api:
        export.write(api, "GET /requests/export", _params(api, since, until, tenant, asked), form, output)


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
