"""Rows as CSV (RFC 4180) or as JSON lines, a page at a time: never all in memory, and nothing half said as if whole.

A cell of CSV whose text begins like a formula is given an apostrophe before it: clients choose the names of models,
sessions and programs, and a spreadsheet would run what they wrote (OWASP, "CSV Injection"). JSON lines are exact.
"""

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from litestar.response import Stream

Format = Literal["csv", "jsonl"]
Row = Mapping[str, Any]
Pages = AsyncIterator[Sequence[Row]]

#: About how many rows there will be, for a progress bar; absent where it is not known.
ROWS = "x-poolgate-rows"
_TYPES: Mapping[Format, str] = {"csv": "text/csv; header=present", "jsonl": "application/x-ndjson"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_encoder = msgspec.json.Encoder()


async def answer(
    name: str, form: Format, columns: Sequence[str], pages: Pages, *, expected: int | None = None
) -> Stream:
    """The answer, once its first page is read: what fails by then is told as a problem. A failure after it breaks the
    connection off, so that a part is never taken for the whole."""
    first = await anext(pages, None) or []
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    if expected is not None:
        headers[ROWS] = str(expected)
    return Stream(_written(form, columns, first, pages), media_type=_TYPES[form], headers=headers)


async def _written(form: Format, columns: Sequence[str], first: Sequence[Row], rest: Pages) -> AsyncIterator[bytes]:
    write = _csv if form == "csv" else _jsonl
    head = _line(columns) if form == "csv" else b""
    yield head + write(columns, first)
    async for page in rest:
        yield write(columns, page)


def _jsonl(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    return _encoder.encode_lines([{name: row[name] for name in columns} for row in rows])


def _csv(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    return b"".join(_line([cell(row[name]) for name in columns]) for row in rows)


def _line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()


def cell(value: Any) -> str:
    """One value of CSV: nothing for null, JSON for what has members."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return msgspec.json.encode(value).decode()


async def viewed(pages: AsyncIterator[Sequence[Any]], view: Callable[[Any], Any]) -> Pages:
    """Each row as it is shown elsewhere."""
    async for page in pages:
        yield [msgspec.to_builtins(view(row)) for row in page]
