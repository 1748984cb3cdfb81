"""What a provider says was used: its exports, read into tokens by day (UTC) and model. Pure; told apart by content.

- Anthropic, JSON: https://platform.claude.com/docs/en/api/admin-api/usage-cost/get-messages-usage-report
- Anthropic, CSV: the export of the Console's usage page (support.anthropic.com/en/articles/9534590)
- OpenAI, JSON: https://platform.openai.com/docs/api-reference/usage (completions, embeddings)
- OpenAI, CSV: the export of the usage dashboard (help.openai.com/en/articles/8554956), with the names of the JSON
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, cast

from msgspec import Struct, field

Vendor = Literal["anthropic", "openai"]
Tokens = dict[str, int]
"""By the ledger's names of the classes."""

CLASSES = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
MOST = 10**15

_CONSOLE: Mapping[str, str] = {
    "input_tokens": "usage_input_tokens_no_cache",
    "cache_read_tokens": "usage_input_tokens_cache_read",
    "cache_write_5m_tokens": "usage_input_tokens_cache_write_5m",
    "cache_write_1h_tokens": "usage_input_tokens_cache_write_1h",
    "output_tokens": "usage_output_tokens",
}
_COUNTED = ("organization.usage.completions.result", "organization.usage.embeddings.result")
_FORMS = "Anthropic's usage report or its Console's CSV, OpenAI's usage of completions or its dashboard's CSV"


class Unreadable(Exception):
    """The file cannot be read; the message names the line or the member at fault."""


class Statement(Struct):
    """`days`: those that the export covers, also with nothing used. `classes`: a name → those of the ledger's in it."""

    vendor: Vendor
    classes: Mapping[str, Sequence[str]]
    used: dict[tuple[date, str], Tokens] = field(default_factory=dict[tuple[date, str], Tokens])
    days: set[date] = field(default_factory=set[date])
    keys: set[str] = field(default_factory=set[str])
    """API keys that it names."""
    more: bool = False
    """It is a page, and others follow."""


class _Use(Struct, frozen=True):
    """One line of an export, with what is said of where it stands."""

    day: date
    model: str
    tokens: Tokens
    key: str


