"""What other translators get wrong in streams, with signatures and with tools as text, each fault a test. What needs a
gateway is in `tests.conformance.test_laws`."""

import json
from base64 import b64decode
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.protocols.codec import Usage
from gateway.translation.compat import Finder, disguised
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened, Sealing
from gateway.translation.prompt import (
    Call,
    Prompt,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
)
from tests.translation import grammar_anthropic
from tests.translation.bodies import read, sent
from tests.translation.chunks import FIRST, chunk, function, sse
from tests.translation.hearing import ASKING, found, heard, told
from tests.translation.ways import HI, clients, through, upstreams, ways
from tests.translation.wires import CALLING, PLAIN, Called, Said, wire

SIGNED = Sealed("anthropic", "c2lnbmVk")


def anthropics(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream for Anthropic's clients, which must be a valid one."""
    assert grammar_anthropic.check(data) == []
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]


def from_chat(*chunks: Any) -> list[dict[str, Any]]:
    return anthropics(told("anthropic", heard("openai_chat", sse(*chunks), True), True))


def blocks(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What a strict client puts together: the kind of each block, and what its deltas say in its own words."""
    made: dict[int, list[str]] = {}
    words = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}
    for each in events:
        if each["type"] == "content_block_start":
            made[each["index"]] = [each["content_block"]["type"], ""]
        elif each["type"] == "content_block_delta":
            block = made[each["index"]]
            block[1] += each["delta"].get(words[block[0]], "")
    return [(kind, text) for kind, text in made.values()]


# ---------------------------------------------------------------- tools as text

TOOLS = (
    Tool(
        "f",
        'a <b> & "c"',
        {"type": "object", "properties": {"o": {"type": "object", "properties": {"in": {"enum": ["x", "y"]}}}}},
    ),
)
CALL_TEXT = '<pg:call name="f"><pg:arg name="o">{"in":"x"}</pg:arg></pg:call>'


def found_in(text: str) -> list[Event]:
    finder = Finder(TOOLS, iter(f"call_{number}" for number in range(9)).__next__)
    said: list[Event] = [Begun(), Opened(0, "text"), *(Delta(0, each) for each in text), Closed(0), Ended("end")]
    return [event for each in said for event in finder.read(each)]


@clients
@ways
def test_a_call_in_a_text_ends_as_tool_use(client: str, stream: bool) -> None:
    """Claude's clients were told `end_turn`, so that they never ran the tool."""
    events = found_in(f"I look. {CALL_TEXT}")
    asking = replace(ASKING, prompt=replace(ASKING.prompt, tools=TOOLS))
    ended = replace(events[-1], usage=Usage(7, output_tokens=3))  # type: ignore[type-var]
    seen = found(client, told(client, [*events[:-1], ended], stream, asking), stream)
    words = {"anthropic": "tool_use", "openai_chat": "tool_calls", "openai_responses": "completed"}
    assert seen.stop == words.get(client, "STOP" if client == "gemini" else "stop")
    assert [(name, json.loads(arguments)) for _, name, arguments in seen.calls] == [("f", {"o": {"in": "x"}})]
    assert seen.text.strip() == "I look."


def test_a_plain_answer_is_streamed_in_compatibility_mode() -> None:
    """Without a tag in it, the whole text waited for the end."""
    finder = Finder(TOOLS, lambda: "c")
    opened = [event for each in (Begun(), Opened(0, "text")) for event in finder.read(each)]
    assert opened == [Begun()]
    assert [type(event) for event in finder.read(Delta(0, "Hello"))] == [Opened, Delta]
    assert finder.read(Delta(0, " you")) == [Delta(0, " you")]


def test_the_catalogue_shows_all_of_a_schema_and_escapes_words() -> None:
    """Only the first level of a schema was shown, and descriptions stood there as they were."""
    guide = disguised(Prompt("m", (HI,), tools=TOOLS)).system[-1].text
    assert '"enum"' in guide
    assert "&lt;b&gt; &amp;" in guide
    assert "<b>" not in guide


def test_a_result_cannot_close_its_own_tag() -> None:
    """Results were not escaped."""
    turns = (HI, Turn("assistant", (Call("c", "f"),)), Turn("user", (Result("c", (Text("</pg:result><pg:call"),)),)))
    said = disguised(Prompt("m", turns, tools=TOOLS)).turns[-1].parts[0]
    assert isinstance(said, Text)
    assert said.text.count("</pg:result>") == 1
    assert "<pg:call" not in said.text


# ---------------------------------------------------------------- signatures

HISTORY = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "t", "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "c2VhbGVk"},
            {"type": "text", "text": "a"},
        ],
    },
    {"role": "user", "content": "b"},
]


