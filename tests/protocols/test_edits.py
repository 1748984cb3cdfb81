"""Members and elements put and dropped in a body's bytes: tables, and agreement with a dict or a list that is drawn."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.codec import InvalidBody
from gateway.protocols.edits import edited, relisted
from gateway.protocols.spans import elements, splice


@pytest.mark.parametrize(
    ("body", "put", "drop", "expected"),
    [
        (b'{"a":1}', {}, (), b'{"a":1}'),
        (b'{"a":1}', {"a": b"2"}, (), b'{"a":2}'),
        (b'{ "a" : 1 , "b":2}', {"a": b'"x"'}, (), b'{ "a" : "x" , "b":2}'),
        (b'{"a":1}', {"b": b"2"}, (), b'{"b":2,"a":1}'),
        (b'{"a":1}', {"c": b"3", "b": b"2"}, (), b'{"c":3,"b":2,"a":1}'),
        (b'{"a":1}', {"a": b"0", "b": b"2"}, (), b'{"b":2,"a":0}'),
        (b"{}", {"b": b"2"}, (), b'{"b":2}'),
        (b" { } ", {"b": b"2", "c": b"3"}, (), b' {"b":2,"c":3 } '),
        (b'{"a":1}', {}, ("a",), b"{}"),
        (b'{"a":1}', {}, ("z",), b'{"a":1}'),
        (b'{"a":1}', {"b": b"2"}, ("a",), b'{"b":2}'),
        (b'{"a":1,"b":2,"c":3}', {}, ("a",), b'{"b":2,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {}, ("b",), b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {}, ("c",), b'{"a":1,"b":2}'),
        (b'{"a":1,"b":2,"c":3}', {}, ("a", "b"), b'{"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {}, ("b", "c"), b'{"a":1}'),
        (b'{"a":1,"b":2,"c":3}', {}, ("a", "c"), b'{"b":2}'),
        (b'{"a":1,"b":2,"c":3}', {"z": b"0"}, ("a", "b", "c"), b'{"z":0}'),
        (b'{"a":1,"b":2,"c":3}', {"b": b"5"}, ("a", "b"), b'{"b":5,"c":3}'),
        (b'{\n  "a": 1,\n  "b": [1, 2],\n  "c": {"a": 9}\n}', {}, ("b",), b'{\n  "a": 1,\n  "c": {"a": 9}\n}'),
        (b'{\n  "a": 1 ,\n  "c": 2\n}', {}, ("a",), b'{\n  \n  "c": 2\n}'),
        (b'{"\\u0061":1,"b":"a\\"b"}', {"a": b"2"}, ("b",), b'{"\\u0061":2}'),
        (b'{"q\\\\\\"":"\\"\\\\","b":"}"}', {}, ('q\\"',), b'{"b":"}"}'),
        (b'{"b":"}","q\\\\\\"":1}', {}, ('q\\"',), b'{"b":"}"}'),
        (b'{"x":1,"x":2,"a":3}', {}, ("a",), b'{"x":1,"x":2}'),
        (b'{"a":3,"x":1,"x":2}', {"n": b"0"}, ("a",), b'{"n":0,"x":1,"x":2}'),
        (b'{"t":"\\ud83d","a":1}', {"b": b"2"}, ("a",), b'{"b":2,"t":"\\ud83d"}'),
    ],
)
def test_members_are_put_and_dropped(
    body: bytes, put: dict[str, bytes], drop: tuple[str, ...], expected: bytes
) -> None:
    assert edited(body, put, drop) == expected


def test_a_body_that_nothing_changes_is_the_same_object() -> None:
    body = b'{"a":1}'
    assert edited(body, {}, ("b",)) is body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", None),
        (b"", None),
        (b'{"a":1', None),
        (b'{"a":1,}', None),
        (b'{"a":1,"a":2}', "a"),
        (b'{"b":1,"b":2,"a":0}', "b"),
        (b'{"A":1}', "A"),
    ],
)
def test_what_cannot_be_edited_is_refused(body: bytes, field: str | None) -> None:
    with pytest.raises(InvalidBody) as refused:
        edited(body, {"a": b"0"}, ("b",))
    assert refused.value.field == field


_names = st.sampled_from(["a", "b", "stream", 'q"', "back\\", '\\"', "é", "", "{", ","])
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(alphabet='a"\\,{}[]: é\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_blanks = st.text(alphabet=" \t\n\r", max_size=2)


@st.composite
def _texts(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """A JSON object and its text, with blanks and escapes where JSON allows them."""
    value = draw(st.dictionaries(_names, _values, max_size=6))
    pieces: list[str] = []
    for name, member in value.items():
        key = json.dumps(name, ensure_ascii=draw(st.booleans()))
        text = json.dumps(member, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
        pieces.append("".join((draw(_blanks), key, draw(_blanks), ":", draw(_blanks), text, draw(_blanks))))
    return f"{draw(_blanks)}{{{','.join(pieces) or draw(_blanks)}}}{draw(_blanks)}".encode(), value


@given(_texts(), st.dictionaries(_names, _values, max_size=3), st.sets(_names, max_size=4))
def test_it_is_what_a_dict_would_be(text: tuple[bytes, dict[str, Any]], put: dict[str, Any], drop: set[str]) -> None:
    body, value = text
    result = edited(body, {name: json.dumps(member).encode() for name, member in put.items()}, drop)
    kept = {name: member for name, member in value.items() if name not in drop or name in put}
    assert json.loads(result) == kept | put
    # the order of what was there, and what is new before it
    assert [name for name in json.loads(result) if name in value] == list(kept)
    assert list(json.loads(result))[: len(put.keys() - value.keys())] == [name for name in put if name not in value]


def test_it_is_linear() -> None:
    def seconds(size: int) -> float:
        body = b'{"' + b"\\\\" * size + b'":1,' + b" " * size + b'"a":"' + b'\\"' * size + b'","b":2}'
        taken: list[float] = []
        for _ in range(5):
            began = time.process_time()
            edited(body, {"c": b"1"}, ("a", "b", "\\" * size))
            taken.append(time.process_time() - began)
        return min(taken)

    assert seconds(400_000) < 40 * max(seconds(40_000), 0.001)


@pytest.mark.parametrize(
    ("body", "gone", "at", "expected"),
    [
        (b"[1 , 2]", {0}, None, b"[2]"),
        (b"[ 1 , 2 ]", {1}, None, b"[ 1 ]"),
        (b"[1, 2 ,3]", {1}, None, b"[1, 3]"),
        (b"[1,2,3]", {1, 2}, None, b"[1]"),
        (b"[ 1,2 ]", {0, 1}, None, b"[  ]"),
        (b"[1, 2]", set[int](), 0, b"[0,1, 2]"),
        (b"[1, 2]", set[int](), 1, b"[1,0, 2]"),
        (b"[1, 2 ]", set[int](), 2, b"[1, 2,0 ]"),
        (b"[ ]", set[int](), 0, b"[0 ]"),
        (b"[1,2]", {1}, 2, b"[1,0]"),
        (b"[1,2]", {0}, 1, b"[0,2]"),
        (b"[1,2]", {0, 1}, 2, b"[0]"),
    ],
)
def test_elements_are_put_and_dropped(body: bytes, gone: set[int], at: int | None, expected: bytes) -> None:
    span = (0, len(body))
    put = None if at is None else b"0"
    assert splice(body, relisted(span, elements(body, span, ""), gone, put, at or 0)) == expected


@given(st.lists(_values, max_size=6), st.sets(st.integers(0, 5)), st.integers(0, 6), st.booleans(), _blanks)
def test_they_are_what_a_list_would_be(value: list[Any], gone: set[int], at: int, puts: bool, blank: str) -> None:
    body = f"[{','.join(f'{blank}{json.dumps(each)}{blank}' for each in value)}]".encode()
    span = (0, len(body))
    gone = {number for number in gone if number < len(value)}
    result = splice(body, relisted(span, elements(body, span, ""), gone, b'"new"' if puts else None, at))
    kept: list[list[Any]] = [[] if number in gone else [each] for number, each in enumerate(value)]
    kept.insert(at, ["new"] if puts else [])
    assert json.loads(result) == [each for some in kept for each in some]
