"""One call, however it is written."""

import json

import pytest

from gateway.translation.compat.draft import LONGEST, Draft
from gateway.translation.compat.schema import Schema
from gateway.translation.prompt import Tool

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["a"],
}
TOOLS = {tool.name: Schema(tool) for tool in (Tool("f", schema=SCHEMA), Tool("free", custom=True), Tool("open"))}
F = '<pg:call name="f">'
A, B = '<pg:arg name="a">', '<pg:arg name="b">'
END = "</pg:arg></pg:call>"


def drafted(pieces):
    """(how the draft ends, or None; whether it is broken)."""
    draft, over = Draft(TOOLS), None
    for piece in pieces:
        if over is None and not draft.broken:
            over = draft.feed(piece)
    return draft, over


def outcome(pieces, last=False):
    draft, over = drafted(pieces)
    if over is None and last and not draft.broken:
        over = draft.finish()
    if over is None:
        return "broken" if draft.broken else "open"
    found = over.found
    return (draft.source[: over.end], found and (found.arguments if found.custom else json.loads(found.arguments)))


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (F + A + "x" + END, {"a": "x"}),
        (F + f"\n  {A}x</pg:arg>\n  <pg:arg name='n'>5</pg:arg >\n</pg:call >", {"a": "x", "n": 5}),
        ("<pg:call\n name = 'f' id=7><pg:arg type=string name=a>x" + END, {"a": "x"}),
        (F + A + " x\n" + END, {"a": " x\n"}),
        (F + A + "&lt;x&gt; &amp;amp;" + END, {"a": "<x> &amp;"}),
        (F + A + "<![CDATA[</pg:arg></pg:call> &amp;]]>" + END, {"a": "</pg:arg></pg:call> &amp;"}),
        (F + A + "&lt;/pg:arg&gt;&lt;/pg:call&gt;" + END, {"a": "</pg:arg></pg:call>"}),
        (F + A + "x</pg:arg> y" + END, {"a": "x</pg:arg> y"}),
        (F + A + "x</pg:arg> y</pg:arg>" + B + "z" + END, {"a": "x</pg:arg> y", "b": "z"}),
        (F + A + "x</pg:arg></pg:arg></pg:call>", {"a": "x</pg:arg>"}),
        (F + A + "x</pg:call> y" + END, {"a": "x</pg:call> y"}),
        (F + A + "x</pg:call> y</pg:call> z" + END, {"a": "x</pg:call> y</pg:call> z"}),
        (F + A + "<b>x</b> <a href='y'>" + END, {"a": "<b>x</b> <a href='y'>"}),
        (F + A + 'see <pg:arg name="ARG">V</pg:arg> there' + END, {"a": 'see <pg:arg name="ARG">V</pg:arg> there'}),
        (F + A + 'see <pg:arg name="a">V</pg:arg>' + END, {"a": 'see <pg:arg name="a">V</pg:arg>'}),
        (F + A + "see " + F + B + "V" + END + " there" + END, {"a": "see " + F + B + "V" + END + " there"}),
        (F + A + "see " + F + F + "</pg:call></pg:call>" + END, {"a": "see " + F + F + "</pg:call></pg:call>"}),
        (F + A + 'see <pg:call name="x"/>' + END, {"a": 'see <pg:call name="x"/>'}),
        (F + A + "x" + B + "y" + END, {"a": "x", "b": "y"}),
        (F + '<pg:arg name="a"/>' + B + "y" + END, {"a": "", "b": "y"}),
        (F + "<pg:arg name='n' value='5'/></pg:call>", {"n": 5}),
        (F + '<pg:arg name="other">5' + END, {"other": 5}),
        (F + '<pg:arg name="">5' + END, {"": 5}),
        (F + "</pg:call>", {}),
        ('<pg:call name="f"/>', {}),
        ('<pg:call name="free"><pg:arg name="input">*** 5 &amp;' + END, "*** 5 &"),
        ('<pg:call name="free"/>', ""),
        ('<pg:call name="open"><pg:arg name="x">{"y":[1]}' + END, {"x": {"y": [1]}}),
    ],
)
def test_calls(source, arguments):
    assert outcome([source + " after"]) == (source, arguments)
    assert outcome(source + " after") == (source, arguments)
    for end in range(1, len(source)):
        assert outcome([source[:end]]) == "open"


