"""Tools and the choice among them."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_responses import tools
from gateway.translation.openai_responses.losses import FROM_CLIENTS
from gateway.translation.openai_responses.tools import Offer, read_choice
from gateway.translation.prompt import Choice, Tool

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
CUSTOM = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}, "description": "d"}
SPACE = {"type": "namespace", "name": "mcp__x", "description": "", "tools": [FUNCTION, CUSTOM]}


def offer(*given) -> Offer:
    found = Offer()
    found.read(list(given), "tools")
    return found


BOTH = [
    (FUNCTION, [Tool("f", "d", SCHEMA, True)]),
    (CUSTOM, [Tool("apply_patch", "d", custom=True)]),
    (SPACE, [Tool("mcp__x_-_f", "d", SCHEMA, True), Tool("mcp__x_-_apply_patch", "d", custom=True)]),
    ({**FUNCTION, "name": "a_-_b"}, [Tool("_-_a_-_b", "d", SCHEMA, True)]),
]


@pytest.mark.parametrize(("said", "found"), BOTH)
def test_there_and_back(said, found):
    assert offer(said).tools == found
    assert tools.write(tuple(found), strict=False) == [said]


def test_what_a_function_does_not_say():
    assert offer({"type": "function", "name": "f"}).tools == [Tool("f")]
    none = {"type": "object", "properties": {}}
    for strict in (True, False):
        said = {"type": "function", "name": "f", "description": None, "parameters": none, "strict": strict}
        assert tools.write((Tool("f"),), strict=strict) == [said]


@pytest.mark.parametrize(("description", "before"), [("d", "d\n\n"), (None, "")])
def test_a_grammar_is_told_to_the_model(description, before):
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: X"}
    found = offer({"type": "custom", "name": "p", "description": description, "format": grammar}).tools
    assert found == [Tool("p", before + "The input must match this grammar (lark):\nstart: X", custom=True)]


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview_2025_03_11", "image_generation", "tool_search"])
def test_what_the_model_can_do_without_is_dropped(kind):
    found = offer({"type": kind}, FUNCTION)
    assert len(found.tools) == 1
    assert found.dropped < {row.name for row in FROM_CLIENTS if row.fate == "dropped"}


KINDS = (
    "file_search",
    "code_interpreter",
    "mcp",
    "computer_use_preview",
    "local_shell",
    "shell",
    "apply_patch",
    None,
    1,
)
REFUSED = [
    *(({"type": kind}, "tools[1].type") for kind in KINDS),
    ("f", "tools[1]"),
    ({"type": "function"}, "tools[1].name"),
    ({**FUNCTION, "parameters": []}, "tools[1].parameters"),
    ({**FUNCTION, "strict": "yes"}, "tools[1].strict"),
    ({**FUNCTION, "description": 1}, "tools[1].description"),
    ({**CUSTOM, "format": {"type": "grammar", "syntax": "lark"}}, "tools[1].format.definition"),
    ({**SPACE, "name": "a_-_b"}, "tools[1].name"),
    ({**SPACE, "name": ""}, "tools[1].name"),
    ({**SPACE, "tools": [FUNCTION, {"type": "web"}]}, "tools[1].tools[1].type"),
    ({**SPACE, "tools": [SPACE]}, "tools[1].tools[0].type"),
]


@pytest.mark.parametrize(("tool", "field"), REFUSED)
def test_what_is_refused_names_its_path(tool, field):
    with pytest.raises(InvalidBody) as refused:
        offer(FUNCTION, tool)
    assert refused.value.field == field


CHOICES = [
    (None, Choice()),
    ("auto", Choice("auto")),
    ("none", Choice("none")),
    ("required", Choice("required")),
    ({"type": "function", "name": "f"}, Choice("one", "f")),
    ({"type": "function", "name": "f", "namespace": "mcp__x"}, Choice("one", "mcp__x_-_f")),
    ({"type": "custom", "name": "apply_patch"}, Choice("one", "apply_patch")),
]


@pytest.mark.parametrize("parallel", [None, True, False])
@pytest.mark.parametrize(("said", "choice"), CHOICES)
def test_choices(said, choice, parallel):
    found = offer(FUNCTION, CUSTOM, SPACE)
    assert read_choice(said, parallel, found) == Choice(choice.mode, choice.name, parallel)
    assert tools.write_choice(choice, tuple(found.tools)) == said


@pytest.mark.parametrize(("mode", "ours"), [("auto", "auto"), ("required", "required"), (None, "auto")])
def test_tools_that_are_not_allowed_are_not_offered(mode, ours):
    found = offer(FUNCTION, CUSTOM, {**FUNCTION, "name": "g"})
    allowed = [{"type": "function", "name": "g"}, {"type": "web_search"}]
    assert read_choice({"type": "allowed_tools", "mode": mode, "tools": allowed}, None, found) == Choice(ours)
    assert [tool.name for tool in found.tools] == ["g"]


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ("any", "tool_choice"),
        ([], "tool_choice"),
        ({"type": "web_search"}, "tool_choice.type"),
        ({}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "tool_choice"),
        ({"type": "allowed_tools", "tools": [{"type": "function"}]}, "tool_choice.tools[0].name"),
    ],
)
def test_choices_that_are_refused(choice, field):
    with pytest.raises(InvalidBody) as refused:
        read_choice(choice, None, offer(FUNCTION))
    assert refused.value.field == field


def test_a_search_cannot_be_required():
    with pytest.raises(InvalidBody) as refused:
        read_choice("required", None, offer({"type": "web_search"}))
    assert refused.value.field == "tool_choice"