_EACH: Mapping[str, Sequence[str]] = {name: (name,) for name in CLASSES}
#: An export of OpenAI that does not name cache writes has them in its input.
_WITHOUT_WRITES: Mapping[str, Sequence[str]] = {
    "input_tokens": ("input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    "cache_read_tokens": ("cache_read_tokens",),
    "output_tokens": ("output_tokens",),
}
_WITH_WRITES: Mapping[str, Sequence[str]] = {
    "input_tokens": ("input_tokens",),
    "cache_read_tokens": ("cache_read_tokens",),
    "cache_write_tokens": ("cache_write_5m_tokens", "cache_write_1h_tokens"),
    "output_tokens": ("output_tokens",),
}


def read(content: bytes, api_key: str | None = None) -> Statement:
    """Raises Unreadable. `api_key`: only what this key used, by its name or id as the export has it."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    if text.lstrip()[:1] in {"{", "["}:
        return _read_json(text, api_key)
    return _read_csv(text, api_key)


def merged(statements: Sequence[Statement]) -> Statement:
    """Pages, or exports of several kinds of use, as one. Raises Unreadable for those of different vendors."""
    whole = Statement(statements[0].vendor, max((one.classes for one in statements), key=len))
    for one in statements:
        if one.vendor != whole.vendor:
            raise Unreadable(f"one is {one.vendor}'s, another {whole.vendor}'s")
        for (day, model), tokens in one.used.items():
            _add(whole, day, model, tokens)
        whole.days |= one.days
        whole.keys |= one.keys
    whole.more = all(one.more for one in statements)
    return whole


def _add(statement: Statement, day: date, model: str, tokens: Tokens) -> None:
    sums = statement.used.setdefault((day, model), {})
    for name, number in tokens.items():
        sums[name] = sums.get(name, 0) + number


def _collected(
    vendor: Vendor, classes: Mapping[str, Sequence[str]], uses: Iterator[_Use], key: str | None
) -> Statement:
    statement = Statement(vendor, classes)
    for use in uses:
        statement.days.add(use.day)
        if use.key:
            statement.keys.add(use.key)
        if use.model and key in {None, use.key}:
            _add(statement, use.day, use.model, use.tokens)
    return statement


# ---------------------------------------------------------------- CSV


def _read_csv(text: str, key: str | None) -> Statement:
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, restkey="")
    try:
        columns = set(lines.fieldnames or ())
        if "usage_date_utc" in columns:
            _require(columns, ("model_version", *_CONSOLE.values()))
            return _collected("anthropic", _EACH, _console(lines), key)
        if "start_time" in columns and "num_model_requests" in columns:
            _require(columns, ("model", "input_tokens", "input_cached_tokens"))
            writes = "input_cache_write_tokens" in columns
            return _collected("openai", _WITH_WRITES if writes else _WITHOUT_WRITES, _dashboard(lines), key)
    except csv.Error as error:
        raise Unreadable(f"line {lines.reader.line_num}: {error}") from None
    raise Unreadable(f"it is none of: {_FORMS}")


def _require(columns: set[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise Unreadable(f"line 1: there is no column {', '.join(missing)}")


def _rows(lines: "csv.DictReader[str]") -> Iterator[tuple[Mapping[str, str], str]]:
    """Each with where it stands."""
    for line in lines:
        at = f"line {lines.line_num}"
        if "" in line or None in line.values():
            raise Unreadable(f"{at}: it has another number of columns than line 1")
        yield line, at


def _console(lines: "csv.DictReader[str]") -> Iterator[_Use]:
    for line, at in _rows(lines):
        day = _day(line["usage_date_utc"], f"{at}: usage_date_utc")
        tokens = {name: _count(line[column], f"{at}: {column}") for name, column in _CONSOLE.items()}
        yield _Use(
            day, _model(line["model_version"], tokens, f"{at}: model_version"), tokens, line.get("api_key") or ""
        )


def _dashboard(lines: "csv.DictReader[str]") -> Iterator[_Use]:
    for line, at in _rows(lines):
        day = _day(_whole(line["start_time"], f"{at}: start_time"), f"{at}: start_time")
        tokens = _openai(line, f"{at}: ")
        yield _Use(day, _model(line["model"], tokens, f"{at}: model"), tokens, line.get("api_key_id") or "")


# ---------------------------------------------------------------- JSON


def _read_json(text: str, key: str | None) -> Statement:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {error}") from None
    pages = cast("list[Any]", told) if isinstance(told, list) else [told]
    if not pages:
        raise Unreadable("it has no page")
    statements: list[Statement] = []
    for number, page in enumerate(pages):
        at = f"[{number}]." if isinstance(told, list) else ""
        statements.append(_page(_object(page, at.rstrip(".") or "the file"), at, key))
    return merged(statements)


def _page(page: Mapping[str, Any], at: str, key: str | None) -> Statement:
    buckets = [_object(each, f"{at}data[{n}]") for n, each in enumerate(_list(page.get("data"), f"{at}data"))]
    anthropic = any("starting_at" in bucket for bucket in buckets)
    if not anthropic and not any("start_time" in bucket for bucket in buckets):
        raise Unreadable(f"{at}data has no buckets of time: it is none of {_FORMS}")
    results = [_list(bucket.get("results"), f"{at}data[{n}].results") for n, bucket in enumerate(buckets)]
    if anthropic:
        statement = _collected("anthropic", _EACH, _reported(buckets, results, at), key)
    else:
        writes = any(
            "input_cache_write_tokens" in each for found in results for each in found if isinstance(each, dict)
        )
        classes = _WITH_WRITES if writes else _WITHOUT_WRITES
        statement = _collected("openai", classes, _organization(buckets, results, at), key)
    statement.more = page.get("has_more") is True
    return statement


def _reported(buckets: list[Mapping[str, Any]], results: list[list[Any]], at: str) -> Iterator[_Use]:
    for n, bucket in enumerate(buckets):
        day = _day(bucket.get("starting_at"), f"{at}data[{n}].starting_at")
        yield _Use(day, "", {}, "")
        for m, each in enumerate(results[n]):
            here = f"{at}data[{n}].results[{m}]"
            result = _object(each, here)
            written = _object(result.get("cache_creation") or {}, f"{here}.cache_creation")
            short, long = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
            tokens = {
                "input_tokens": _count(result.get("uncached_input_tokens"), f"{here}.uncached_input_tokens"),
                "cache_read_tokens": _count(result.get("cache_read_input_tokens"), f"{here}.cache_read_input_tokens"),
                "cache_write_5m_tokens": _count(written.get(short), f"{here}.cache_creation.{short}"),
                "cache_write_1h_tokens": _count(written.get(long), f"{here}.cache_creation.{long}"),
                "output_tokens": _count(result.get("output_tokens"), f"{here}.output_tokens"),
            }
            yield _Use(
                day, _model(result.get("model"), tokens, f"{here}.model"), tokens, _text(result.get("api_key_id"))
            )


def _organization(buckets: list[Mapping[str, Any]], results: list[list[Any]], at: str) -> Iterator[_Use]:
    for n, bucket in enumerate(buckets):
        day = _day(bucket.get("start_time"), f"{at}data[{n}].start_time")
        yield _Use(day, "", {}, "")
        for m, each in enumerate(results[n]):
            here = f"{at}data[{n}].results[{m}]"
            result = _object(each, here)
            if result.get("object", _COUNTED[0]) not in _COUNTED:
                raise Unreadable(f"{here}.object: {result['object']!r} does not count tokens of text")
            tokens = _openai(result, f"{here}.")
            yield _Use(
                day, _model(result.get("model"), tokens, f"{here}.model"), tokens, _text(result.get("api_key_id"))
            )


# ---------------------------------------------------------------- values


def _openai(line: Mapping[str, Any], at: str) -> Tokens:
    """Its input holds what was cached."""
    names = ("input_tokens", "input_cached_tokens", "input_cache_write_tokens", "output_tokens")
    whole, cached, written, output = (_count(line.get(name), f"{at}{name}") for name in names)
    if cached + written > whole:
        raise Unreadable(f"{at}input_cached_tokens: more than input_tokens")
    fresh = whole - cached - written
    return {
        "input_tokens": fresh, "cache_read_tokens": cached, "cache_write_tokens": written, "output_tokens": output,
    }  # fmt: skip


def _count(value: Any, at: str) -> int:
    """Absent, null and empty are none. A spreadsheet writes `59200.0`."""
    if value is None or value == "":
        return 0
    number = _whole(value, at)
    if not 0 <= number <= MOST:
        raise Unreadable(f"{at}: expected a number of tokens, not {value!r}")
    return number


def _whole(value: Any, at: str) -> int:
    try:
        number = float(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
            raise ValueError
    except (ValueError, OverflowError):
        raise Unreadable(f"{at}: expected a whole number, not {value!r}") from None
    return int(value) if isinstance(value, str) and value.isdecimal() else int(number)


def _day(value: Any, at: str) -> date:
    """The day of a moment in UTC: seconds since the epoch, a date, or a time with its zone."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).date()
        return datetime.fromtimestamp(_whole(value, at), UTC).date()
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"{at}: expected a date or a time, not {value!r}") from None


def _model(value: Any, tokens: Tokens, at: str) -> str:
    """Empty where nothing was used."""
    if isinstance(value, str) and value:
        return value
    if any(tokens.values()):
        raise Unreadable(f"{at}: which model it was is not said: the export must be grouped by model")
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{at}: expected an object")
    return cast("Mapping[str, Any]", value)


def _list(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"{at}: expected a list")
    return cast("list[Any]", value)
