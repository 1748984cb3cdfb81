"""Pieces of encrypted reasoning: found in requests and answers, and cut out with every other byte kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import reasoning
from gateway.protocols.codec import InvalidBody

ONE, TWO = "gAAAAAB-one_1==", "gAAAAAB+two/2=="


def piece(text, **more):
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text, **more}


def told(*texts):
    known: dict[str, None] = {}
    reasoning.collect(known, json.dumps({"output": [piece(text) for text in texts]}).encode())
    return list(known)


MESSAGE = {"type": "message", "role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (json.dumps({"model": "m", "input": [MESSAGE, piece(ONE), MESSAGE, piece(TWO)]}).encode(), TWO),
        (json.dumps({"model": "m", "input": [piece(ONE), MESSAGE, piece(None)]}).encode(), ONE),
        (json.dumps({"model": "m", "input": [piece(ONE), piece("")]}).encode(), ONE),
        (json.dumps({"model": "m", "input": [MESSAGE], "include": ["reasoning.encrypted_content"]}).encode(), None),
        (json.dumps({"input": [{"content": json.dumps(piece(ONE))}]}).encode(), None),
        (json.dumps({"input": [piece(ONE)], "tools": [{"required": ["encrypted_content"]}]}).encode(), ONE),
        (json.dumps({"input": [piece(ONE)], "tools": [{"encrypted_content": {"type": "string"}}]}).encode(), ONE),
        (b'{"input":[{"encrypted_content" :\n "gAAAAAB\\u002btwo\\/2=="}]}', TWO),
        (b"", None),
    ],
)
def test_a_request_is_known_by_its_last_piece(body, expected):
    assert reasoning.last(body) == (told(expected)[0] if expected else None)


def test_an_answers_pieces_are_known_once_and_no_more_than_enough():
    assert len(set(told(ONE, TWO, ONE))) == 2
    many = told(*(f"piece-{n}" for n in range(reasoning.MOST + 10)))
    assert many == told(*(f"piece-{n}" for n in range(10, reasoning.MOST + 10)))
    assert told("same\\x") == told("same\\x")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"input": [ A , P, B ],"x" : 1}', b'{"input": [ A , B ],"x" : 1}'),
        (b'{"input":[P,A,P,P,B,P , P ] }', b'{"input":[A,B ] }'),
        (b'{"input":[A,P]}', b'{"input":[A]}'),
        (b'{"input":[ P , P ]}', b'{"input":[  ]}'),
        (b'{"input":[P]}', b'{"input":[]}'),
        (b'{"input":[A,N]}', b'{"input":[A,N]}'),
        (b'{"input":"P"}', b'{"input":"P"}'),
        (b'{"model":"m"}', b'{"model":"m"}'),
        (b'{"input":[A,P,S]}', b'{"input":[A,S]}'),
    ],
)
def test_they_are_cut_out_with_every_other_byte_kept(before, after):
    stands_for = {
        b"A": b'{"role":"user", "content":"\xc3\xa9 , [ \\"encrypted_content\\":\\"x\\""}',
        b"B": b'"text"',
        b"N": b'{"encrypted_content": null}',
        b"P": b'{ "encrypted_content" : "gAAA" , "type":"reasoning"}',
        b"S": b'{"content":"\\ud83d cut"}',
    }
    if b'"P"' in before:
        assert reasoning.without(before) == after
        return
    for letter, text in stands_for.items():
        before, after = before.replace(letter, b"<" + letter + b">"), after.replace(letter, b"<" + letter + b">")
        del text
    for letter, text in stands_for.items():
        before, after = before.replace(b"<" + letter + b">", text), after.replace(b"<" + letter + b">", text)
    assert reasoning.without(before) == after


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_item = st.one_of(_value, st.text(min_size=1).map(piece), st.just(piece(None)))


@given(
    st.lists(_item, max_size=8), st.sampled_from([None, 1]), st.dictionaries(st.text(max_size=8), _value, max_size=3)
)
def test_what_is_left_is_the_same_without_them(items, indent, more):
    def stays(item):
        return not (isinstance(item, dict) and isinstance(item.get("encrypted_content"), str) and item["id"])

    body = json.dumps({**more, "input": items}, indent=indent, ensure_ascii=bool(indent)).encode()
    expected = {**more, "input": [item for item in items if stays(item)]}
    assert json.loads(reasoning.without(body)) == expected


def test_a_body_that_is_none_is_refused():
    with pytest.raises(InvalidBody):
        reasoning.without(b"[1")
