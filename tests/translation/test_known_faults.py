"""What other translators get wrong, each fault a test. What needs a gateway is in `tests.conformance.test_laws`."""

import json
from base64 import b64decode
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.protocols import CODECS
from gateway.protocols.codec import Usage
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.compat import Finder, disguised
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened, Sealing
from gateway.translation.prompt import (
    Call,
    Document,
    Format,
    Image,
    Prompt,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
)
from tests.translation import grammar_anthropic
from tests.translation.bodies import SCHEMA, built, plain, read, rounds, sent, spoken
from tests.translation.hearing import ASKING, found, heard, told
from tests.translation.wires import CALLING, PLAIN, Called, Said, wire

clients = pytest.mark.parametrize("client", SPEECHES)
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
HI = Turn("user", (Text("hi"),))
PNG = Image("image/png", "AAAA")
SIGNED = Sealed("anthropic", "c2lnbmVk")


def through(client: str, upstream: str, said: Said, stream: bool) -> Any:
    return found(client, told(client, heard(upstream, wire(upstream, said, stream), stream), stream), stream)


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}


def function(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    about = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    begun = {} if name is None else {"id": f"c{index}", "type": "function"}
    return {"index": index, **begun, "function": about}


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


# ---------------------------------------------------------------- a desktop application's proxy


@clients
@ways
def test_quotes_in_arguments_are_not_rewritten(client: str, stream: bool) -> None:
    """Every apostrophe in a call's arguments became a double quote, which broke the JSON of any text with one."""
    arguments = json.dumps({"text": "it's 'so' \"quoted\""})
    said = Said(CALLING["openai_chat"], calls=(Called("c1", "f", arguments),))
    ((_, _, seen),) = through(client, "openai_chat", said, stream).calls
    assert json.loads(seen) == json.loads(arguments)


@clients
def test_pieces_of_parallel_calls_stay_with_their_call(client: str) -> None:
    """The pieces of all calls went to the one that had begun last."""
    chunks = [
        chunk(tool_calls=[function(0, "", "f")]),
        chunk(tool_calls=[function(1, "", "g")]),
        chunk(tool_calls=[function(0, '{"a":')]),
        chunk(tool_calls=[function(1, '{"b":2}'), function(0, "1}")]),
        chunk("tool_calls"),
    ]
    calls = found(client, told(client, heard("openai_chat", sse(*chunks, USED), True), True), True).calls
    assert [(name, json.loads(arguments)) for _, name, arguments in calls] == [("f", {"a": 1}), ("g", {"b": 2})]


FIRST = chunk(role="assistant", content="")
USED = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def test_a_chat_clients_calls_are_numbered_from_nought_and_are_functions() -> None:
    """The number was that of Claude's block, so that the first call after a text was the second; its type was left
    out."""
    said = Said("tool_use", "so", "hm", (Called("toolu_1", "f"),))
    data = told("openai_chat", heard("anthropic", wire("anthropic", said, True), True), True)
    chunks = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
    first = next(each["choices"][0]["delta"] for each in chunks if each["choices"][0]["delta"].get("tool_calls"))
    assert first["tool_calls"] == [
        {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    ]


@ways
@pytest.mark.parametrize(
    ("word", "expected"), [("end_turn", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls")]
)
def test_claudes_words_for_the_end_do_not_leak(word: str, expected: str, stream: bool) -> None:
    """Answers in one piece were not mapped at all, and streams let `max_tokens` and `end_turn` through."""
    calls = (Called("c", "f"),) if word == "tool_use" else ()
    assert through("openai_chat", "anthropic", Said(word, calls=calls), stream).stop == expected
    assert through("anthropic", "openai_chat", Said(expected, calls=calls), stream).stop == word


def test_a_chat_upstream_is_asked_for_the_usage_of_a_stream() -> None:
    """It was never asked for."""
    body = sent("openai_chat", Prompt("m", (HI,), stream=True))
    assert body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent("openai_chat", Prompt("m", (HI,)))


@clients
def test_usage_is_read_wherever_it_comes(client: str) -> None:
    """It was read from the chunk with the finish reason alone, where OpenAI never puts it."""
    for chunks in (
        [chunk(content="hi"), chunk("stop"), USED],
        [chunk(content="hi"), chunk("stop") | {"usage": USED["usage"]}],
        [chunk(content="hi"), chunk("stop") | {"x_groq": {"usage": USED["usage"]}}],
    ):
        seen = found(client, told(client, heard("openai_chat", sse(*chunks), True), True), True)
        assert (seen.input, seen.output) == (7, 3)


@clients
def test_thinking_in_claudes_stream_is_heard(client: str) -> None:
    """It was looked for in the field of texts, and so lost."""
    assert through(client, "anthropic", Said("end_turn", "hi", "let me see"), True).thinking == "let me see"


@clients
@ways
@pytest.mark.parametrize("upstream", ["anthropic", "openai_chat", "openai_responses", "converse"])
def test_ids_of_calls_are_the_upstreams(client: str, upstream: str, stream: bool) -> None:
    """New ids were made up, so that a later turn's results named calls that the upstream had never made."""
    said = Said(CALLING[upstream], calls=(Called("toolu_01AB", "f"), Called("toolu_02CD", "g")))
    assert [call_id for call_id, _, _ in through(client, upstream, said, stream).calls] == ["toolu_01AB", "toolu_02CD"]


@clients
def test_a_result_for_gemini_names_the_tool(client: str) -> None:
    """It named the call's id, of which Gemini knows nothing."""
    assert [name for name, _ in rounds("gemini", sent("gemini", read(client, spoken(client)))).results] == ["f", "g"]


@upstreams
@pytest.mark.parametrize("client", ["gemini", "ollama"])
def test_results_without_ids_pair_with_their_calls(client: str, upstream: str) -> None:
    """Results of clients that send no ids got random ones, which were nobody's; two calls of one tool, too."""
    body = json.loads(
        json.dumps(spoken(client, answered=(0, 1)))
        .replace('"name": "g"', '"name": "f"')
        .replace('"tool_name": "g"', '"tool_name": "f"')
    )
    seen = rounds(upstream, sent(upstream, read(client, body)))
    assert [text for _, text in seen.results] == ["r0", "r1"]
    assert [call_id for call_id, _ in seen.results] == [call_id for call_id, _, _ in seen.calls]
    assert sent(upstream, read(client, body)) == sent(upstream, read(client, body))


@upstreams
def test_geminis_clients_get_geminis_words_for_the_end(upstream: str) -> None:
    """Streams ended with the upstream's own word for it."""
    length = {
        "anthropic": "max_tokens",
        "converse": "max_tokens",
        "gemini": "MAX_TOKENS",
        "openai_responses": "max_output_tokens",
    }
    assert through("gemini", upstream, Said(PLAIN[upstream]), True).stop == "STOP"
    assert through("gemini", upstream, Said(length.get(upstream, "length")), True).stop == "MAX_TOKENS"


@ways
def test_geminis_figures_are_in_camel_case(stream: bool) -> None:
    """They were looked for in snake_case, so every answer cost nothing."""
    endpoint = next(one for one in CODECS["gemini"].endpoints if ("stream" in one.action) is stream)
    data = wire("gemini", Said("STOP"), stream)
    listening = CODECS["gemini"].reader(endpoint, stream)
    listening.feed(data)
    listening.close()
    assert listening.usage == Usage(7, output_tokens=3)
    assert heard("gemini", data, stream)[-1] == Ended("end", usage=Usage(7, output_tokens=3))


def test_ollamas_answers_are_lines() -> None:
    """They were split at blank lines, which NDJSON does not have, so nothing came until the end."""
    lines = wire("ollama", Said("stop", "hi"), True).splitlines(keepends=True)
    reader = UPSTREAMS["ollama"].reader(True)
    assert [event for event in reader.feed(lines[0]) if isinstance(event, Delta)] == [Delta(0, "h")]
    assert [event for event in reader.feed(lines[1]) if isinstance(event, Delta)] == [Delta(0, "i")]


def test_ollamas_clients_get_lines_and_stream_unless_they_say_no() -> None:
    """They were sent server-sent events, and one piece unless they asked for a stream."""
    assert SPEECHES["ollama"].writer(ASKING).content_type == b"application/x-ndjson"
    assert read("ollama", plain("ollama")).stream is True
    assert read("ollama", plain("ollama") | {"stream": False}).stream is False
    for line in told("ollama", heard("anthropic", wire("anthropic", Said("end_turn"), True), True), True).splitlines():
        assert "done" in json.loads(line)


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "gemini", "ollama"])
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "gemini", "ollama"])
def test_temperatures_up_to_two_are_let_through(client: str, upstream: str) -> None:
    """OpenAI's was cut at 1, which is Anthropic's limit."""
    prompt = read(client, plain(client, temperature=1.7))
    assert built(upstream, prompt).adjusted == ()
    assert '"temperature": 1.7' in json.dumps(sent(upstream, prompt))


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "gemini", "ollama"])
def test_claude_may_say_more_than_1024_tokens_where_nothing_is_said(client: str) -> None:
    """Answers were cut at 1,024 tokens when the client named no limit."""
    assert sent("anthropic", read(client, plain(client)))["max_tokens"] == 8192


