"""Requests of Ollama's clients, one row a feature; the client's own types write what it sends."""

import json
from base64 import b64encode

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.codec import InvalidBody
from gateway.protocols.ollama import ENDPOINTS
from gateway.translation.ollama import SPEECH, unloads
from gateway.translation.prompt import (
    Call,
    Format,
    Image,
    Prompt,
    Reasoning,
    Result,
    Text,
    Thinking,
    Tool,
    Turn,
)

BY_ACTION = {endpoint.action: endpoint for endpoint in ENDPOINTS}
PNG = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9)).decode()
JPEG = b64encode(b"\xff\xd8\xff\xe0" + bytes(9)).decode()
GIF = b64encode(b"GIF89a" + bytes(9)).decode()
WEBP = b64encode(b"RIFF\x00\x00\x00\x00WEBPVP8 ").decode()
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
HI = {"role": "user", "content": "hi"}


def parse(action: str = "chat", **members: object) -> Prompt:
    return SPEECH.parse(json.dumps({"model": "m", **members}).encode(), BY_ACTION[action])


def user(*parts) -> Turn:
    return Turn("user", parts)


def call(name: str, given_id: str | None = None, **arguments: object) -> dict[str, object]:
    return {**({"id": given_id} if given_id else {}), "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, Prompt("m", (user(Text("hi")),), stream=True)),
        ({"stream": True}, Prompt("m", (user(Text("hi")),), stream=True)),
        ({"stream": False}, Prompt("m", (user(Text("hi")),))),
        ({"stream": None, "tools": [], "options": {}}, Prompt("m", (user(Text("hi")),), stream=True)),
        ({"unknown": 1, "keep_alive": None}, Prompt("m", (user(Text("hi")),), stream=True)),
    ],
)
def test_the_whole_prompt(members, expected):
    assert parse(messages=[HI], **members) == expected


@pytest.mark.parametrize(
    ("members", "name", "expected"),
    [
        ({"options": {"num_predict": 7}}, "max_tokens", 7),
        ({"options": {"num_predict": 7.0}}, "max_tokens", 7),
        ({"options": {"num_predict": 0}}, "max_tokens", 0),
        ({"options": {"num_predict": -1}}, "max_tokens", None),
        ({"options": {"temperature": 0}}, "temperature", 0.0),
        ({"options": {"temperature": 1.9}}, "temperature", 1.9),
        ({"options": {"top_p": 0.5}}, "top_p", 0.5),
        ({"options": {"top_k": 0}}, "top_k", 0),
        ({"options": {"seed": 0}}, "seed", 0),
        ({"options": {"stop": ["a", "b"]}}, "stop", ("a", "b")),
        ({"options": {"stop": "a"}}, "stop", ("a",)),
        ({"options": {"presence_penalty": -1}}, "presence_penalty", -1.0),
        ({"options": {"frequency_penalty": 0}}, "frequency_penalty", 0.0),
        ({"format": "json"}, "format", Format("json")),
        ({"format": ""}, "format", None),
        ({"format": SCHEMA}, "format", Format("schema", SCHEMA)),
        ({"think": True}, "reasoning", Reasoning(enabled=True, shown=True)),
        ({"think": False}, "reasoning", Reasoning(enabled=False)),
        ({"think": None}, "reasoning", Reasoning()),
        ({"think": "low"}, "reasoning", Reasoning(enabled=True, effort="low", shown=True)),
        ({"think": "max"}, "reasoning", Reasoning(enabled=True, effort="xhigh", shown=True)),
        ({"logprobs": True}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs", 3),
        ({"logprobs": False, "top_logprobs": 3}, "logprobs", None),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}]},
            "tools",
            (Tool("f", "d", SCHEMA),),
        ),
        ({"tools": [{"function": {"name": "f"}}]}, "tools", (Tool("f"),)),
        (
            {"keep_alive": "5m", "truncate": False, "shift": True, "options": {"num_ctx": 1, "min_p": 0, "new": 1}},
            "dropped",
            ("keep_alive", "shift", "truncate", "options.num_ctx", "options.min_p"),
        ),
    ],
)
@pytest.mark.parametrize("action", ["chat", "generate"])
def test_members(members, name, expected, action):
    if "tools" in members and action == "generate":
        expected = ()
    found = parse(action, messages=[HI], prompt="hi", **members)
    assert getattr(found, name) == expected
    if name != "dropped":
        assert found.dropped == ()


CALLS = {"role": "assistant", "tool_calls": [call("f", a=1), call("g"), call("f", a=2)]}


def answers(*names: str | None) -> list[dict[str, object]]:
    return [{"role": "tool", "content": f"{at}", "tool_name": name} for at, name in enumerate(names)]