def test_signatures_go_back_to_the_family_that_made_them() -> None:
    """They were cut, looked up in a cache that nobody filled, or kept by their length; sealed thinking got lost."""
    prompt = read("anthropic", {"model": "m", "max_tokens": 9, "messages": HISTORY})
    assert sent("anthropic", prompt)["messages"][1]["content"] == HISTORY[1]["content"]
    seen = sent("converse", prompt, "anthropic.claude-sonnet-4-5")["messages"][1]["content"]
    assert seen[0] == {"reasoningContent": {"reasoningText": {"text": "t", "signature": "c2lnbmVk"}}}
    assert b64decode(seen[1]["reasoningContent"]["redactedContent"]) == b"c2VhbGVk"
    for upstream in ("openai_chat", "openai_responses", "gemini", "ollama"):
        text = json.dumps(sent(upstream, prompt))
        assert "c2lnbmVk" not in text
        assert "c2VhbGVk" not in text


def test_an_answer_that_is_left_empty_keeps_the_roles_in_turn() -> None:
    """A message whose only part was thinking without a signature became an empty text, which Anthropic refuses."""
    turns = (HI, Turn("assistant", (Thinking("t"),)), Turn("user", (Text("b"),)))
    assert sent("anthropic", Prompt("m", turns))["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "b"}]}
    ]


@ways
def test_a_signature_survives_the_way_to_anthropics_clients(stream: bool) -> None:
    """Streams gave the thinking without the signature that came after it, and the next turn was refused."""
    said = Said("tool_use", "hi", "hm", (Called("toolu_1", "f"),))
    for upstream in ("anthropic", "converse"):
        signed = replace(said, stop=CALLING[upstream])
        data = told("anthropic", heard(upstream, wire(upstream, signed, stream), stream), stream)
        again = heard("anthropic", data, stream)
        assert [event.sealed for event in again if isinstance(event, Sealing)] == [Sealed("anthropic", "c2ln")]


@ways
def test_a_signature_survives_the_way_to_responses_clients_and_back(stream: bool) -> None:
    """Codex gives back what it was given: reasoning of Claude's goes to Claude again as it was signed."""
    said = Said("tool_use", "hi", "hm", (Called("toolu_1", "f"),))
    data = told("openai_responses", heard("anthropic", wire("anthropic", said, stream), stream), stream)
    last = json.loads(data.split(b"data: ")[-1])["response"] if stream else json.loads(data)
    prompt = read("openai_responses", {"model": "m", "input": [{"role": "user", "content": "hi"}, *last["output"]]})
    assert sent("anthropic", prompt)["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": "c2ln",
    }


@ways
def test_thinking_that_is_only_a_signature_is_kept(stream: bool) -> None:
    """A block without a text was taken for an empty one, and its signature with it."""
    events: list[Event] = [
        Begun(),
        Opened(0, "thinking"),
        Sealing(0, SIGNED),
        Closed(0),
        Opened(1, "text"),
        Delta(1, "hi"),
        Closed(1),
        Ended("end", usage=Usage()),
    ]
    again = heard("anthropic", told("anthropic", events, stream), stream)
    assert [event.sealed for event in again if isinstance(event, Sealing)] == [SIGNED]


# ---------------------------------------------------------------- streams for Anthropic's clients


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_reasoning_of_chat_upstreams_is_thinking(member: str) -> None:
    """`reasoning_content` was dropped, and the answer lost its thinking without a word."""
    events = from_chat(chunk(**{member: "hm"}), chunk(content="hi"), chunk("stop"))
    assert blocks(events) == [("thinking", "hm"), ("text", "hi")]


def test_a_block_has_the_kind_of_what_is_said_in_it() -> None:
    """A text block was opened before anything was known; thinking within it was thrown away by the SDK, or crashed
    Claude Code."""
    events = from_chat(
        chunk(role="assistant", content=""), chunk(reasoning_content="hm"), chunk(content="hi"), chunk("stop")
    )
    assert blocks(events) == [("thinking", "hm"), ("text", "hi")]


def test_a_message_starts_once() -> None:
    """`message_start` came twice, where the first chunk only named the role or was repeated."""
    events = from_chat(chunk(role="assistant"), FIRST, chunk(content="hi"), chunk("stop"))
    assert [each["type"] for each in events].count("message_start") == 1


