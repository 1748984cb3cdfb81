"""Which result is which call's."""

from typing import Any

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.gemini.members import Object
from gateway.translation.gemini.pairing import Pairing
from gateway.translation.prompt import Image, Result, Text


def ids(*history: tuple[str, str | None] | str) -> list[str]:
    """`("f", id)` calls, `("=f", id)` gives a result, `/` begins a user's turn."""
    pairing, found = Pairing(), []
    for each in history:
        if isinstance(each, str):
            pairing.answered()
            continue
        name, given = each[0].removeprefix("="), {} if each[1] is None else {"id": each[1]}
        if each[0].startswith("="):
            found.append(pairing.result(Object({"functionResponse": {"name": name, "response": {}, **given}})).call_id)
        else:
            found.append(pairing.call(Object({"functionCall": {"name": name, **given}}), None).id)
    return found


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        # by id, in any order
        ([("f", "a"), ("f", "b"), "/", ("=f", "b"), ("=f", "a")], ["a", "b", "b", "a"]),
        # by name, in the order of the calls
        ([("f", None), ("g", None), ("f", None), "/", ("=g", None), ("=f", None), ("=f", None)], [0, 1, 2, 1, 0, 2]),
        # an id on one side only
        ([("f", None), "/", ("=f", "x")], [0, 0]),
        ([("f", "a"), "/", ("=f", None)], ["a", "a"]),
        # turn by turn: what was not answered stays so
        ([("f", None), "/", ("f", None), "/", ("=f", None)], [0, 1, 1]),
        # calls of one answer may stand in two contents
        ([("f", None), ("f", None), "/", ("=f", None), "/", ("=f", None)], [0, 1, 0, 1]),
        # an id that is there already gives way
        ([("f", "a"), "/", ("=f", "a"), ("f", "a"), "/", ("=f", "a")], ["a", "a", 0, 0]),
        # a result of no call
        ([("=f", None), ("=f", "z")], [0, "z"]),
    ],
)
def test_ids(history: Any, expected: list[str | int]):
    assert ids(*history) == [f"call_gemini_{each}" if isinstance(each, int) else each for each in expected]


def test_the_same_history_has_the_same_ids_when_it_is_longer():
    history: list[Any] = [("f", None), "/", ("=f", None), ("g", None), "/", ("=g", None)]
    assert ids(*history)[:2] == ids(*history[:3])


@pytest.mark.parametrize(
    ("response", "text", "error"),
    [
        ({"output": "x"}, "x", False),
        ({"result": {"a": 1}}, '{"a":1}', False),
        ({"output": [1, "é"]}, '[1,"é"]', False),
        ({"a": 1, "output": "x"}, '{"a":1,"output":"x"}', False),
        ({"error": "no"}, "no", True),
        ({"error": {"code": 1}}, '{"code":1}', True),
        ({"error": "no", "output": "x"}, '{"error":"no","output":"x"}', False),
    ],
)
def test_what_a_result_says(response: dict[str, Any], text: str, error: bool):
    found = Pairing().result(Object({"functionResponse": {"id": "a", "name": "f", "response": response}}))
    assert found == Result("a", (Text(text),), "f", error)


def test_a_result_with_a_picture_and_no_text():
    parts = [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    found = Pairing().result(Object({"functionResponse": {"id": "a", "name": "f", "parts": parts}}))
    assert found.content == (Image("image/png", "AAAA"),)


def test_arguments_as_text():
    call = Pairing().call(Object({"function_call": {"name": "f", "args": {"a": [1, 0.5, None, "é"]}}}), None)
    assert call.arguments == '{"a":[1,0.5,null,"é"]}'


@pytest.mark.parametrize("part", [{"functionCall": {}}, {"functionCall": {"name": "f", "args": []}}])
def test_refused_by_name(part: dict[str, Any]):
    with pytest.raises(InvalidBody) as caught:
        Pairing().call(Object(part, "p"), None)
    assert (caught.value.field or "").startswith("p.functionCall.")