def result(call_id: str, text: str, name: str | None) -> Result:
    return Result(call_id, (Text(text),), name)


@pytest.mark.parametrize(
    ("messages", "system", "turns"),
    [
        ([], (), ()),
        ([{"role": "user"}, {"role": "user", "content": ""}], (), ()),
        (
            [{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, HI],
            ("a", "b"),
            (user(Text("hi")),),
        ),
        (
            [HI, {"role": "SYSTEM", "content": "a"}, {"role": "Assistant", "content": "b"}],
            (),
            (user(Text("hi")), Turn("system", (Text("a"),)), Turn("assistant", (Text("b"),))),
        ),
        (
            [{"role": "user", "content": "see", "images": [PNG, JPEG, GIF, WEBP[:8] + "\n" + WEBP[8:]]}],
            (),
            (
                user(
                    Text("see"),
                    Image("image/png", PNG),
                    Image("image/jpeg", JPEG),
                    Image("image/gif", GIF),
                    Image("image/webp", WEBP),
                ),
            ),
        ),
        (
            [{"role": "assistant", "content": "b", "thinking": "t", "tool_calls": [call("f", a="é")]}],
            (),
            (Turn("assistant", (Thinking("t"), Text("b"), Call("call_0", "f", '{"a": "\\u00e9"}'))),),
        ),
        (
            [CALLS, *answers("f", "f", "g")],
            (),
            (
                Turn("assistant", tuple(Call(f"call_{n}", *call) for n, call in enumerate(
                    [("f", '{"a": 1}'), ("g", "{}"), ("f", '{"a": 2}')]))),
                user(result("call_0", "0", "f"), result("call_2", "1", "f"), result("call_1", "2", "g")),
            ),
        ),
        (
            [{"role": "assistant", "tool_calls": [call("f"), call("g")]}, *answers(None, "other"), HI],
            (),
            (
                Turn("assistant", (Call("call_0", "f"), Call("call_1", "g"))),
                user(result("call_0", "0", "f"), result("call_1", "1", "g")),
                user(Text("hi")),
            ),
        ),
        (
            # An unanswered call takes no later result; numbers go on.
            [
                {"role": "assistant", "tool_calls": [call("f")]},
                {"role": "assistant", "tool_calls": [call("f")]},
                *answers("f"),
            ],
            (),
            (
                Turn("assistant", (Call("call_0", "f"),)),
                Turn("assistant", (Call("call_1", "f"),)),
                user(result("call_1", "0", "f")),
            ),
        ),
        (
            # Older clients name the tool by `name`.
            [
                {"role": "assistant", "tool_calls": [call("f"), call("g")]},
                {"role": "tool", "content": "2", "name": "g"},
                {"role": "tool", "content": "1", "name": "f"},
            ],
            (),
            (
                Turn("assistant", (Call("call_0", "f"), Call("call_1", "g"))),
                user(result("call_1", "2", "g"), result("call_0", "1", "f")),
            ),
        ),
        (
            # Clients that know ids: they tell, and none is made twice.
            [
                {"role": "assistant", "tool_calls": [call("f", "call_0"), call("f", "b"), call("f")]},
                {"role": "tool", "content": "0", "tool_name": "f", "tool_call_id": "b"},
                {"role": "tool", "content": "1", "tool_call_id": "call_0"},
                {"role": "tool", "content": "2", "tool_call_id": "lost"},
            ],
            (),
            (
                Turn("assistant", (Call("call_0", "f"), Call("b", "f"), Call("call_1", "f"))),
                user(result("b", "0", "f"), result("call_0", "1", "f"), result("call_1", "2", "f")),
            ),
        ),
        (answers("f"), (), (user(result("call_0", "0", "f")),)),
        (
            [{"role": "tool", "content": "", "tool_name": "f", "images": [PNG]}],
            (),
            (user(Result("call_0", (Image("image/png", PNG),), "f")),),
        ),
    ],
)  # fmt: skip
def test_messages(messages, system, turns):
    found = parse(messages=messages)
    assert found.system == tuple(map(Text, system))
    assert found.turns == turns


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ('{"a": 1.0, "b": 123456789012345678901234567890}', '{"a": 1.0, "b": 123456789012345678901234567890}'),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
        ('"not JSON"', "not JSON"),
        ('""', "{}"),
        ("null", "{}"),
        ("{}", "{}"),
    ],
)
def test_arguments_stay_as_they_are_written(given, text):
    said = '{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":HERE}}]}]}'
    body = said.replace("HERE", given).encode()
    assert SPEECH.parse(body, BY_ACTION["chat"]).turns == (Turn("assistant", (Call("call_0", "f", text),)),)