CROSSING = (
    (
        Image(url="https://a.test/i.png"),
        {"anthropic", "openai_chat", "openai_responses", "gemini"},
        "https://a.test/i.png",
    ),
    (PNG, set(UPSTREAMS), "AAAA"),
    (
        Document("application/pdf", "JVBE"),
        {"anthropic", "openai_chat", "openai_responses", "gemini", "converse"},
        "JVBE",
    ),
)


@upstreams
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("part", CROSSING, ids=["url", "image", "document"])
def test_files_cross_alone_and_inside_results(part: Any, inside: bool, upstream: str) -> None:
    """Images by address, documents, and all images inside results were dropped without a word."""
    media, takers, mark = part
    if upstream not in takers:
        return
    calls = (Turn("assistant", (Call("c", "f"),)),) if inside else ()
    said = Turn("user", (Result("c", (Text("r"), media)),)) if inside else Turn("user", (Text("see"), media))
    assert mark in json.dumps(sent(upstream, Prompt("m", (HI, *calls, said), tools=(Tool("f"),))))


@upstreams
def test_the_form_of_an_answer_crosses(upstream: str) -> None:
    """`response_format` was forgotten on some ways."""
    prompt = Prompt("m", (HI,), format=Format("schema", SCHEMA | {"required": ["a"]}, "n"))
    assert any(mark in json.dumps(sent(upstream, prompt)) for mark in ('"a": {"type": "', '\\"a\\":{\\"type\\"'))


