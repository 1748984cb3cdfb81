"""Laws 1 to 3 and 9 to 11 of translation, of answers, each over all directions that it speaks of. What needs a gateway
is in `tests.conformance.test_laws`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.protocols.codec import InvalidBody, Usage
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened
from gateway.translation.prompt import (
    Text,
    Thinking,
)
from tests.translation import grammar_anthropic, grammar_openai_chat, grammar_openai_responses, test_laws_of_requests
from tests.translation.bodies import NAMES, built, plain, read, rounds, sent, spoken
from tests.translation.generate import answers
from tests.translation.hearing import ASKING, found, heard, told
from tests.translation.ways import clients, through, upstreams, ways
from tests.translation.wires import CALLING, PLAIN, Called, Said, wire

# ---------------------------------------------------------------- 1: stop reasons

#: What a client is told of each end.
TOLD = {
    "anthropic": ("end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "pause_turn"),
    "openai_chat": ("stop", "stop", "length", "tool_calls", "content_filter", "stop"),
    "openai_responses": ("completed", "completed", "max_output_tokens", "completed", "content_filter", "completed"),
    "gemini": ("STOP", "STOP", "MAX_TOKENS", "STOP", "SAFETY", "STOP"),
    "ollama": ("stop", "stop", "length", "stop", "stop", "stop"),
}
ENDS = ("end", "stop_sequence", "length", "tool_use", "refusal", "pause")
#: What an upstream calls each; it has no word for the others.
SAYS = {
    "anthropic": dict(zip(ENDS, TOLD["anthropic"], strict=True)),
    "openai_chat": {"end": "stop", "length": "length", "tool_use": "tool_calls", "refusal": "content_filter"},
    "openai_responses": {
        "end": "completed",
        "length": "max_output_tokens",
        "tool_use": "completed",
        "refusal": "content_filter",
    },
    "gemini": {"end": "STOP", "length": "MAX_TOKENS", "tool_use": "STOP", "refusal": "SAFETY"},
    "ollama": {"end": "stop", "length": "length", "tool_use": "stop"},
    "converse": {
        "end": "end_turn",
        "stop_sequence": "stop_sequence",
        "length": "max_tokens",
        "tool_use": "tool_use",
        "refusal": "content_filtered",
    },
}


@clients
@upstreams
@ways
def test_law_1_every_end_is_told_in_the_clients_word_streamed_or_not(client: str, upstream: str, stream: bool) -> None:
    for end, word in SAYS[upstream].items():
        calls = (Called("c1", "f"),) if end == "tool_use" else ()
        said = Said(word, calls=calls, sequence="END" if end == "stop_sequence" else None)
        assert through(client, upstream, said, stream).stop == TOLD[client][ENDS.index(end)], end


@clients
@ways
@pytest.mark.parametrize("upstream", ["gemini", "ollama", "openai_chat"])
def test_law_1_a_call_is_tool_use_though_the_upstream_only_stopped(client: str, upstream: str, stream: bool) -> None:
    said = Said(PLAIN[upstream], calls=(Called("c1", "f"),))
    assert through(client, upstream, said, stream).stop == TOLD[client][ENDS.index("tool_use")]


# ---------------------------------------------------------------- 2: calls in streams

PARALLEL: list[Event] = [
    Begun("id", "up"),
    Opened(0, "text"),
    Delta(0, "so"),
    Opened(1, "call", "c1", "f"),
    Opened(2, "call", "c2", "g"),
    Delta(2, '{"b":'),
    Delta(1, '{"a":'),
    Closed(0),
    Delta(1, "1}"),
    Delta(2, "2}"),
    Closed(2),
    Closed(1),
    Ended("tool_use", usage=Usage(7, output_tokens=3)),
]


@upstreams
def test_law_2_indexes_of_calls_count_calls(upstream: str) -> None:
    said = Said(CALLING[upstream], "so", "hm", (Called("c1", "f", '{"a": 1}'), Called("c2", "g", '{"b": 2}')))
    events = heard(upstream, wire(upstream, said, True), True)
    data = told("openai_chat", events, True)
    assert grammar_openai_chat.check(data) == []
    chunks = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
    deltas = [
        call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or ()
    ]
    firsts: dict[int, Any] = {}
    for each in deltas:
        firsts.setdefault(each["index"], each)
    assert [*firsts] == [0, 1]
    for first, name in zip(firsts.values(), NAMES, strict=True):
        assert first["id"]
        assert first["type"] == "function"
        assert first["function"]["name"] == name
    assert all("name" not in each["function"] for each in deltas if each is not firsts[each["index"]])


def test_law_2_parallel_calls_interleave_for_chat_clients_as_they_come() -> None:
    chunks = [json.loads(line[6:]) for line in told("openai_chat", PARALLEL, True).splitlines() if line[6:7] == b"{"]
    pieces = [
        (call["index"], call["function"]["arguments"])
        for chunk in chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls") or ()
        if call["function"].get("arguments")
    ]
    assert pieces == [(1, '{"b":'), (0, '{"a":'), (0, "1}"), (1, "2}")]


@clients
def test_law_2_no_argument_comes_to_the_other_call(client: str) -> None:
    calls = found(client, told(client, PARALLEL, True), True).calls
    assert [(name, json.loads(arguments)) for _, name, arguments in calls] == [("f", {"a": 1}), ("g", {"b": 2})]


@settings(max_examples=150)
@given(events=answers())
def test_law_2_one_block_at_a_time_for_anthropics_clients(events: list[Event]) -> None:
    """The grammar has it: start, deltas, stop; one message_start, one message_delta, one message_stop."""
    assert grammar_anthropic.check(told("anthropic", events, True)) == []


def test_law_2_the_grammar_sees_two_open_blocks() -> None:
    data = told("anthropic", PARALLEL, True)
    assert grammar_anthropic.check(data) == []
    events = data.split(b"\n\n")
    stop = next(each for each in events if b"content_block_stop" in each)
    start = [each for each in events if b"content_block_start" in each][1]
    mixed = data.replace(start + b"\n\n", b"").replace(stop, start + b"\n\n" + stop, 1)
    assert grammar_anthropic.check(mixed) != []


# ---------------------------------------------------------------- 3: arguments


@clients
@ways
@pytest.mark.parametrize("upstream", ["anthropic", "openai_chat", "openai_responses", "converse"])
def test_law_3_no_arguments_are_an_empty_object(client: str, upstream: str, stream: bool) -> None:
    """Those that can say nothing; Gemini and Ollama give objects only."""
    said = Said(CALLING[upstream], "", calls=(Called("c1", "f", ""), Called("c2", "g", "{}")))
    calls = through(client, upstream, said, stream).calls
    assert [(name, arguments) for _, name, arguments in calls] == [("f", "{}"), ("g", "{}")]


BROKEN = "{'a': \"it's"


@clients
@ways
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_law_3_broken_arguments_pass_as_text_with_their_quotes(client: str, upstream: str, stream: bool) -> None:
    said = Said(CALLING[upstream], calls=(Called("c1", "f", BROKEN), Called("c2", "g", '{"a": "it\'s"}')))
    first, second = (arguments for _, _, arguments in through(client, upstream, said, stream).calls)
    texts = {"gemini", "ollama"} | (set() if stream else {"anthropic"})  # of these, objects only
    assert first == (json.dumps({"input": BROKEN}) if client in texts else BROKEN)
    assert json.loads(second) == {"a": "it's"}


@upstreams
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses"])
def test_law_3_broken_arguments_in_the_history_never_fail(client: str, upstream: str) -> None:
    body = spoken(client, arguments=(BROKEN, ""))
    prompt = read(client, body)
    text = built(upstream, prompt).body.decode()
    assert json.dumps(BROKEN) in text or json.dumps(json.dumps({"input": BROKEN}, separators=(",", ":"))) in text
    if upstream not in ("openai_chat", "openai_responses"):
        assert [arguments for _, _, arguments in rounds(upstream, json.loads(text)).calls] == [{"input": BROKEN}, {}]


# ---------------------------------------------------------------- 9: thinking for chat clients, keep-alives


@upstreams
@ways
def test_law_9_chat_clients_read_thinking_as_reasoning_content(upstream: str, stream: bool) -> None:
    seen = through("openai_chat", upstream, Said(PLAIN[upstream], "hi", "let me think"), stream)
    assert (seen.thinking, seen.text) == ("let me think", "hi")


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_law_9_and_say_it_so(member: str) -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "a", member: "t"},
        {"role": "user", "content": "b"},
    ]
    prompt = read("openai_chat", {"model": "m", "messages": messages})
    assert prompt.turns[1].parts == (Thinking("t"), Text("a"))
    assert sent("openai_chat", prompt, "deepseek-chat")["messages"][1]["reasoning_content"] == "t"
    assert sent("ollama", prompt)["messages"][1]["thinking"] == "t"


def test_law_9_keep_alives() -> None:
    pings = {client: SPEECHES[client].writer(ASKING).ping() for client in SPEECHES}
    assert pings["anthropic"] == b'event: ping\ndata: {"type": "ping"}\n\n'
    assert pings["openai_chat"] == pings["openai_responses"] == b": ping\n\n"
    assert pings["gemini"] == b"\n"  # Google's SDK takes a comment for data
    assert pings["ollama"] == b""  # NDJSON has no comments


# ---------------------------------------------------------------- 10: cuts

EVERYTHING = Said("", "é😀\r\n\n: data\u2028x", "thín\nk", (Called("c1", "f", '{"a": "é\\n\\ud83d\\ude00"}'),))


@upstreams
def test_law_10_however_the_bytes_are_cut_the_clients_are_the_same(upstream: str) -> None:
    data = wire(upstream, replace(EVERYTHING, stop=CALLING[upstream]), True)
    events = heard(upstream, data, True)
    wholes = {client: told(client, events, True) for client in SPEECHES}
    assert all("é😀" in found(client, wholes[client], True).text for client in SPEECHES)
    ways_to_cut = [[data[:at], data[at:]] for at in range(1, len(data))]
    ways_to_cut.append([data[at : at + 1] for at in range(len(data))])
    for cut in ways_to_cut:
        again = heard(upstream, cut, True)
        if again != events:  # texts may be cut otherwise, as long as the clients' bytes are the same
            assert {client: told(client, again, True) for client in SPEECHES} == wholes


@pytest.mark.parametrize("upstream", [name for name in UPSTREAMS if name != "ollama"])
@pytest.mark.parametrize("new_line", [b"\r\n", b"\r"])
def test_law_10_other_ends_of_lines_and_comments_between(upstream: str, new_line: bytes) -> None:
    said = Said(CALLING[upstream], "hé", "t", (Called("c1", "f", '{"a": 1}'),))
    data = wire(upstream, said, True).replace(b"\r\n", b"\n")
    events = heard(upstream, data, True)
    other = data.replace(b"\n\n", b"\n\n: ping\n\n").replace(b"data: ", b"data:").replace(b"\n", new_line)
    assert heard(upstream, other, True) == events
    assert heard(upstream, [other[at : at + 1] for at in range(len(other))], True) == events


# ---------------------------------------------------------------- 11: Responses


@settings(max_examples=100)
@given(events=answers())
def test_law_11_the_full_sequence_of_events(events: list[Event]) -> None:
    data = told("openai_responses", events, True)
    assert grammar_openai_responses.check(data) == []
    said = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
    assert [each["sequence_number"] for each in said] == [*range(len(said))]
    assert [each["type"] for each in said[:2]] == ["response.created", "response.in_progress"]
    assert said[-1]["type"] in ("response.completed", "response.incomplete")
    items = [each["item"]["id"] for each in said if each["type"] == "response.output_item.added"]
    assert items == [item["id"] for item in said[-1]["response"]["output"]]
    assert len(set(items)) == len(items)
    assert said[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] >= 0


@upstreams
@ways
def test_law_11_reasoning_tokens_are_always_there(upstream: str, stream: bool) -> None:
    data = told("openai_responses", heard(upstream, wire(upstream, Said(PLAIN[upstream]), stream), stream), stream)
    text = data.split(b"data: ")[-1] if stream else data
    response = json.loads(text)
    usage = (response["response"] if stream else response)["usage"]
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}


def test_law_11_responses_that_are_kept_elsewhere_cannot_be_gone_on_with() -> None:
    with pytest.raises(InvalidBody) as caught:
        read("openai_responses", plain("openai_responses") | {"previous_response_id": "resp_1"})
    assert caught.value.field == "previous_response_id"


CUSTOM = {"type": "custom", "name": "apply_patch", "description": "d"}
WRAPPED = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


@upstreams
@ways
def test_law_11_free_form_tools_are_functions_with_one_text(upstream: str, stream: bool) -> None:
    prompt = read("openai_responses", plain("openai_responses") | {"tools": [CUSTOM]})
    body = sent(upstream, prompt)
    if upstream == "openai_responses":
        assert body["tools"][0]["type"] == "custom"
    else:
        text = json.dumps(body["tools"] if "tools" in body else body["toolConfig"])
        assert json.dumps(WRAPPED) in text or '"STRING"' in text
    asking = replace(ASKING, prompt=prompt)
    patch = '*** "a"\n+it\'s'
    said = Said(CALLING[upstream], "", calls=(Called("c1", "apply_patch", json.dumps({"input": patch})),))
    data = told("openai_responses", heard(upstream, wire(upstream, said, stream), stream), stream, asking)
    response = json.loads(data.split(b"data: ")[-1])["response"] if stream else json.loads(data)
    (item,) = response["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", patch)
    if stream:
        kinds = [line[7:] for line in data.splitlines() if line.startswith(b"event: ")]
        assert b"response.custom_tool_call_input.delta" in kinds
        assert b"response.function_call_arguments.delta" not in kinds


def test_every_law_has_a_test() -> None:
    names = [*globals(), *vars(test_laws_of_requests)]
    laws = {int(name.split("_")[2]) for name in names if name.startswith("test_law_")}
    assert laws == set(range(1, 12))
