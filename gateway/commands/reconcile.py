"""The ledger of an account beside what its provider says was used."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, structs

from gateway.commands import text
from gateway.commands.api import Api, CommandError
from gateway.commands.options import ID
from gateway.commands.options import as_json as json_option
from gateway.commands.statements import CLASSES, Statement, Tokens, Unreadable, Vendor, merged, read

COLUMNS = ("day", "model", "class", "ours", "theirs", "difference", "estimated", "gateway_lost")
_PLATFORMS: Mapping[Vendor, Sequence[str]] = {
    "anthropic": ("claude-official", "claude-console"),
    "openai": ("openai", "openai-responses"),
}
#: Endings of requests whose figures the provider may not have said.
_UNSURE = ("gateway_lost", "client_abort_cut", "client_abort_drained", "stalled", "upstream_error")
_DAY = timedelta(days=1)
#: `gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`, `…@20250929`, `gpt-4-0613`.
_DATED = re.compile(r"(.+?)(?:[-@]20[0-9]{2}-?[01][0-9]-?[0-3][0-9]|-[01][0-9][0-3][0-9])")
#: `claude-sonnet-4-0` is Anthropic's name for the newest `claude-sonnet-4-…`.
_NEWEST = re.compile(r"(.+)-latest|(claude-[a-z]+-4)-0")
_TOLERANCE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<percent>%?)")

Used = dict[tuple[date, str], Tokens]


class Gap(Struct, frozen=True, rename={"kind": "class"}):
    """`estimated`, `gateway_lost`: how many of ours are from rows for which the provider gave no figures."""

    day: str
    model: str
    kind: str
    ours: int
    theirs: int
    difference: int
    estimated: int = 0
    gateway_lost: int = 0


class Tolerance(click.ParamType[Any]):
    """`500` tokens, or `0.1%` of the larger number."""

    name = "tolerance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = _TOLERANCE.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is neither a number of tokens nor a part such as 0.1%", param, ctx)
        return float(found["number"]), bool(found["percent"])


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--account", "account_id", type=ID, help="Whose ledger [default: the only one of the provider].")
@click.option(
    "--from", "since", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="The first day [default: that of FILE]."
)
@click.option("--to", "until", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="The day after the last.")
@click.option("--api-key", help="Only what FILE says of this key, by its name or id there.")
@click.option("--tolerance", type=Tolerance(), default="0", show_default=True, help="Tokens, or a part such as 0.1%.")
@click.option("--all", "everything", is_flag=True, help="Show also what is equal.")
@json_option
@click.pass_context
def reconcile(
    context: click.Context, files: tuple[Path, ...], account_id: str | None, since: datetime | None,
    until: datetime | None, api_key: str | None, tolerance: tuple[float, bool], everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compare an account's ledger with a provider's usage export.

    By day (UTC), model and class of tokens. FILE is Anthropic's usage report (JSON) or its Console's CSV, OpenAI's
    usage (JSON) or its dashboard's CSV; several are added up. Exits with 1 when there are gaps.
    """
    statement = _statement(files, api_key)
    first, last = _span(statement, since, until)
    with Api() as api:
        account_id = account_id or _account(api, statement.vendor)
        ours = _ledger(api, account_id, first, last)
        theirs = {at: tokens for at, tokens in statement.used.items() if first <= at[0] < last}
        lines = compared(ours, theirs, statement.classes)
        gaps = [line for line in lines if _beyond(line, tolerance)]
        unsure = _unsure(api, account_id, {line.day for line in gaps})
    shown = explained(lines if everything else gaps, unsure, ours, theirs, statement.classes)
    if as_json:
        span = {"from": first.isoformat(), "to": last.isoformat()}
        told = {"account_id": account_id, "provider": statement.vendor, **span, "gaps": len(gaps), "data": shown}
        text.as_json(told)
    else:
        text.table(shown, COLUMNS)
    _notes(statement, last, len(gaps), len(lines))
    context.exit(1 if gaps else 0)


def _statement(files: Sequence[Path], api_key: str | None) -> Statement:
    statements: list[Statement] = []
    for file in files:
        try:
            statements.append(read(file.read_bytes(), api_key))
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        except Unreadable as error:
            raise CommandError(f"{file}: {error}") from None
    try:
        whole = merged(statements)
    except Unreadable as error:
        raise CommandError(f"the files do not belong together: {error}") from None
    if api_key is not None and api_key not in whole.keys:
        told = ", ".join(sorted(whole.keys)) or "none: the export must be grouped by API key"
        raise CommandError(f"--api-key: nothing is said of {api_key}; the keys that are named: {told}")
    return whole