def test_generate():
    found = parse("generate", prompt="hi", system="s", images=[PNG], context=[1], suffix="", template="", raw=False)
    assert found.system == (Text("s"),)
    assert found.turns == (user(Text("hi"), Image("image/png", PNG)),)
    assert found.stream
    assert found.dropped == ("context",)
    assert parse("generate", prompt="").turns == ()


@pytest.mark.parametrize(
    ("action", "members", "field"),
    [
        ("chat", {"model": 7}, "model"),
        ("chat", {"messages": {}}, "messages"),
        ("chat", {"messages": ["x"]}, "messages[0]"),
        ("chat", {"messages": [HI, {"role": "user", "content": []}]}, "messages[1].content"),
        ("chat", {"messages": [{"content": "hi"}]}, "messages[0]"),
        ("chat", {"messages": [HI, {"role": "nobody"}]}, "messages[1].role"),
        ("chat", {"messages": [HI | {"images": [PNG, "zzzz"]}]}, "messages[0].images[1]"),
        ("chat", {"messages": [HI | {"images": [7]}]}, "messages[0].images[0]"),
        ("chat", {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0]"),
        ("chat", {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 7}}]}]},
         "messages[0].tool_calls[0].function.name"),
        ("chat", {"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ("chat", {"stream": 1}, "stream"),
        ("chat", {"think": 1}, "think"),
        ("chat", {"think": "much"}, "think"),
        ("chat", {"format": "xml"}, "format"),
        ("chat", {"format": 1}, "format"),
        ("chat", {"options": []}, "options"),
        ("chat", {"options": {"seed": "x"}}, "options.seed"),
        ("chat", {"options": {"stop": [1]}}, "options.stop[0]"),
        ("chat", {"top_logprobs": "x"}, "top_logprobs"),
        ("generate", {"prompt": []}, "prompt"),
        ("generate", {"suffix": "x"}, "suffix"),
        ("generate", {"template": "x"}, "template"),
        ("generate", {"raw": True}, "raw"),
        ("generate", {"images": ["zzzz"]}, "images[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(action, members, field):
    with pytest.raises(InvalidBody) as caught:
        parse(action, **members)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"model":"\xff"}', b'{"a":' * 100_000, b"{}"])
def test_bodies_that_are_none(body):
    with pytest.raises(InvalidBody):
        SPEECH.parse(body, BY_ACTION["chat"])


def test_what_the_official_client_sends():
    def add(a: int, b: int) -> int:
        """Adds.

        Args:
          a: first
          b: second
        """
        return a + b

    asked = ollama._types.ChatRequest(
        model="m",
        messages=[
            ollama.Message(role="user", content="hi", images=[ollama.Image(value=b"\x89PNG\r\n\x1a\n123")]),
            ollama.Message(
                role="assistant",
                thinking="t",
                tool_calls=[{"function": {"name": "add", "arguments": {"a": 1, "b": 2}}}],
            ),
            ollama.Message(role="tool", tool_name="add", content="3"),
        ],
        tools=[ollama._utils.convert_function_to_tool(add)],
        options=ollama.Options(temperature=0.0, num_ctx=4096, stop=["x"]),
        format=SCHEMA,
        think="high",
        keep_alive=0,
        stream=True,
    )
    found = SPEECH.parse(asked.model_dump_json(exclude_none=True).encode(), BY_ACTION["chat"])
    assert [type(part).__name__ for turn in found.turns for part in turn.parts] == [
        *("Text", "Image", "Thinking", "Call", "Result")
    ]
    assert found.tools[0].schema is not None
    assert found.tools[0].schema["required"] == ["a", "b"]
    assert (found.temperature, found.stop, found.dropped) == (0.0, ("x",), ("keep_alive", "options.num_ctx"))
    assert found.turns[1].parts[1] == Call("call_0", "add", '{"a":1,"b":2}')
    assert found.turns[2].parts == (Result("call_0", (Text("3"),), "add"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "messages", "role", "content", "tool_calls", "function", "name", "options", "stop"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_anything_is_read_or_refused(value):
    for action in ("chat", "generate"):
        try:
            assert isinstance(SPEECH.parse(json.dumps(value).encode(), BY_ACTION[action]), Prompt)
        except InvalidBody as error:
            assert error.message


@pytest.mark.parametrize(
    ("kept", "frees"),
    [
        *((kept, True) for kept in (0, 0.0, "0", "0s", "0m0s", "0.0h", "-0")),
        *((kept, False) for kept in (5, -1, 0.5, "5m", "0m5s", "-1", "", "s", None, True, [0], {"a": 0})),
    ],
)
def test_a_model_is_let_go_when_it_is_kept_for_no_time(kept, frees):
    assert unloads(json.dumps({"model": "m", "keep_alive": kept}).encode()) is frees


def test_a_model_is_kept_where_nothing_is_said_of_it():
    assert not unloads(b'{"model": "m"}')
