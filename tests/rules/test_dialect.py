"""A draft: its members in their spellings, and what is written of it."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.rules.dialect import Draft, opened

BOTH = ("toolConfig", "tool_config")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"toolConfig":1}', "toolConfig"),
        (b'{"tool_config":1}', "tool_config"),
        (b'{"tool_config":null}', None),
        (b"{}", None),
    ],
)
def test_a_member_is_known_by_any_spelling(body: bytes, name: str | None):
    draft = Draft(body, BOTH)
    assert draft.given(BOTH) == name
    span = draft.span(BOTH)
    assert (span and body[slice(*span)]) == (None if name is None else b"1")


def test_two_spellings_of_one_are_refused():
    with pytest.raises(InvalidBody) as refused:
        Draft(b'{"tool_config":1,"toolConfig":2}', BOTH).given(BOTH)
    assert refused.value.field == "tool_config"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"x": 1}', b'{"toolConfig":0,"x": 1}'),
        (b'{"x": 1, "tool_config" : null}', b'{"x": 1, "tool_config" : 0}'),
        (b" { } ", b' {"toolConfig":0 } '),
    ],
)
def test_a_member_is_set_as_it_is_spelled(body: bytes, wanted: bytes):
    draft = Draft(body, BOTH)
    draft.set(BOTH, b"0")
    assert draft.written() == wanted


def test_all_of_it_is_written_at_once():
    body = b'{"a":[1],"b":2,"c":3}'
    draft = Draft(body, ())
    assert draft.written() is body
    draft.put["z"] = b"0"
    draft.drop.add("b")
    draft.edits.append((6, 7, b"9"))
    assert draft.written() == b'{"z":0,"a":[9],"c":3}'


def test_only_objects_open():
    body = b'{"a":{"b":1},"c":[]}'
    draft = Draft(body, ())
    found = opened(body, draft.found.spans["a"], {"b"}, "a")
    assert found is not None
    assert found.spans == {"b": (10, 11)}
    assert opened(body, draft.found.spans["c"], {"b"}, "c") is None