def _span(statement: Statement, since: datetime | None, until: datetime | None) -> tuple[date, date]:
    """The first day, and that after the last."""
    if not statement.days:
        raise CommandError("the export covers no day")
    first = since.date() if since else min(statement.days)
    last = until.date() if until else max(statement.days) + _DAY
    if first >= last:
        raise click.UsageError("--to: it must come after --from")
    return first, last


def _account(api: Api, vendor: Vendor) -> str:
    found = [each for name in _PLATFORMS[vendor] for each in api.everything("GET /accounts", {"platform": name})]
    if len(found) != 1:
        raise click.UsageError(f"--account: there are {len(found)} accounts of {vendor}: say which")
    return str(found[0]["id"])


def _ledger(api: Api, account_id: str, first: date, last: date) -> Used:
    params = {"group_by": "day,model", "account_id": account_id, "limit": 10_000}
    told = api("GET /usage", params=params | {"from": first.isoformat(), "to": last.isoformat()})
    if told["has_more"]:
        raise CommandError("there are too many days and models for one comparison: narrow it with --from and --to")
    return {
        (date.fromisoformat(group["day"]), group["model"]): {name: group[name] for name in CLASSES}
        for group in told["data"]
    }


def _unsure(api: Api, account_id: str, days: Iterable[str]) -> list[Mapping[str, Any]]:
    """The rows of these days whose figures are estimates."""
    rows: list[Mapping[str, Any]] = []
    for day in sorted(days):
        span = {"from": day, "to": (date.fromisoformat(day) + _DAY).isoformat()}
        for ending in _UNSURE:
            found = api.everything("GET /requests", {"account_id": account_id, "ending": ending, **span})
            rows += [row for row in found if row["usage_source"] == "estimated"]
    return rows


# ---------------------------------------------------------------- comparing


def names(models: Iterable[str]) -> dict[str, str]:
    """The name under which each is compared.

    A name without a date, or with `-latest`, stands for every date of it. So where one of the names is such, all dates
    of it are taken together; where all have dates, each is a model of its own.
    """
    dated: dict[str, str] = {}
    undated: dict[str, str] = {}
    for model in models:
        if found := _DATED.fullmatch(model):
            dated[model] = found[1]
        else:
            newest = _NEWEST.fullmatch(model)
            undated[model] = (newest[1] or newest[2]) if newest else model
    taken = set(undated.values())
    return undated | {model: stem if stem in taken else model for model, stem in dated.items()}


def _named(used: Mapping[tuple[date, str], Tokens], known: Mapping[str, str]) -> Used:
    sums: Used = {}
    for (day, model), tokens in used.items():
        to = sums.setdefault((day, known[model]), {})
        for name, number in tokens.items():
            to[name] = to.get(name, 0) + number
    return sums


def compared(ours: Used, theirs: Used, classes: Mapping[str, Sequence[str]]) -> list[Gap]:
    """Every day, model and class of either side."""
    known = names(model for _, model in [*ours, *theirs])
    our, their = _named(ours, known), _named(theirs, known)
    lines: list[Gap] = []
    for day, model in sorted({*our, *their}):
        for kind, within in classes.items():
            mine = sum(our.get((day, model), {}).get(name, 0) for name in within)
            said = their.get((day, model), {}).get(kind, 0)
            lines.append(Gap(day.isoformat(), model, kind, mine, said, mine - said))
    return lines


def explained(
    lines: Iterable[Gap], unsure: Sequence[Mapping[str, Any]], ours: Used, theirs: Used,
    classes: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:  # fmt: skip
    """The lines, with what of ours the provider has not said."""
    known = names([*(model for _, model in [*ours, *theirs]), *(_model(row) for row in unsure)])
    found: list[dict[str, Any]] = []
    for line in lines:
        rows = [row for row in unsure if row["received_at"][:10] == line.day and known[_model(row)] == line.model]
        lost = [row for row in rows if row["ending"] == "gateway_lost"]
        within = classes[line.kind]
        estimated = sum(row[name] for row in rows for name in within)
        line = structs.replace(
            line, estimated=estimated, gateway_lost=sum(row[name] for row in lost for name in within)
        )
        found.append({"class" if name == "kind" else name: value for name, value in structs.asdict(line).items()})
    return found


def _model(row: Mapping[str, Any]) -> str:
    return row["model_used"] or row["model_asked"]


def _beyond(line: Gap, tolerance: tuple[float, bool]) -> bool:
    number, percent = tolerance
    return abs(line.difference) > (number / 100 * max(line.ours, line.theirs) if percent else number)


def _notes(statement: Statement, last: date, gaps: int, lines: int) -> None:
    if statement.more:
        text.note("the export is a page, and others follow: give all of them for a comparison of all")
    if last > datetime.now(UTC).date():
        text.note("today is not over, and providers are late by minutes to hours")
    text.note(f"{gaps} of {lines} figures differ" if gaps else f"all of {lines} figures agree")
