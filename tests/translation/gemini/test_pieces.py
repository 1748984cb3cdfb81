"""Arguments that come in pieces."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.gemini.pieces import Pieces
from tests.translation.generate import texts


def whole(*pieces: dict[str, Any]) -> dict[str, Any]:
    found = Pieces()
    for piece in pieces:
        found.add(piece)
    return found.whole()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], {}),
        ([{"jsonPath": "$.a", "stringValue": "x"}], {"a": "x"}),
        (
            [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}, {"jsonPath": "$.a", "stringValue": "x"}],
            {"a": "xx"},
        ),
        ([{"jsonPath": "$.a", "stringValue": ""}], {"a": ""}),
        ([{"jsonPath": "$.a", "numberValue": 3.0}, {"jsonPath": "$.b", "numberValue": 0.5}], {"a": 3, "b": 0.5}),
        (
            [{"jsonPath": "$.a", "boolValue": False}, {"jsonPath": "$.b", "nullValue": "NULL_VALUE"}],
            {"a": False, "b": None},
        ),
        (
            [{"jsonPath": "$.a[1].b", "numberValue": 1}, {"jsonPath": "$.a[0]", "boolValue": True}],
            {"a": [True, {"b": 1}]},
        ),
        ([{"jsonPath": '$[\'a.b\']["c\\"d"]', "numberValue": 1}], {"a.b": {'c"d': 1}}),
        # a path that cannot be followed is passed over
        (
            [
                {"jsonPath": "$..a", "numberValue": 1},
                {"jsonPath": "a", "numberValue": 1},
                {"jsonPath": "$", "stringValue": "x"},
            ],
            {},
        ),
        ([{"jsonPath": "$.a", "numberValue": 1}, {"jsonPath": "$.a.b", "numberValue": 1}], {"a": 1}),
        ([{"jsonPath": "$.a[0]", "numberValue": 1}, {"jsonPath": "$.a.b", "numberValue": 1}], {"a": [1]}),
        ([{"jsonPath": "$.a[99999]", "numberValue": 1}], {"a": []}),
        ([{"jsonPath": 7, "numberValue": 1}, {"stringValue": "x"}, {"jsonPath": "$.a"}], {}),
    ],
)
def test_an_object(pieces: list[dict[str, Any]], expected: dict[str, Any]):
    assert whole(*pieces) == expected


def test_a_text_of_many_pieces_takes_no_longer_than_its_length():
    found = Pieces()
    for _ in range(200_000):
        found.add({"jsonPath": "$.text", "stringValue": "some text ", "willContinue": True})
    assert len(found.whole()["text"]) == 2_000_000


names = st.from_regex(r"[a-z_]{1,4}", fullmatch=True)
values = st.recursive(
    texts | st.booleans() | st.integers(-9, 9) | st.none(),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1, max_size=3),
)


@given(st.dictionaries(names, values, max_size=4))
def test_an_object_in_pieces_is_that_object(value: dict[str, Any]):
    assert whole(*leaves(value, "$")) == value


def leaves(value: Any, path: str) -> list[dict[str, Any]]:
    match value:
        case dict():
            return [leaf for name, each in value.items() for leaf in leaves(each, f"{path}.{name}")]
        case list():
            return [leaf for index, each in enumerate(value) for leaf in leaves(each, f"{path}[{index}]")]
        case bool():
            return [{"jsonPath": path, "boolValue": value}]
        case str():
            return [{"jsonPath": path, "stringValue": part, "willContinue": True} for part in [*value, ""]]
        case None:
            return [{"jsonPath": path, "nullValue": "NULL_VALUE"}]
        case _:
            return [{"jsonPath": path, "numberValue": float(value)}]
