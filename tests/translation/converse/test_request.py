"""Requests for Converse beyond their messages, one row a feature."""

import json
import time

import pytest

from gateway.translation import converse
from gateway.translation.prompt import (
    Call,
    Choice,
    Document,
    Format,
    Image,
    Prompt,
    Reasoning,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
    Untranslatable,
)
from gateway.translation.speech import Limits
from tests.translation.converse.judge import judged
from tests.translation.converse.test_content import CACHE, CLAUDE, HOUR, LLAMA, NOVA, POINT, SEALED
from tests.translation.ollama.test_parse import SCHEMA

ADAPTIVE = Limits("us.anthropic.claude-sonnet-4-6")
GPT = Limits("openai.gpt-oss-120b-1:0")
NOVA_2 = Limits("us.amazon.nova-2-lite-v1:0")
QWEN = Limits("qwen.qwen3-32b-v1:0")
HI = Turn("user", (Text("hi"),))
USED = (HI, Turn("assistant", (Call("c", "f"),)), Turn("user", (Result("c", (Text("x"),)),)))
NOTHING = {"type": "object", "properties": {}}


def asked(**members) -> Prompt:
    return Prompt("client's", (HI,), **members)


def built(prompt: Prompt, limits: Limits = CLAUDE) -> tuple[dict[str, object], tuple[str, ...]]:
    found = converse.build(prompt, limits)
    body = judged(found.body)
    del body["messages"]
    return body, found.adjusted


def spec(name: str, schema: object = NOTHING, **more: object) -> dict[str, object]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": schema}, **more}}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (asked(stream=True, include_usage=True), {}),
        (asked(system=(Text("a"), Text(""), Text("b", CACHE))), {"system": [{"text": "a"}, {"text": "b"}, POINT]}),
        (
            asked(max_tokens=5, temperature=0.0, top_p=0.0),
            {"inferenceConfig": {"maxTokens": 5, "temperature": 0.0, "topP": 0.0}},
        ),
        (
            asked(stop=("a",)),
            {
                "inferenceConfig": {"stopSequences": ["a"]},
                "additionalModelResponseFieldPaths": ["/stop_sequence", "/delta/stop_sequence"],
            },
        ),
        (asked(top_k=0), {"additionalModelRequestFields": {"top_k": 0}}),
        (
            asked(
                tools=(
                    Tool("f", "d", SCHEMA, strict=True),
                    Tool("g", " ", cache=CACHE),
                    Tool("h", schema={}, strict=False),
                )
            ),
            {
                "toolConfig": {
                    "tools": [spec("f", SCHEMA, description="d", strict=True), spec("g"), POINT, spec("h", {})],
                }
            },
        ),
        (
            asked(tools=(Tool("f"),), choice=Choice("auto", parallel=True)),
            {"toolConfig": {"tools": [spec("f")], "toolChoice": {"auto": {}}}},
        ),
        (
            asked(tools=(Tool("f"),), choice=Choice("required")),
            {"toolConfig": {"tools": [spec("f")], "toolChoice": {"any": {}}}},
        ),
        (
            asked(tools=(Tool("f"),), choice=Choice("one", "f")),
            {"toolConfig": {"tools": [spec("f")], "toolChoice": {"tool": {"name": "f"}}}},
        ),
        (asked(tools=(Tool("f"),), choice=Choice("none")), {}),
        (asked(choice=Choice("auto")), {}),
        (Prompt("m", USED), {"toolConfig": {"tools": [spec("f")]}}),
        (
            asked(format=Format("schema", SCHEMA, name="n", description="d", strict=True)),
            {
                "outputConfig": {
                    "textFormat": {
                        "type": "json_schema",
                        "structure": {
                            "jsonSchema": {
                                "schema": json.dumps(SCHEMA, separators=(",", ":")),
                                "name": "n",
                                "description": "d",
                            }
                        },
                    }
                }
            },
        ),
    ],
)
def test_members(prompt, expected):
    assert built(prompt) == (expected, ())


def test_a_free_tool_takes_one_text():
    body, _ = built(asked(tools=(Tool("f", custom=True),)))
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["required"] == ["input"]


def test_novas_own_names():
    assert built(asked(top_k=5), NOVA) == ({"additionalModelRequestFields": {"inferenceConfig": {"topK": 5}}}, ())
    body, adjusted = built(asked(system=(Text("s", HOUR),), tools=(Tool("f", cache=CACHE),)), NOVA)
    assert body == {"system": [{"text": "s"}, POINT], "toolConfig": {"tools": [spec("f")]}}
    assert adjusted == ("cache_control",)


def thinking(**more: object) -> dict[str, object]:
    return {"thinking": {"type": "enabled", **more}}


ON = Reasoning(enabled=True)


