"""Rows as lines: exact in JSON, quoted and harmless in CSV, by pages."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from admin.export import ROWS, Format, answer, cell

NASTY: list[Any] = [
    "plain", 'a "quoted", one', "two\r\nlines", "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "é 中", "", None, True, 0,
    -5, {"a": [1]}, [],
]  # fmt: skip


async def paged(*pages: Sequence[Mapping[str, Any]]) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    for page in pages:
        yield page


async def content(form: Format, *pages: Sequence[Mapping[str, Any]]) -> bytes:
    made = await answer("things", form, ["a", "b"], paged(*pages), expected=3)
    assert made.headers[ROWS] == "3" and made.headers["content-disposition"] == f'attachment; filename="things.{form}"'
    iterator: Any = made.iterator
    return b"".join([piece async for piece in iterator])


@pytest.mark.parametrize("value", NASTY)
async def test_csv_is_read_back(value: Any):
    data = (await content("csv", [{"a": value, "b": 1}], [{"b": 2, "a": "x"}])).decode()
    assert data.endswith("\r\n")
    head, first, second = csv.reader(io.StringIO(data, newline=""))
    assert (head, second) == (["a", "b"], ["x", "2"])
    assert first == [cell(value), "1"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""), ("", ""), (True, "true"), (0, "0"), (-5, "-5"), ({"a": [1]}, '{"a":[1]}'), ("=1+1", "'=1+1"),
        ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\ta", "'\ta"), ("\ra", "'\ra"), ("a=1", "a=1"), ("'a", "'a"),
    ],
)  # fmt: skip
def test_a_cell_is_no_formula(value: Any, written: str):
    assert cell(value) == written


async def test_json_lines_are_exact():
    rows = [{"a": value, "b": n} for n, value in enumerate(NASTY)]
    data = await content("jsonl", rows[:5], rows[5:])
    assert [msgspec.json.decode(line) for line in data.splitlines()] == rows
    assert await content("jsonl") == b""


async def test_nothing_is_a_heading_alone():
    assert await content("csv") == b"a,b\r\n"
    made = await answer("things", "csv", ["a"], paged())
    assert ROWS not in made.headers


async def test_what_fails_at_once_is_told_and_later_breaks_off():
    async def failing(*pages: Sequence[Mapping[str, Any]]) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        for page in pages:
            yield page
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await answer("things", "csv", ["a"], failing())
    made = await answer("things", "csv", ["a"], failing([{"a": 1}]))
    iterator: Any = made.iterator
    assert await anext(iterator) == b"a\r\n1\r\n"
    with pytest.raises(TimeoutError):
        await anext(iterator)