@pytest.mark.parametrize(
    ("source", "more", "arguments"),
    [
        (F + A + "x</pg:arg>\n", F, {"a": "x"}),
        (F + A + "x</pg:call>", " and " + F, {"a": "x"}),
        (F + '<pg:arg name="n">5</pg:arg>', F, None),
        (F, F, None),
        (F + A + "x</pg:arg> and ", F, None),
        (F + A + "x</pg:arg> and </pg:call>", " so " + F, None),
        (F + A + '<pg:arg name="z">x</pg:call>', F, None),
        ('<pg:call name="free"><pg:arg name="text">x' + END, "", None),
        ('<pg:call name="free"><pg:arg name="input">x</pg:arg><pg:arg name="more">x' + END, "", None),
        ('<pg:call name="none"/>', " x", None),
    ],
)
def test_what_ends_before_its_closing_tag_or_is_none(source, more, arguments):
    assert outcome([source + more]) == (source, arguments)
    assert outcome(source + more) == (source, arguments)


@pytest.mark.parametrize(
    "source",
    [
        F + "so",
        F + " </pg:arg>",
        F + "<![CDATA[",
        F + A + "x</pg:arg> y " + B,
        F + A + "x</pg:call> y " + B,
        F + A + '<pg:arg name="z"> y ' + B,
        F + A + "x</pg:arg>" + A,
        F + "<pg:arg>",
        F + "<pg:arg a>",
        F + "<pg:arg a/>",
        '<pg:call name="none">',
        '<pg:call name="F">',
        "<pg:call>",
        "<pg:call f>",
        '<pg:call name="f" <b>',
        "<pg:call " + "x" * 5000,
        F + A + "x" * LONGEST,
    ],
)
def test_broken_ones(source):
    assert outcome([source[:LONGEST]]) == "broken"
    if len(source) < LONGEST:
        assert outcome(source) == "broken"


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (F + A + "x", {"a": "x"}),
        (F + A + "x <", {"a": "x <"}),
        (F + A + "x </pg", {"a": "x "}),
        (F + A + "x</pg:arg", {"a": "x"}),
        (F + A + "x</pg:arg>", {"a": "x"}),
        (F + A + "x</pg:arg>\n", {"a": "x"}),
        (F + A + "x</pg:arg></pg:ca", {"a": "x"}),
        (F + A + "x</pg:arg> </pg:call ", {"a": "x"}),
        (F + A + "x</pg:call>", {"a": "x"}),
        (F + A + "x</pg:arg><pg:arg name='n'>5", {"a": "x", "n": 5}),
        ('<pg:call name="open">', {}),
        (F, None),
        (F + "<", None),
        (F[:-1], None),
        (F + '<pg:arg name="n">5', None),
        (F + A + "x <pg:arg na", None),
        (F + A + "x</pg:arg><pg:arg na", None),
        (F + A + "x</pg:arg> y", None),
        (F + A + "x</pg:arg> y </pg:call>", None),
        (F + A + "x " + F, None),
        (F + A + "x " + F + "</pg:call>", None),
        (F + A + '<pg:arg name="z">', None),
        (F + A + "<![CDATA[x" + END, None),
        (F + A + "x<![CD", None),
    ],
)
def test_the_text_ends_within_one(source, arguments):
    assert outcome([source], last=True) == (source, arguments)
    assert outcome(source, last=True) == (source, arguments)


def test_what_follows_a_call_whose_argument_is_open_is_not_its_own():
    assert outcome([F + A + "x</pg:call> after </pg:call>"], last=True) == (F + A + "x</pg:call>", {"a": "x"})


def test_it_takes_no_more_than_there_is_room_for():
    draft = Draft(TOOLS)
    assert draft.room == LONGEST
    source = F + A + "x" * (LONGEST - len(F + A + END)) + END
    assert draft.feed(source).end == LONGEST
    assert draft.room == 0
    assert not draft.broken
