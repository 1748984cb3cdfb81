"""Texts worded: strings that keep their bytes, lists of parts."""

import re

import msgspec
import pytest

from gateway.core.groups import PromptMode
from gateway.protocols.codec import InvalidBody
from gateway.protocols.spans import splice
from gateway.rules.wording import Form, Wording, replaced, text, worded
from tests.rules.cases import replacing

HEAD = re.compile(rb'"head')


@pytest.mark.parametrize(
    ("mode", "old", "wanted"),
    [
        ("append", b'"\\u0061\\/\\ud83d"', b'"\\u0061\\/\\ud83d\\n\\nT"'),
        ("prepend", b'"\\u0061"', b'"T\\n\\n\\u0061"'),
        ("replace", b'"a"', b'"T"'),
        ("off", b'"a"', b'"a"'),
        ("append", b'""', b'"T"'),
        ("prepend", b'""', b'"T"'),
        ("prepend", b'"head a"', b'"head a\\n\\nT"'),
        ("append", b'"head a"', b'"head a\\n\\nT"'),
        ("replace", b'"head a"', b'"T"'),
    ],
)
def test_a_string(mode: PromptMode, old: bytes, wanted: bytes):
    assert worded(old, Wording(mode, b'"T"'), HEAD) == wanted


@pytest.mark.parametrize(
    ("old", "pairs", "wanted"),
    [
        (b'"a.a"', {"a": "b"}, b'"b.b"'),
        (b'"ab"', {"a": "b", "b": "c"}, b'"cc"'),
        (b'"a.c"', {"a.": ""}, b'"c"'),
        (b'"\\n\\""', {'\n"': "\\1"}, b'"\\\\1"'),
        (b'"\\u00e9"', {"\xe9": "e"}, b'"e"'),
        (b'"\\u0078"', {"a": "b"}, b'"\\u0078"'),
        (b'"a\\ud83d"', {"a": "\U0001f600"}, b'"\\ud83d\\ude00\\ud83d"'),
        (b'"a"', {"": "x"}, b'"a"'),
        (b'"a"', {"a": "b", "b": "a"}, b'"a"'),
    ],
)
def test_replacements_are_literal_and_in_order(old: bytes, pairs: dict[str, str], wanted: bytes):
    assert replaced(old, Wording(replace=replacing(**pairs))) == wanted


def test_replacements_cannot_fill_the_memory():
    wording = Wording(replace=replacing(x="y" * 100_000, z=""))
    assert len(replaced(b'"%s"' % (b"x" * 150), wording)) == 15_000_002
    with pytest.raises(InvalidBody):
        replaced(b'"%s"' % (b"x" * 150), msgspec.structs.replace(wording, mode="off"))


PARTS = Form(kinds=frozenset({"text"}), opening=b'{"type":"text","text":', head=HEAD)
A, B, X = b'{"type":"text","text":"a"}', b'{"text":"b","type":"text","c":1}', b'{"type":"x","text":"a"}'
H, T = b'{"type":"text","text":"head"}', b'{"type":"text","text":"T"}'
E = b'{"type":"text","text":""}'


@pytest.mark.parametrize(
    ("mode", "old", "wanted"),
    [
        ("append", [A, X], [A, X, T]),
        ("prepend", [X, A, B], [X, T, A, B]),
        ("prepend", [H, A], [H, T, A]),
        ("prepend", [H], [H, T]),
        ("prepend", [X], [X, T]),
        ("append", [], [T]),
        ("replace", [A, X, B], [X, B.replace(b'"b"', b'"T"')]),
        ("replace", [A, H, X], [A.replace(b'"a"', b'"T"'), H, X]),
        ("replace", [H, X], [H, X, T]),
        ("replace", [E, X, E], [X, T]),
        ("append", [E], [E, T]),
        ("off", [A, X], [A, X]),
        ("append", [b'{"type":"text","text":5}', b"{}"], [b'{"type":"text","text":5}', b"{}", T]),
    ],
)  # fmt: skip
def test_a_list_of_parts(mode: PromptMode, old: list[bytes], wanted: list[bytes]):
    body = b"[" + b",".join(old) + b"]"
    edits = text(body, (0, len(body)), PARTS, Wording(mode, b'"T"'), "f")
    assert splice(body, edits) == b"[" + b",".join(wanted) + b"]"
    assert bool(edits) == (old != wanted)


@pytest.mark.parametrize(
    ("form", "body", "message"),
    [
        (PARTS, b"5", "f must be a string or an array of parts"),
        (Form(listed=False), b"[]", "f must be a string"),
        (Form(bare=False), b'"a"', "f must be an array of parts"),
        (PARTS, b"{}", "f must be a string or an array of parts"),
        (PARTS, b"[5]", "f must be a JSON object"),
    ],
)
def test_what_is_neither_is_refused(form: Form, body: bytes, message: str):
    with pytest.raises(InvalidBody) as refused:
        text(body, (0, len(body)), form, Wording("append", b'"T"'), "f")
    assert (refused.value.message, refused.value.field) == (message, "f")
