"""One row a feature: messages as clients send them, and the turns that they are."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.openai_chat.messages import history
from gateway.translation.prompt import Audio, Call, Document, Image, Result, Text, Thinking, Turn

USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


def assistant(**members):
    return [{"role": "assistant", **members}]


def function(call_id="c1", name="f", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


TURNS = [
    ("a string", [USER], [Turn("user", (Text("hi"),))]),
    ("no text", [{"role": "user", "content": ""}], [Turn("user", ())]),
    ("parts", user({"type": "text", "text": "a"}, {"type": "text", "text": ""}), [Turn("user", (Text("a"),))]),
    ("a mark", user({"type": "text", "text": "a", "cache_control": {"x": 1}}), [Turn("user", (Text("a", {"x": 1}),))]),
    (
        "images",
        user(
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
            {"type": "image_url", "image_url": "DATA:Image/PNG;charset=x;base64,iVBO\nRw=="},
        ),
        [
            Turn(
                "user",
                (
                    Image("image/png", "iVBORw0KGgo=", detail="low"),
                    Image(url="https://x.test/a.png"),
                    Image("image/png", "iVBORw=="),
                ),
            )
        ],
    ),
    (
        "sound",
        user(*({"type": "input_audio", "input_audio": {"data": "QQ==", "format": each}} for each in ("wav", "mp3"))),
        [Turn("user", (Audio("audio/wav", "QQ=="), Audio("audio/mpeg", "QQ==")))],
    ),
    (
        "files",
        user(
            {"type": "file", "file": {"file_data": "data:text/plain;base64,QQ==", "filename": "a.txt"}},
            {"type": "file", "file": {"file_data": "QQ==", "file_id": None}},
        ),
        [Turn("user", (Document("text/plain", "QQ==", name="a.txt"), Document("application/pdf", "QQ==", name=None)))],
    ),
    ("nothing said", assistant(content=None), [Turn("assistant", ())]),
    ("a refusal", assistant(content=None, refusal="no"), [Turn("assistant", (Text("no"),))]),
    (
        "parts of the assistant",
        assistant(content=[{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]),
        [Turn("assistant", (Text("a"), Text("b")))],
    ),
    (
        "thinking, text and a call",
        assistant(content="a", reasoning_content="t", tool_calls=[function(arguments="")]),
        [Turn("assistant", (Thinking("t"), Text("a"), Call("c1", "f", "{}")))],
    ),
    (
        "thinking as OpenRouter has it",
        assistant(content="a", reasoning="t"),
        [Turn("assistant", (Thinking("t"), Text("a")))],
    ),
    (
        "broken arguments are text",
        assistant(tool_calls=[function(arguments="{'a': it's")]),
        [Turn("assistant", (Call("c1", "f", "{'a': it's"),))],
    ),
    (
        "a free-form call and its result",
        [
            *assistant(tool_calls=[{"id": "c1", "type": "custom", "custom": {"name": "f", "input": "x <y>"}}]),
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ],
        [
            Turn("assistant", (Call("c1", "f", "x <y>", custom=True),)),
            Turn("user", (Result("c1", (Text("ok"),), "f", custom=True),)),
        ],
    ),
    (
        "results of one turn are one turn; the tool's name is in the history",
        [
            *assistant(tool_calls=[function("c1", "f"), function("c2", "g")]),
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "b"}]},
            {"role": "tool", "tool_call_id": "c1", "content": ""},
            {"role": "tool", "tool_call_id": "c9", "name": "h", "content": "z"},
            USER,
        ],
        [
            Turn("assistant", (Call("c1", "f"), Call("c2", "g"))),
            Turn("user", (Result("c2", (Text("b"),), "g"), Result("c1", (), "f"), Result("c9", (Text("z"),), "h"))),
            Turn("user", (Text("hi"),)),
        ],
    ),
    (
        "the deprecated function",
        [
            *assistant(content=None, function_call={"name": "f", "arguments": "{}"}),
            {"role": "function", "name": "f", "content": "1"},
            *assistant(content=None, function_call={"name": "f", "arguments": ""}),
            {"role": "function", "name": "f", "content": "2"},
        ],
        [
            Turn("assistant", (Call("call_0", "f"),)),
            Turn("user", (Result("call_0", (Text("1"),), "f"),)),
            Turn("assistant", (Call("call_2", "f"),)),
            Turn("user", (Result("call_2", (Text("2"),), "f"),)),
        ],
    ),
]


@pytest.mark.parametrize(("messages", "turns"), [row[1:] for row in TURNS], ids=[row[0] for row in TURNS])
def test_turns(messages, turns):
    found = history(messages)
    assert found.turns == tuple(turns)
    assert found.system == ()
    assert found.named is False


def test_instructions_before_all_else_are_the_systems_and_later_ones_keep_their_place():
    found = history(
        [
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
            USER,
            {"role": "system", "content": "d"},
        ]
    )
    assert found.system == (Text("a"), Text("b"), Text("c"))
    assert found.turns == (Turn("user", (Text("hi"),)), Turn("system", (Text("d"),)))


def test_a_speakers_name_is_noticed():
    assert history([USER | {"name": "Ann"}]).named
    assert not history([USER | {"name": None}]).named


WRONG = [
    ("messages[0]", ["hi"]),
    ("messages[0].role", [{"content": "hi"}]),
    ("messages[0].role", [{"role": "robot", "content": "hi"}]),
    ("messages[1].content", [USER, {"role": "user", "content": 1}]),
    ("messages[0].content[1]", user({"type": "text", "text": "a"}, "b")),
    ("messages[0].content[0].type", user({"text": "a"})),
    ("messages[0].content[0].type", user({"type": "video_url", "video_url": {"url": "x"}})),
    ("messages[0].content[0].text", user({"type": "text"})),
    ("messages[0].content[0].image_url", user({"type": "image_url"})),
    ("messages[0].content[0].image_url.url", user({"type": "image_url", "image_url": {"url": ""}})),
    ("messages[0].content[0].image_url.url", user({"type": "image_url", "image_url": {"url": "data:image/png,x"}})),
    ("messages[0].content[0].image_url.url", user({"type": "image_url", "image_url": {"url": "data:;base64,x"}})),
    ("messages[0].content[0].input_audio.format", user({"type": "input_audio", "input_audio": {"data": "QQ=="}})),
    ("messages[0].content[0].file.file_data", user({"type": "file", "file": {}})),
    ("messages[0].content[0].file.file_id", user({"type": "file", "file": {"file_id": "file-1"}})),
    ("messages[0].content[0].type", [{"role": "system", "content": [{"type": "image_url", "image_url": PNG}]}]),
    ("messages[0].audio", assistant(audio={"id": "a"})),
    ("messages[0].tool_calls[0]", assistant(tool_calls=["f"])),
    ("messages[0].tool_calls[0].id", assistant(tool_calls=[function(call_id="")])),
    ("messages[0].tool_calls[0].type", assistant(tool_calls=[{"id": "c", "type": "shell"}])),
    ("messages[0].tool_calls[0].function", assistant(tool_calls=[{"id": "c", "type": "function"}])),
    ("messages[0].tool_calls[0].function.name", assistant(tool_calls=[function(name="")])),
    ("messages[0].tool_calls[0].function.arguments", assistant(tool_calls=[function(arguments={"a": 1})])),
    (
        "messages[0].tool_calls[0].custom.input",
        assistant(tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "f"}}]),
    ),
    ("messages[0].function_call.arguments", assistant(function_call={"name": "f"})),
    ("messages[0].reasoning_content", assistant(reasoning_content=[])),
    ("messages[0].tool_call_id", [{"role": "tool", "content": "x"}]),
    (
        "messages[0].content[0].type",
        [
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [{"type": "input_audio", "input_audio": {"data": "Q", "format": "wav"}}],
            }
        ],
    ),
    ("messages[0].name", [{"role": "function", "name": "f", "content": "x"}]),
]


@pytest.mark.parametrize(("field", "messages"), WRONG)
def test_what_is_wrong_is_named(field, messages):
    with pytest.raises(InvalidBody) as caught:
        history(messages)
    assert caught.value.field == field
    assert field in caught.value.message
