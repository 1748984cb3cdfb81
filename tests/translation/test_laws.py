"""Laws 1 to 11 of translation, each over all directions that it speaks of. What needs a gateway is in
`tests.conformance.test_laws`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.protocols.codec import InvalidBody, Usage
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.anthropic.build import VERSION
from gateway.translation.efforts import BUDGETS, budget_of, effort_of
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened
from gateway.translation.prompt import (
    Call,
    Choice,
    Prompt,
    Reasoning,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
)
from tests.translation import grammar_anthropic, grammar_openai_chat, grammar_openai_responses
from tests.translation.bodies import NAMES, SAMPLING, SCHEMA, built, plain, read, rounds, sent, spoken
from tests.translation.generate import answers
from tests.translation.hearing import ASKING, found, heard, told
from tests.translation.wires import CALLING, PLAIN, Called, Said, wire

clients = pytest.mark.parametrize("client", SPEECHES)
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
HI = Turn("user", (Text("hi"),))


def through(client: str, upstream: str, said: Said, stream: bool) -> Any:
    """What the client finds of what the upstream says."""
    return found(client, told(client, heard(upstream, wire(upstream, said, stream), stream), stream), stream)


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


# ---------------------------------------------------------------- 4: results


@clients
@upstreams
def test_law_4_each_result_is_that_of_its_call(client: str, upstream: str) -> None:
    """The client gives them the other way round, some without ids."""
    seen = rounds(upstream, sent(upstream, read(client, spoken(client))))
    assert [(name, arguments) for _, name, arguments in seen.calls] == [("f", {"a": 1}), ("g", {})]
    assert dict(seen.results) == {seen.calls[0][0]: "r0", seen.calls[1][0]: "r1"}
    assert seen.last == "and?"
    if upstream in ("anthropic", "gemini", "ollama"):  # where their order tells
        assert [text for _, text in seen.results] == ["r0", "r1"]


@clients
@upstreams
def test_law_4_all_results_are_together_before_what_the_user_says(client: str, upstream: str) -> None:
    body = sent(upstream, read(client, spoken(client)))
    roles = rounds(upstream, body).roles
    assert (
        roles
        == {
            "anthropic": "uau",
            "converse": "uau",
            "gemini": "umu",
            "ollama": "suattu",
            "openai_chat": "suattu",
            "openai_responses": "uaccttu",
        }[upstream]
    )
    if upstream == "anthropic":
        assert [block["type"] for block in body["messages"][-1]["content"]] == ["tool_result", "tool_result", "text"]
    if upstream == "gemini":
        assert ["functionResponse" in part for part in body["contents"][-1]["parts"]] == [True, True, False]


@clients
@upstreams
@pytest.mark.parametrize("answered", [(), (1,)])
def test_law_4_a_call_without_a_result_gets_one_that_says_so(
    client: str, upstream: str, answered: tuple[int, ...]
) -> None:
    body = sent(upstream, read(client, spoken(client, answered=answered)))
    seen = rounds(upstream, body)
    results = dict(seen.results)
    assert [*results] == [call_id for call_id, _, _ in seen.calls] or len(results) == 2
    missing = results[seen.calls[0][0]]
    assert any(word in missing for word in ("not answered", "no result", "No result", "missing"))
    if answered:
        assert results[seen.calls[1][0]] == "r1"
    text = json.dumps(body)
    marks = {"anthropic": '"is_error": true', "converse": '"status": "error"', "gemini": '"response": {"error"'}
    assert marks.get(upstream, "") in text


IDS = (
    ("toolu_01A", "call_b"),
    ("fs.read:1", "é/2"),
    ("x" * 70, "x" * 71),
    ("a_u2e_b", "a.b"),
)


@upstreams
@pytest.mark.parametrize("client", ["anthropic", "openai_chat", "openai_responses"])
@pytest.mark.parametrize("ids", IDS)
def test_law_4_ids_pair_however_they_are_written(client: str, upstream: str, ids: tuple[str, str]) -> None:
    if client == "anthropic" and "." in ids[1]:
        return  # its clients have no such ids: the one is how the gateway writes the other for them
    seen = rounds(upstream, sent(upstream, read(client, spoken(client, ids))))
    first, second = (call_id for call_id, _, _ in seen.calls)
    assert first != second
    assert dict(seen.results) == {first: "r0", second: "r1"}


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "converse"])
@pytest.mark.parametrize("ids", IDS)
def test_law_4_anthropics_clients_give_an_upstreams_ids_back(upstream: str, ids: tuple[str, str]) -> None:
    """What the client is told keeps to Anthropic's letters; what the upstream is sent is what it said, where it takes
    so many."""
    calls = tuple(Called(call_id, name) for call_id, name in zip(ids, NAMES, strict=True))
    answer = through("anthropic", upstream, Said(CALLING[upstream], calls=calls), True)
    given = [call_id for call_id, _, _ in answer.calls]
    assert all(
        set(call_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for call_id in given
    )
    back = rounds(upstream, sent(upstream, read("anthropic", spoken("anthropic", given))))
    if upstream != "converse" and max(map(len, ids)) <= 40:
        assert [call_id for call_id, _, _ in back.calls] == [*ids]
    assert [call_id for call_id, _ in sorted(back.results, key=lambda each: each[1])] == [
        call_id for call_id, _, _ in back.calls
    ]


def test_law_4_gemini_is_told_names_from_the_history() -> None:
    """A result of another protocol names the call, not the tool."""
    body = sent("gemini", read("openai_chat", spoken("openai_chat")))
    responses = [part["functionResponse"]["name"] for part in body["contents"][-1]["parts"][:2]]
    assert responses == ["f", "g"]


# ---------------------------------------------------------------- 5: presence

ZERO = {"temperature": 0, "top_p": 0, "top_k": 0, "seed": 0, "presence_penalty": 0, "frequency_penalty": 0}
#: Where an upstream's request has them.
PLACES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "anthropic": ((), {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k"}),
    "openai_chat": (
        (),
        {each: each for each in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")},
    ),
    "openai_responses": ((), {"temperature": "temperature", "top_p": "top_p"}),
    "gemini": (
        ("generationConfig",),
        {
            "temperature": "temperature",
            "top_p": "topP",
            "top_k": "topK",
            "seed": "seed",
            "presence_penalty": "presencePenalty",
            "frequency_penalty": "frequencyPenalty",
        },
    ),
    "ollama": (("options",), {name: name for name in ZERO}),
    "converse": (("inferenceConfig",), {"temperature": "temperature", "top_p": "topP"}),
}


def sampled(upstream: str, body: Any) -> dict[str, Any]:
    """What an upstream is told, by names of a Prompt."""
    path, names = PLACES[upstream]
    for step in path:
        body = body.get(step, {})
    return {name: body[theirs] for name, theirs in names.items() if theirs in body}


@clients
@upstreams
def test_law_5_nought_is_a_value(client: str, upstream: str) -> None:
    known = [name for name in ZERO if name in SAMPLING[client]]
    prompt = read(client, plain(client, **dict.fromkeys(known, 0)))
    assert sampled(upstream, sent(upstream, prompt)) == {name: 0 for name in known if name in PLACES[upstream][1]}
    unsaid = {name for name in known if name not in PLACES[upstream][1]}
    assert unsaid <= set(built(upstream, prompt).adjusted)


@clients
@upstreams
@pytest.mark.parametrize("temperature", [0, 0.1, 0.5, 1, 1.3, 2])
def test_law_5_temperature_is_scaled_by_nobody_and_clamped_aloud(
    client: str, upstream: str, temperature: float
) -> None:
    prompt = read(client, plain(client, temperature=temperature))
    most = 1 if upstream in ("anthropic", "converse") else 2
    assert sampled(upstream, sent(upstream, prompt))["temperature"] == min(temperature, most)
    adjusted = built(upstream, prompt).adjusted
    assert ("temperature" in adjusted) is (temperature > most)


@clients
@upstreams
def test_law_5_what_is_not_said_is_not_made_up(client: str, upstream: str) -> None:
    assert sampled(upstream, sent(upstream, read(client, plain(client)))) == {}


@upstreams
def test_law_5_false_and_nothing_are_values(upstream: str) -> None:
    tools = (Tool("f", "", {}),)
    body = sent(upstream, Prompt("m", (HI,), tools=tools, choice=Choice(parallel=False), reasoning=Reasoning(False)))
    told_so = {
        "anthropic": (body.get("tool_choice"), body.get("thinking")),
        "openai_chat": (body.get("parallel_tool_calls"), body.get("reasoning_effort")),
        "openai_responses": (body.get("parallel_tool_calls"), body.get("reasoning")),
        "gemini": (None, body.get("generationConfig")),
        "ollama": (None, body.get("think")),
        "converse": (None, body.get("additionalModelRequestFields")),
    }[upstream]
    assert (
        told_so
        == {
            "anthropic": ({"type": "auto", "disable_parallel_tool_use": True}, {"type": "disabled"}),
            "openai_chat": (False, "none"),
            "openai_responses": (False, {"effort": "none"}),
            "gemini": (None, {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}),
            "ollama": (None, False),
            "converse": (None, None),
        }[upstream]
    )


# ---------------------------------------------------------------- 6: Gemini's schemas

STRICT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}}},
    "properties": {
        "where": {"$ref": "#/$defs/place"},
        "kind": {"const": "x"},
        "when": {"type": ["string", "null"], "format": "date-time"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "never": False,
    },
    "required": ["where", "kind", "never", "unknown"],
}


@clients
def test_law_6_schemas_are_what_gemini_accepts(client: str) -> None:
    body = json.loads(json.dumps(spoken(client)).replace(json.dumps(SCHEMA), json.dumps(STRICT)))
    declared = sent("gemini", read(client, body))["tools"][0]["functionDeclarations"][0]["parameters"]
    text = json.dumps(declared)
    assert not any(word in text for word in ("$ref", "$defs", "$schema", "additionalProperties", "const"))
    properties = declared["properties"]
    assert properties["where"] == {"type": "OBJECT", "properties": {"city": {"type": "STRING", "minLength": 1}}}
    assert properties["kind"] == {"type": "STRING", "enum": ["x"]}
    assert properties["when"]["nullable"] is True
    assert properties["either"] == {"type": "INTEGER", "nullable": True}
    assert set(declared["required"]) <= set(properties)
    assert {"where", "kind"} <= set(declared["required"])


# ---------------------------------------------------------------- 7: what Anthropic needs


@clients
def test_law_7_max_tokens_is_always_said(client: str) -> None:
    body = plain(client)
    assert sent("anthropic", read(client, body))["max_tokens"] == 8192
    assert json.loads(built("anthropic", read(client, body), most=64_000).body)["max_tokens"] == 64_000
    named = read(client, plain(client, max_tokens=77))
    assert json.loads(built("anthropic", named, most=64_000).body)["max_tokens"] == 77
    beyond = built("anthropic", read(client, plain(client, max_tokens=99)), most=50)
    assert json.loads(beyond.body)["max_tokens"] == 50
    assert beyond.adjusted == ("max_tokens",)


TURNS = [
    Turn("assistant", (Text("first"),)),
    Turn("user", (Text(" "), Text("a"))),
    Turn("user", (Text("b"),)),
    Turn("assistant", (Text(""),)),
    Turn("user", (Text("c"), Result("lost", (Text("r"),)))),
    Turn("assistant", (Text("d"), Call("c1", "f"))),
    Turn("assistant", (Text("e"), Call("c2", "g"))),
    Turn("user", (Text(""), Result("c2", (Text(""),)))),
    Turn("system", (Text("s"),)),
    Turn("assistant", (Text(" \n"),)),
]


def test_law_7_roles_alternate_and_no_text_is_empty() -> None:
    for start in range(len(TURNS)):
        for end in range(start + 1, len(TURNS) + 1):
            body = sent("anthropic", Prompt("m", (HI, *TURNS[start:end])))
            roles = [message["role"] for message in body["messages"]]
            assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2), (start, end)
            blocks = [block for message in body["messages"] for block in message["content"]]
            inner = [each for block in blocks if block["type"] == "tool_result" for each in block.get("content", ())]
            assert all(each["text"].strip() for each in [*blocks, *inner] if each["type"] == "text")
            assert blocks


# ---------------------------------------------------------------- 8: versions and thinking


@pytest.mark.parametrize(
    ("client", "name"),
    [(client, name) for client in SPEECHES for name in ("temperature", "top_p", "top_k") if name in SAMPLING[client]],
)
def test_law_8_a_request_that_samples_goes_with_the_last_version_that_may(client: str, name: str) -> None:
    assert built("anthropic", read(client, plain(client, **{name: 0}))).headers == (VERSION,)
    assert VERSION == (b"anthropic-version", b"2023-06-01")
    assert built("anthropic", read(client, plain(client))).headers == ()


def test_law_8_efforts_and_budgets_are_one_table() -> None:
    assert dict(BUDGETS) == {"minimal": 1024, "low": 4096, "medium": 8192, "high": 16384, "xhigh": 32768}
    for effort, budget in BUDGETS.items():
        assert budget_of(effort) == budget
        assert effort_of(budget) == effort
        assert effort_of(budget - 1) == effort


@pytest.mark.parametrize("effort", BUDGETS)
def test_law_8_every_protocol_goes_by_the_table(effort: str) -> None:
    """An effort of a chat client is Claude's budget, and back."""
    prompt = read("openai_chat", plain("openai_chat", max_tokens=60_000) | {"reasoning_effort": effort})
    thinking = sent("anthropic", prompt, "claude-sonnet-4-5")["thinking"]
    assert thinking == {"type": "enabled", "budget_tokens": BUDGETS[effort]}  # type: ignore[index]
    back = read("anthropic", plain("anthropic", max_tokens=60_000) | {"thinking": thinking})
    assert sent("openai_chat", back)["reasoning_effort"] == effort
    assert sent("openai_responses", back)["reasoning"]["effort"] == effort
    gemini = sent("gemini", prompt, "gemini-2.5-pro")["generationConfig"]["thinkingConfig"]
    assert gemini["thinkingBudget"] == BUDGETS[effort]  # type: ignore[index]


