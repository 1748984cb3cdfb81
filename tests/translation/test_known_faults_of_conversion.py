"""What other translators get wrong when they convert, each fault a test. What needs a gateway is in
`tests.conformance.test_laws`."""

import json
from typing import Any

import pytest

from gateway.protocols import CODECS
from gateway.protocols.codec import Usage
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.events import Begun, Delta, Ended, Event, Failed, Opened
from gateway.translation.prompt import (
    Call,
    Document,
    Format,
    Image,
    Prompt,
    Result,
    Sealed,
    Text,
    Tool,
    Turn,
)
from tests.translation.bodies import SCHEMA, built, plain, read, rounds, sent, spoken
from tests.translation.chunks import USED, chunk, function, sse
from tests.translation.hearing import ASKING, found, heard, told
from tests.translation.ways import HI, clients, through, upstreams, ways
from tests.translation.wires import CALLING, PLAIN, Called, Said, wire

PNG = Image("image/png", "AAAA")


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
