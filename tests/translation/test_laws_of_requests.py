"""Laws 4 to 8 of translation, of requests, each over all directions that it speaks of. What needs a gateway is in
`tests.conformance.test_laws`."""

import json
from typing import Any

import pytest

from gateway.translation import SPEECHES
from gateway.translation.anthropic.build import VERSION
from gateway.translation.efforts import BUDGETS, budget_of, effort_of
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
from tests.translation.bodies import NAMES, SAMPLING, SCHEMA, built, plain, read, rounds, sent, spoken
from tests.translation.ways import HI, clients, through, upstreams
from tests.translation.wires import CALLING, Called, Said

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


@upstreams
def test_law_4_a_result_that_comes_late_or_of_no_call_is_nothing_that_an_upstream_refuses(upstream: str) -> None:
    """Responses' clients may give them anywhere."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    late, lost = ({"type": "function_call_output", "call_id": each, "output": each + "!"} for each in ("c1", "c2"))
    talk = [{"role": role, "content": "so"} for role in ("user", "assistant", "user")]
    body = sent(upstream, read("openai_responses", {"model": "m", "input": [talk[0], call, *talk, late, lost]}))
    seen = rounds(upstream, body)
    (call_id,) = (call_id for call_id, _, _ in seen.calls)
    results = dict(seen.results)
    assert results[call_id] == "c1!"
    assert [*results] == [call_id]
    assert "c2!" in json.dumps(body)


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


@pytest.mark.parametrize("upstream", ["anthropic", "converse", "openai_chat", "openai_responses"])
def test_law_4_names_of_geminis_clients_are_written_in_letters_that_are_taken_and_read_back(upstream: str) -> None:
    tools = [{"functionDeclarations": [{"name": "fs.read"}]}]
    forced = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["fs.read"]}}
    call, result = {"name": "fs.read", "args": {}}, {"name": "fs.read", "response": {"output": "r"}}
    contents = [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": call}]},
        {"role": "user", "parts": [{"functionResponse": result}]},
    ]
    text = json.dumps(sent(upstream, read("gemini", {"contents": contents, "tools": tools, "toolConfig": forced})))
    assert "fs.read" not in text
    assert text.count('"fs_u2e_read"') == 3
    said = Said(CALLING[upstream], calls=(Called("c1", "fs_u2e_read"),))
    for stream in (True, False):
        assert [name for _, name, _ in through("gemini", upstream, said, stream).calls] == ["fs.read"]


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