@pytest.mark.parametrize(
    ("reasoning", "limits", "fields", "adjusted"),
    [
        (Reasoning(), CLAUDE, None, ()),
        (Reasoning(shown=True), CLAUDE, None, ()),
        (Reasoning(enabled=False, budget=5), CLAUDE, {"thinking": {"type": "disabled"}}, ()),
        (Reasoning(enabled=False), GPT, None, ()),
        (ON, CLAUDE, thinking(budget_tokens=8192), ()),
        (Reasoning(budget=2000), CLAUDE, thinking(budget_tokens=2000), ()),
        (Reasoning(effort="minimal"), CLAUDE, thinking(budget_tokens=1024), ()),
        (Reasoning(effort="high"), CLAUDE, thinking(budget_tokens=16384), ()),
        (Reasoning(effort="high", budget=1500), CLAUDE, thinking(budget_tokens=1500), ()),
        (Reasoning(budget=0), CLAUDE, None, ("reasoning",)),
        (ON, ADAPTIVE, {"thinking": {"type": "adaptive"}}, ()),
        (
            Reasoning(effort="high"),
            ADAPTIVE,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            (),
        ),
        (
            Reasoning(effort="xhigh"),
            ADAPTIVE,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            ("reasoning.effort",),
        ),
        (
            Reasoning(enabled=True, budget=5000),
            ADAPTIVE,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
            ("reasoning.budget",),
        ),
        (ON, Limits("anthropic.claude-opus-5"), {"thinking": {"type": "adaptive"}}, ()),
        (ON, Limits("us.anthropic.claude-3-7-sonnet-20250219-v1:0"), thinking(budget_tokens=8192), ()),
        (Reasoning(effort="low"), GPT, {"reasoning_effort": "low"}, ()),
        (ON, GPT, {"reasoning_effort": "medium"}, ()),
        (Reasoning(effort="minimal"), GPT, {"reasoning_effort": "low"}, ("reasoning.effort",)),
        (Reasoning(effort="high"), QWEN, {"reasoning_config": "high"}, ()),
        (Reasoning(effort="low"), NOVA_2, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, ()),
        (Reasoning(effort="low"), NOVA, None, ("reasoning",)),
        (ON, LLAMA, None, ("reasoning",)),
    ],
)
def test_thinking_is_asked_for_in_the_makers_words(reasoning, limits, fields, adjusted):
    body, said = built(asked(reasoning=reasoning), limits)
    assert (body.get("additionalModelRequestFields"), said) == (fields, adjusted)


LOOP = (HI, Turn("assistant", (Thinking("t", SEALED), Call("c", "f"))), Turn("user", (Result("c"),)))


@pytest.mark.parametrize(
    ("prompt", "limits", "fields", "adjusted"),
    [
        (asked(reasoning=ON, max_tokens=4000), CLAUDE, thinking(budget_tokens=3999), ("reasoning.budget",)),
        (asked(reasoning=ON, max_tokens=1024), CLAUDE, None, ("reasoning.budget", "reasoning")),
        (asked(reasoning=ON), Limits(CLAUDE.model, 4000), thinking(budget_tokens=3999), ("reasoning.budget",)),
        (asked(reasoning=ON, tools=(Tool("f"),), choice=Choice("required")), CLAUDE, None, ("reasoning",)),
        (asked(reasoning=ON, tools=(Tool("f"),), choice=Choice("one", "f")), ADAPTIVE, None, ("reasoning",)),
        (Prompt("m", USED, reasoning=ON), CLAUDE, None, ("reasoning",)),
        (Prompt("m", USED, reasoning=ON), ADAPTIVE, {"thinking": {"type": "adaptive"}}, ()),
        (Prompt("m", LOOP, reasoning=ON), CLAUDE, thinking(budget_tokens=8192), ()),
    ],
)
def test_where_claude_cannot_think(prompt, limits, fields, adjusted):
    body, said = built(prompt, limits)
    assert (body.get("additionalModelRequestFields"), said) == (fields, adjusted)


def test_a_thinking_claude_takes_no_sampling():
    body, adjusted = built(asked(reasoning=ON, temperature=0.5, top_p=0.9, top_k=5))
    assert body == {"additionalModelRequestFields": thinking(budget_tokens=8192)}
    assert adjusted == ("temperature", "top_p", "top_k")
    assert built(asked(reasoning=ON, top_p=0.95))[0]["inferenceConfig"] == {"topP": 0.95}


BOTH = {"temperature": 0.5, "top_p": 0.9}
GEMINI_CLI = {"temperature": 1, "top_p": 0.95, "top_k": 64}