def test_marks_for_caching_reach_all_who_have_them() -> None:
    """They were dropped also between Anthropic and Bedrock."""
    mark = {"type": "ephemeral"}
    body = plain("anthropic") | {
        "system": [{"type": "text", "text": "s", "cache_control": mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}]}],
        "tools": [{"name": "f", "input_schema": SCHEMA, "cache_control": mark}],
    }
    prompt = read("anthropic", body)
    for upstream, points in (("anthropic", '"cache_control"'), ("converse", '"cachePoint"')):
        assert json.dumps(sent(upstream, prompt, "anthropic.claude-sonnet-4-5-v1:0")).count(points) == 3
        assert "cache_control" not in built(upstream, prompt, "anthropic.claude-sonnet-4-5-v1:0").adjusted


@pytest.mark.parametrize("model", ["gemini-3-pro", "gemini-2.5-pro"])
def test_only_models_that_want_a_signature_get_a_placeholder(model: str) -> None:
    """The first call of each turn got it, whatever the model; one that Gemini had signed lost its own."""
    signed = Sealed("gemini", "c2ln")
    turns = (HI, Turn("assistant", (Call("c1", "f"), Call("c2", "g"))))
    first, second = sent("gemini", Prompt("m", turns), model)["contents"][1]["parts"]
    assert ("thoughtSignature" in first, "thoughtSignature" in second) == (model == "gemini-3-pro", False)
    own = Turn("assistant", (Call("c1", "f", sealed=signed),))
    assert sent("gemini", Prompt("m", (HI, own)), model)["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"


def test_a_responses_stream_is_not_held_back() -> None:
    """The whole answer was gathered first, also for those who had asked for a stream."""
    pieces = wire("openai_responses", Said("completed", "hi"), True).split(b"\n\n")
    reader, writer = UPSTREAMS["openai_responses"].reader(True), SPEECHES["anthropic"].writer(ASKING)
    seen = b""
    for piece in pieces[: next(at for at, each in enumerate(pieces) if b"output_text.delta" in each) + 1]:
        seen += b"".join(map(writer.write, reader.feed(piece + b"\n\n")))
    assert b'"text_delta","text":"h"' in seen


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


# ---------------------------------------------------------------- a gateway that rebuilt all it passed


@clients
@upstreams
@ways
def test_answers_keep_all_that_they_hold(client: str, upstream: str, stream: bool) -> None:
    """Answers were rebuilt as one text: calls and thinking were lost, ids and times made up or left out."""
    said = Said(CALLING[upstream], "hi", "hm", (Called("c1", "f", '{"a": 1}'), Called("c2", "g", '{"b": [null, 1.5]}')))
    seen = through(client, upstream, said, stream)
    assert (seen.text, seen.thinking) == ("hi", "hm")
    calls = [(name, json.loads(arguments)) for _, name, arguments in seen.calls]
    assert calls == [("f", {"a": 1}), ("g", {"b": [None, 1.5]})]
    data = told(client, heard(upstream, wire(upstream, said, stream), stream), stream)
    if client == "openai_chat":
        assert b'"created":1790000000' in data


@clients
@upstreams
@ways
def test_figures_are_the_upstreams_own(client: str, upstream: str, stream: bool) -> None:
    """They were multiplied by a price, by a search through the bytes, which also changed figures in texts."""
    text = '"prompt_tokens": 7, "input_tokens":7,'
    seen = through(client, upstream, Said(PLAIN[upstream], text), stream)
    assert (seen.input, seen.output, seen.text) == (7, 3, text)


@clients
@upstreams
def test_requests_keep_tools_images_and_system(client: str, upstream: str) -> None:
    """Requests were rebuilt from their texts alone."""
    body = sent(upstream, read(client, spoken(client)))
    text = json.dumps(body)
    assert '"be"' in text
    assert all(text.count(f'"name": "{name}"') >= 2 for name in ("f", "g"))  # the tool and its call
    assert text.lower().count('"integer"') == 2


# ---------------------------------------------------------------- a proxy for editors


@clients
@upstreams
def test_nought_stays_nought(client: str, upstream: str) -> None:
    """A temperature of 0 counted as none and became 0.7."""
    assert '"temperature": 0' in json.dumps(sent(upstream, read(client, plain(client, temperature=0))))


@clients
@upstreams
def test_nothing_is_made_up_for_what_is_not_said(client: str, upstream: str) -> None:
    """0.7, 0.9 and 1,000 tokens were put in for all who had said nothing."""
    body = json.dumps(sent(upstream, read(client, plain(client))))
    assert not any(word in body.lower() for word in ("temperature", "top_p", "topp", "penalty", "seed"))


@upstreams
def test_a_tool_without_a_schema_is_sent_with_one(upstream: str) -> None:
    """It was thrown away, and with it what the model should be able to do."""
    assert '"name": "f"' in json.dumps(sent(upstream, Prompt("m", (HI,), tools=(Tool("f"),))))


@clients
def test_a_failure_in_the_middle_has_a_message_and_no_end(client: str) -> None:
    """Every failure was a 500 of one kind; one within a stream had the look of an end."""
    events: list[Event] = [Begun(), Opened(0, "text"), Delta(0, "h"), Failed(529, "too busy", "overloaded_error")]
    data = told(client, events, True)
    assert b"too busy" in data
    assert not any(
        end in data for end in (b"[DONE]", b"message_stop", b"response.completed", b"finishReason", b'"done":true')
    )


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
