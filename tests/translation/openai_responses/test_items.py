"""Items → turns."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_responses.items import Conversation
from gateway.translation.openai_responses.marks import Piece, encrypted
from gateway.translation.openai_responses.tools import Offer
from gateway.translation.prompt import Call, Image, Result, Sealed, Text, Thinking, Tool, Turn

USER = {"role": "user", "content": "hi"}
HI = Turn("user", (Text("hi"),))
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
SECOND = {"type": "function_call", "call_id": "c2", "name": "g", "namespace": "ns", "arguments": ""}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "1"}
GEMINI = Sealed("gemini", "sig")
MARK = encrypted(Piece(GEMINI, call="c1"))

TABLE = [
    ("text", "hi", [HI]),
    ("easy message", [USER], [HI]),
    ("typed message", [{"type": "message", **USER}], [HI]),
    ("null type", [{"type": None, **USER}], [HI]),
    ("two of the user", [USER, USER], [HI, HI]),
    (
        "parts",
        [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]}],
        [Turn("user", (Text("a"), Image(url="u")))],
    ),
    (
        "assistant's phases are one turn",
        [
            {"role": "assistant", "phase": "commentary", "content": "a"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
        ],
        [Turn("assistant", (Text("a"), Text("b")))],
    ),
    (
        "reasoning, words, calls, results, words",
        [
            USER,
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"},
            {"role": "assistant", "content": "wait"},
            CALL,
            SECOND,
            {**OUTPUT, "call_id": "c2", "output": ""},
            OUTPUT,
            {"role": "user", "content": "on"},
        ],
        [
            HI,
            Turn(
                "assistant",
                (
                    Thinking("", Sealed("openai", "gA", "rs_1")),
                    Text("wait"),
                    Call("c1", "f", '{"a":1}'),
                    Call("c2", "ns_-_g", "{}"),
                ),
            ),
            Turn("user", (Result("c2", (), "ns_-_g"), Result("c1", (Text("1"),), "f"), Text("on"))),
        ],
    ),
    (
        "results after the user's words are their own turn",
        [USER, OUTPUT],
        [HI, Turn("user", (Result("c1", (Text("1"),)),))],
    ),
    (
        "result with parts",
        [{**OUTPUT, "output": [{"type": "input_image", "image_url": "u"}, {"type": "input_text", "text": "a"}]}],
        [Turn("user", (Result("c1", (Image(url="u"), Text("a"))),))],
    ),
    (
        "custom tool",
        [
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        ],
        [
            Turn("assistant", (Call("c1", "apply_patch", "*** Begin", custom=True),)),
            Turn("user", (Result("c1", (Text("ok"),), "apply_patch", custom=True),)),
        ],
    ),
    (
        "a summary",
        [
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": t} for t in ("a", "", "b")],
                "content": None,
            }
        ],
        [Turn("assistant", (Thinking("a\n\nb"),))],
    ),
    (
        "what was thought is more than its summary",
        [{"type": "reasoning", "summary": [{"text": "s"}], "content": [{"type": "reasoning_text", "text": "t"}]}],
        [Turn("assistant", (Thinking("t"),))],
    ),
    (
        "another family's seal",
        [{"type": "reasoning", "summary": [], "encrypted_content": encrypted(Piece(Sealed("anthropic", "x"), True))}],
        [Turn("assistant", (Thinking("", Sealed("anthropic", "x"), redacted=True),))],
    ),
    (
        "what was sealed of a call stands behind it",
        [CALL, {"type": "reasoning", "summary": [], "encrypted_content": MARK}],
        [Turn("assistant", (Call("c1", "f", '{"a":1}', sealed=GEMINI),))],
    ),
    ("reasoning of nothing", [USER, {"type": "reasoning", "id": "rs_1", "summary": []}], [HI]),
    ("what a search found is in the text", [{"type": "web_search_call", "id": "ws_1"}, USER], [HI]),
    ("instructions in between", [USER, {"role": "developer", "content": "be"}], [HI, Turn("system", (Text("be"),))]),
]


def conversation(value) -> Conversation:
    found = Conversation(Offer())
    found.read(value)
    return found


@pytest.mark.parametrize(("value", "turns"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_turns(value, turns):
    assert list(conversation(value).turns) == turns


def test_instructions_before_all_messages_are_the_systems():
    said = [{"role": "developer", "content": "a"}, {"role": "system", "content": [{"type": "input_text", "text": "b"}]}]
    found = conversation([*said, USER, said[0]])
    assert found.system == [Text("a"), Text("b")]
    assert found.turns == (HI, Turn("system", (Text("a"),)))


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
def test_tools_that_were_loaded_on_the_way_are_offered(kind):
    offer = Offer()
    tools = [{"type": "function", "name": "f"}]
    Conversation(offer).read([{"type": kind, "role": "developer", "tools": tools}, USER])
    assert offer.tools == [Tool("f")]


HOSTED = (
    *("item_reference", "compaction", "local_shell_call", "local_shell_call_output", "shell_call", "apply_patch_call"),
    *("computer_call", "code_interpreter_call", "image_generation_call", "mcp_call", "mcp_approval_request", "program"),
)
REFUSED = [
    *(({"type": kind, "id": "x"}, "input[1].type") for kind in HOSTED),
    ({"id": "msg_1"}, "input[1].type"),
    ({"type": 1}, "input[1].type"),
    ("hi", "input[1]"),
    ({"role": "tool", "content": "x"}, "input[1].role"),
    ({"type": "message", "content": "x"}, "input[1].role"),
    ({"role": "user", "content": 1}, "input[1].content"),
    ({"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "x"}]}, "input[1].content[1].type"),
    ({"role": "system", "content": [{"type": "input_image", "image_url": "u"}]}, "input[1].content"),
    ({"type": "function_call", "name": "f"}, "input[1].call_id"),
    ({"type": "function_call", "call_id": "c"}, "input[1].name"),
    ({**CALL, "arguments": {}}, "input[1].arguments"),
    ({**CALL, "namespace": 1}, "input[1].namespace"),
    ({"type": "custom_tool_call", "call_id": "c", "name": "f"}, "input[1].input"),
    ({"type": "function_call_output", "output": ""}, "input[1].call_id"),
    ({"type": "function_call_output", "call_id": "c"}, "input[1].output"),
    ({**OUTPUT, "output": {}}, "input[1].output"),
    ({"type": "reasoning", "summary": [], "encrypted_content": 1}, "input[1].encrypted_content"),
    ({"type": "additional_tools", "tools": [{"type": "function"}]}, "input[1].tools[0].name"),
]


@pytest.mark.parametrize(("item", "field"), REFUSED)
def test_what_is_refused_names_its_path(item, field):
    with pytest.raises(InvalidBody) as refused:
        conversation([USER, item])
    assert refused.value.field == field


@pytest.mark.parametrize("value", [None, 1, {}])
def test_input_is_a_text_or_an_array(value):
    with pytest.raises(InvalidBody) as refused:
        conversation(value)
    assert refused.value.field == "input"


def test_no_words_are_no_parts():
    assert conversation([{"role": "user", "content": None}]).turns == (Turn("user", ()),)