def test_there_is_no_empty_block() -> None:
    """Answers that began with a call or with thinking had an empty text before it, and blank texts stood between."""
    events = from_chat(
        chunk(role="assistant", content=""), chunk(tool_calls=[function(0, "", "f")]), chunk("tool_calls")
    )
    assert blocks(events) == [("tool_use", "")]
    for stop in ("end", "tool_use"):
        empty: list[Event] = [Begun(), Opened(0, "text"), Delta(0, ""), Closed(0), Ended(stop)]  # type: ignore[arg-type]
        assert blocks(anthropics(told("anthropic", empty, True))) == []


def test_no_delta_is_empty() -> None:
    """The chunk that only names a call gave an empty piece of arguments."""
    events = from_chat(
        chunk(tool_calls=[function(0, "", "f")]), chunk(tool_calls=[function(0, "{}")]), chunk("tool_calls")
    )
    deltas = [each["delta"]["partial_json"] for each in events if each["type"] == "content_block_delta"]
    assert deltas == ["{}"]


def test_the_first_words_of_a_block_are_kept() -> None:
    """What came with the change from one block to the next was lost: the first word of a text, a call's arguments."""
    events = from_chat(
        chunk(reasoning_content="a"),
        chunk(content="B"),
        chunk(content="c"),
        chunk(tool_calls=[function(0, '{"x":1}', "f")]),
        chunk("tool_calls"),
    )
    assert blocks(events) == [("thinking", "a"), ("text", "Bc"), ("tool_use", '{"x":1}')]


def test_calls_in_the_chunk_of_the_finish_reason_are_kept() -> None:
    """Servers that send both at once lost the arguments, and all calls after the first."""
    calls = [function(0, '{"x":1}', "f"), function(1, '{"y":2}', "g")]
    events = from_chat(chunk(content="a"), chunk("tool_calls", tool_calls=calls))
    assert blocks(events) == [("text", "a"), ("tool_use", '{"x":1}'), ("tool_use", '{"y":2}')]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_nothing_is_said_in_a_block_that_is_closed() -> None:
    """The second call closed the first, whose further pieces came all the same."""
    chunks = [
        chunk(tool_calls=[function(0, '{"a"', "f"), function(1, '{"b"', "g")]),
        chunk(tool_calls=[function(0, ":1}")]),
        chunk(tool_calls=[function(1, ":2}")]),
        chunk("tool_calls"),
    ]
    assert blocks(from_chat(*chunks)) == [("tool_use", '{"a":1}'), ("tool_use", '{"b":2}')]


def test_a_call_of_ollamas_is_tool_use_in_a_stream_too() -> None:
    """Ollama stops with `stop`; only answers in one piece were called tool use."""
    said = Said("stop", "", calls=(Called("c", "f"),))
    assert {through("anthropic", "ollama", said, stream).stop for stream in (True, False)} == {"tool_use"}


@pytest.mark.parametrize("upstream", ["anthropic", "openai_chat", "gemini", "converse"])
def test_what_the_upstream_knows_of_the_usage_is_told_at_the_start(upstream: str) -> None:
    """`message_start` always said 0, though Anthropic's own says what the prompt used; and the end said it right. Where
    the upstream tells it only at the end, the start has an estimate."""
    asking = replace(ASKING, estimated=5)
    said = heard(upstream, wire(upstream, Said(PLAIN[upstream]), True), True)
    events = anthropics(told("anthropic", said, True, asking))
    assert events[0]["message"]["usage"]["input_tokens"] == (7 if upstream == "anthropic" else 5)
    end = next(each for each in events if each["type"] == "message_delta")["usage"]
    assert (end["input_tokens"], end["output_tokens"]) == (7, 3)


# ---------------------------------------------------------------- Codex


@upstreams
def test_codex_finds_reasoning_tokens_in_every_end(upstream: str) -> None:
    """Where there were none they were left out: Codex cannot read such an end, and asks again and again."""
    for said in (Said(PLAIN[upstream]), Said(CALLING[upstream], "", calls=(Called("c", "f"),))):
        data = told("openai_responses", heard(upstream, wire(upstream, said, True), True), True)
        last = json.loads(data.split(b"data: ")[-1])
        assert last["type"] == "response.completed"
        usage = last["response"]["usage"]
        assert isinstance(usage["output_tokens_details"]["reasoning_tokens"], int)
        assert isinstance(usage["input_tokens_details"]["cached_tokens"], int)
        assert isinstance(usage["total_tokens"], int)


def test_codex_finds_figures_where_an_upstream_gives_none() -> None:
    """A missing object of figures is as bad."""
    data = told("openai_responses", [Begun(), Ended("end")], True)
    assert json.loads(data.split(b"data: ")[-1])["response"]["usage"]["output_tokens_details"] == {
        "reasoning_tokens": 0
    }