@pytest.mark.parametrize(
    ("model", "sampling", "taken", "own", "adjusted"),
    [
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", BOTH, {"temperature": 0.5, "topP": 0.9}, None, ()),
        ("us.amazon.nova-pro-v1:0", BOTH, {"temperature": 0.5, "topP": 0.9}, None, ()),
        ("anthropic.claude-opus-4-1-20250805-v1:0", BOTH, {"temperature": 0.5}, None, ("top_p",)),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", GEMINI_CLI, {"topP": 0.95}, {"top_k": 64}, ()),
        ("us.anthropic.claude-sonnet-4-6", {"temperature": 1}, {"temperature": 1}, None, ()),
        ("anthropic.claude-opus-4-7", GEMINI_CLI, None, None, ("top_p", "top_k")),
        ("anthropic.claude-opus-4-7", BOTH, None, None, ("temperature", "top_p")),
    ],
)
def test_sampling_is_what_the_version_of_claude_takes(model, sampling, taken, own, adjusted):
    body, said = built(asked(**sampling), Limits(model))
    assert (body.get("inferenceConfig"), body.get("additionalModelRequestFields"), said) == (taken, own, adjusted)


ADJUSTED = [
    ("system.position", Prompt("m", (HI, Turn("system", (Text("s"),)))), CLAUDE, {"system": [{"text": "s"}]}),
    ("image.detail", Prompt("m", (Turn("user", (Image("image/png", "AAAA", detail="low"),)),)), CLAUDE, {}),
    ("document.name", Prompt("m", (Turn("user", (Text("a"), Document(text="b", name="a_b"))),)), CLAUDE, {}),
    ("parallel_tool_calls", asked(choice=Choice(parallel=False)), CLAUDE, {}),
    ("strict", asked(tools=(Tool("f", strict=True),)), LLAMA, {"toolConfig": {"tools": [spec("f")]}}),
    ("thinking", Prompt("m", (HI, Turn("assistant", (Thinking("t", Sealed("gemini", "x")),)))), CLAUDE, {}),
    ("cache_control", asked(system=(Text("s", CACHE),)), LLAMA, {"system": [{"text": "s"}]}),
    ("max_tokens", asked(max_tokens=9), Limits("m", 5), {"inferenceConfig": {"maxTokens": 5}}),
    ("temperature", asked(temperature=1.5), LLAMA, {"inferenceConfig": {"temperature": 1}}),
    ("temperature", asked(temperature=-1.0), LLAMA, {"inferenceConfig": {"temperature": 0}}),
    ("top_p", asked(top_p=1.5), LLAMA, {"inferenceConfig": {"topP": 1}}),
    ("top_k", asked(top_k=5), LLAMA, {}),
    ("seed", asked(seed=0), CLAUDE, {}),
    ("presence_penalty", asked(presence_penalty=0.0), CLAUDE, {}),
    ("frequency_penalty", asked(frequency_penalty=0.0), CLAUDE, {}),
    ("reasoning", asked(reasoning=ON), LLAMA, {}),
    ("reasoning.budget", asked(reasoning=Reasoning(budget=5000)), GPT, None),
    ("reasoning.effort", asked(reasoning=Reasoning(effort="xhigh")), GPT, None),
    ("metadata", asked(metadata={}), CLAUDE, {}),
    ("user", asked(user=""), CLAUDE, {}),
    ("service_tier", asked(service_tier="priority"), CLAUDE, {}),
]
REFUSED = [
    ("logprobs", asked(logprobs=0)),
    ("response_format", asked(format=Format("json"))),
    ("tools.name", asked(tools=(Tool("a" * 65),))),
    ("tool_choice", Prompt("m", USED, tools=(Tool("f"),), choice=Choice("none"))),
]


@pytest.mark.parametrize(("name", "prompt", "limits", "expected"), ADJUSTED)
def test_what_is_left_out_is_said(name, prompt, limits, expected):
    body, adjusted = built(prompt, limits)
    assert adjusted == (name,)
    assert expected is None or body == expected


@pytest.mark.parametrize(("name", "prompt"), REFUSED)
def test_what_would_change_the_answer_is_refused(name, prompt):
    with pytest.raises(Untranslatable) as caught:
        converse.build(prompt, CLAUDE)
    assert caught.value.field == name


def test_half_of_an_emoji_goes_through():
    body = converse.build(Prompt("m", (Turn("user", (Text("\ud83d"),)),)), CLAUDE).body
    assert json.loads(body)["messages"][0]["content"] == [{"text": "\ud83d"}]


def test_it_is_quick():
    tools = tuple(Tool(f"tool_{n}", "what it does " * 10, SCHEMA | {"title": str(n)}) for n in range(20))
    turns = []
    for n in range(10):
        turns += [
            Turn("user", (Text("question " * 40),)),
            Turn("assistant", (Thinking("hm " * 40, SEALED), Text("words " * 40), Call(f"c{n}", "tool_1", '{"a": 1}'))),
            Turn("user", (Result(f"c{n}", (Text("found " * 100),), "tool_1"),)),
            Turn("assistant", (Text("so " * 40),)),
        ]
    prompt = Prompt("m", tuple(turns), system=(Text("be " * 100),), tools=tools)
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        converse.build(prompt, CLAUDE)
        taken.append(time.perf_counter() - start)
    print(f"build of 40 messages and 20 tools: {min(taken) * 1e6:.0f} µs")
    assert min(taken) < 1.5e-3
