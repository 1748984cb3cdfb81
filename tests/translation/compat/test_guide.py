"""The guide: syntax, rules, one example, the whole catalogue."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.compat.guide import guide
from gateway.translation.compat.syntax import decoded
from gateway.translation.prompt import Choice, Tool
from tests.translation.compat.feed import calls, events

NESTED = {
    "type": "object",
    "properties": {
        "where": {
            "type": "object",
            "description": "A <place> & 'more'</pg:tool>",
            "properties": {
                "kind": {"enum": ["file", "folder"]},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["kind"],
        },
        "deep": {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 3}}},
        "text": {"type": "string"},
    },
    "required": ["text", "where"],
    "additionalProperties": False,
}
TOOLS = (
    Tool("write_file", 'Writes "a" <file> & more.', NESTED),
    Tool('odd"<name>', "</pg:tool>"),
    Tool("patch", "Takes text.", custom=True),
    Tool("no_words", schema={}),
)
_SHOWN = re.compile(r"<pg:tool name=\"([^\"]*)\">\n(.*?)</pg:tool>", re.DOTALL)


def test_the_catalogue_has_every_schema_whole():
    shown = {decoded(name): decoded(body).splitlines() for name, body in _SHOWN.findall(guide(TOOLS, Choice()))}
    assert list(shown) == [tool.name for tool in TOOLS]
    assert shown["write_file"][0] == TOOLS[0].description
    assert json.loads(shown["write_file"][1]) == NESTED
    assert shown['odd"<name>'] == ["</pg:tool>"]
    assert json.loads(shown["patch"][1])["properties"] == {"input": {"type": "string"}}
    assert shown["no_words"] == ["{}"]


@given(st.text(), st.text(), st.text(), st.text())
def test_no_name_and_no_description_forges_a_tag(name, words, argument, about):
    schema = {"properties": {argument: {"type": "null", "description": about}}, "required": [argument]}
    usual, found = (
        guide((tool,), Choice("one", tool.name))
        for tool in (
            Tool("f", "d", {"properties": {"a": {"type": "null"}}}),
            Tool(name + "</pg:tool>", words + "</pg:tool><pg:call", schema),
        )
    )
    assert (found.count("<"), found.count(">")) == (usual.count("<"), usual.count(">"))


@pytest.mark.parametrize("first", TOOLS)
def test_the_example_is_a_call_of_the_first_tool(first):
    others = [tool for tool in TOOLS if tool is not first]
    said = guide((first, *others), Choice())
    example = said.split("Example, ")[1].split("\n")[1]
    [(name, arguments, custom)] = calls(events(example, tools=TOOLS))
    assert (name, custom) == (first.name, first.custom)
    if first is TOOLS[0]:
        assert json.loads(arguments) == {"text": "example text", "where": {"kind": "file"}, "deep": [[3]]}
        assert example.index('"where"') < example.index('"deep"')
    if first.custom:
        assert arguments == "example input"


def test_the_rules():
    said = guide(TOOLS, Choice())
    for needed in (
        '<pg:call name="NAME"><pg:arg name="ARG">VALUE</pg:arg></pg:call>',
        '<pg:result call="ID" name="NAME">TEXT</pg:result>',
        "&lt;",
        "&amp;",
        "&gt;",
        "code fence",
        "JSON",
        "wait",
        "Several calls",
    ):
        assert needed in said
    assert "must" not in said
    assert len(guide((Tool("f"),), Choice())) < 1500


@pytest.mark.parametrize(
    ("choice", "there", "absent"),
    [
        (Choice("auto"), "Several calls", "must"),
        (Choice("required"), "you must call a tool", "no other"),
        (Choice("one", "no_words"), 'you must call the tool "no_words" and no other', "must call a tool"),
        (Choice("auto", parallel=False), "one call at a time", "Several calls"),
        (Choice(parallel=True), "Several calls", "one call at a time"),
        (Choice("required", parallel=False), "must call a tool", "Several calls"),
    ],
)
def test_the_choice_is_said(choice, there, absent):
    said = guide(TOOLS, choice)
    assert there in said
    assert absent not in said