@pytest.mark.parametrize("room", [1, 1024, 1025, 2048, 8192, 40_000])
@pytest.mark.parametrize("effort", BUDGETS)
def test_law_8_a_budget_is_below_max_tokens(effort: Any, room: int) -> None:
    prompt = Prompt("m", (HI,), max_tokens=room, reasoning=Reasoning(True, effort))
    for upstream, place in (("anthropic", None), ("converse", "additionalModelRequestFields")):
        body = sent(upstream, prompt, "anthropic.claude-sonnet-4-5-v1:0" if place else "claude-sonnet-4-5")
        thinking = (body.get(place, {}) if place else body).get("thinking")
        if thinking is not None:
            assert 1024 <= thinking["budget_tokens"] < room
        else:
            assert "reasoning" in built(upstream, prompt, "anthropic.claude-sonnet-4-5-v1:0" if place else "m").adjusted


def test_law_8_thinking_stands_first_in_its_turn() -> None:
    signed = Thinking("t", Sealed("anthropic", "c2ln"))
    turn = Turn("assistant", (Text("a"), signed, Call("c1", "f")))
    for upstream, member in (("anthropic", "type"), ("converse", None)):
        first = sent(upstream, Prompt("m", (HI, turn)), "anthropic.claude-sonnet-4-5")["messages"][1]["content"][0]
        assert first[member] == "thinking" if member else "reasoningContent" in first


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
    names = [name for name in globals() if name.startswith("test_law_")]
    assert {int(name.split("_")[2]) for name in names} == set(range(1, 12))
