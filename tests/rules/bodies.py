"""Requests of every protocol, and rules, drawn; and their JSON, laid out in every way that JSON allows."""

import json
from typing import Any

from hypothesis import strategies as st

from gateway.core.groups import PromptRule, Replacement, Rules
from gateway.protocols.codec import Endpoint

ENDPOINTS = {
    "anthropic": Endpoint("anthropic", "generate", "/v1/messages"),
    "anthropic count": Endpoint("anthropic", "count", "/v1/messages/count_tokens"),
    "openai_chat": Endpoint("openai_chat", "generate", "/v1/chat/completions"),
    "openai_responses": Endpoint("openai_responses", "generate", "/v1/responses"),
    "gemini": Endpoint("gemini", "generate", "", "generateContent"),
    "gemini count": Endpoint("gemini", "count", "", "countTokens"),
    "ollama chat": Endpoint("ollama", "generate", "/api/chat", "chat"),
    "ollama generate": Endpoint("ollama", "generate", "/api/generate", "generate"),
}

texts = st.text(alphabet='aab"\\\né😀\ud83d{],', max_size=5)
system_texts = texts | st.sampled_from(
    ["x-anthropic-billing-header: cch=ab;", "You are Claude Code, Anthropic's official CLI for Claude.", "aab", "b"]
)
names = st.sampled_from(["Bash", "Read", "get_x", "get_y", "mcp__a__b"])
numbers = st.sampled_from([0, 1, 0.5, 0.7, 1.3, 2, 1e-7, 5])


def members(needed: dict[str, Any], maybe: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """In any order."""
    drawn = st.fixed_dictionaries(needed, optional=maybe)
    return drawn.flatmap(lambda found: st.permutations(list(found.items()))).map(dict)


def some(each: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[list[Any]]:
    return st.lists(each, max_size=most)


marks = {"cache_control": st.just({"type": "ephemeral"})}
knobs: dict[str, Any] = {
    "max_tokens": st.integers(1, 9) | st.none(),
    "top_p": numbers,
    "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 5}, {"type": "disabled"}, {"budget_tokens": 1}]),
    "metadata": st.dictionaries(st.sampled_from(["a", "b", "c"]), texts, max_size=2) | st.none(),
    "stop": st.just([]) | st.just("x"),
}
temperature = {"temperature": numbers | st.none()}


def part(kind: str) -> st.SearchStrategy[Any]:
    return members({"type": st.just(kind), "text": texts | system_texts}, marks)


def text(kind: str) -> st.SearchStrategy[Any]:
    image = st.just({"type": "image", "source": {"type": "base64", "data": "AA=="}})
    return system_texts | some(part(kind) | image)


def results() -> st.SearchStrategy[Any]:
    return st.lists(members({"type": st.just("tool_result"), "content": texts}, marks), min_size=1, max_size=2)


def turn(roles: list[str], content: Any, **more: Any) -> st.SearchStrategy[Any]:
    return members({"role": st.sampled_from(roles), "content": content}, more)


def chosen(name: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(["auto", "required"]) | name


def anthropic() -> st.SearchStrategy[Any]:
    tool = members({"name": names, "input_schema": st.just({"type": "object"})}, {"type": st.just("custom")})
    tool |= st.sampled_from([{"type": "web_search_1", "name": "web_search"}, {"type": "mcp_toolset"}])
    choice = st.sampled_from([{"type": "auto"}, {"type": "any"}]) | names.map(
        lambda name: {"type": "tool", "name": name}
    )
    user = turn(["user"], text("text") | results(), extra=texts)
    return members(
        {"messages": some(user | turn(["assistant", "system"], text("text")), 5)},
        {"system": text("text") | st.none(), "tools": some(tool), "tool_choice": choice, **temperature, **knobs},
    )


def openai_chat() -> st.SearchStrategy[Any]:
    function = members({"name": names}, {"parameters": st.just({"type": "object"})})
    tool = members({"function": function}, {"type": st.just("function")})
    tool |= names.map(lambda name: {"type": "custom", "custom": {"name": name}})
    named = names.map(lambda name: {"type": "function", "function": {"name": name}})
    allowed = some(named).map(lambda each: {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": each}})
    turns = turn(["system", "developer", "user", "assistant"], text("text"), name=texts) | turn(["tool"], texts)
    return members(
        {"messages": some(turns, 5)},
        {
            "tools": some(tool) | st.none(),
            "tool_choice": chosen(named | allowed),
            "parallel_tool_calls": st.booleans(),
            "functions": some(function, 2),
            "function_call": st.just("auto") | names.map(lambda name: {"name": name}),
            **temperature,
            **knobs,
            "max_completion_tokens": st.integers(1, 9),
        },
    ).filter(lambda found: not {"max_tokens", "max_completion_tokens"} <= found.keys())


def openai_responses() -> st.SearchStrategy[Any]:
    function = names.map(lambda name: {"type": "function", "name": name, "parameters": {}})
    custom = names.map(lambda name: {"type": "custom", "name": name})
    space = some(function, 3).map(lambda inner: {"type": "namespace", "name": "space", "tools": inner})
    tool = function | custom | space | st.sampled_from([{"type": "web_search"}, {"type": "mcp", "server_label": "x"}])
    allowed = some(function | st.just({"type": "web_search"})).map(
        lambda each: {"type": "allowed_tools", "tools": each}
    )
    named = function | custom | allowed | st.sampled_from([{"type": "web_search"}, {"type": "mcp", "name": "q"}])
    item = turn(["user", "developer", "assistant"], text("input_text"), type=st.just("message"))
    item |= st.just({"type": "function_call_output", "call_id": "c", "output": "ab"})
    later = some(tool, 2).map(lambda inner: {"type": "additional_tools", "role": "developer", "tools": inner})
    opening = some(turn(["system", "developer"], text("input_text")) | later, 3)
    items = st.tuples(opening, some(item | later, 4)).map(lambda both: [*both[0], *both[1]])
    return members(
        {"input": texts | items},
        {
            "instructions": system_texts | st.none(),
            "tools": some(tool),
            "tool_choice": chosen(named),
            **temperature,
            **knobs,
        },
    )


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


def spelled(found: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each member in one of its spellings."""
    ways = st.lists(st.booleans(), min_size=len(found), max_size=len(found))
    return ways.map(
        lambda flips: {snake(n) if flip else n: v for flip, (n, v) in zip(flips, found.items(), strict=True)}
    )


def gemini_request() -> st.SearchStrategy[Any]:
    function = names.map(lambda name: {"name": name, "parameters": {"type": "OBJECT"}})
    declared = {"functionDeclarations": some(function, 3) | function}
    own = {"googleSearch": st.just({}), "codeExecution": st.just({})}
    tool = members({}, {**declared, **own}).flatmap(spelled)
    calling = members({}, {"mode": st.just("ANY"), "allowedFunctionNames": some(names, 3)}).flatmap(spelled)
    config = members({}, {"functionCallingConfig": calling, "retrievalConfig": st.just({})}).flatmap(spelled)
    piece = members({"text": texts}, {"thought": st.booleans()}) | st.just({"inlineData": {"data": "AA=="}})
    answer = st.just({"functionResponse": {"name": "x"}}) | st.just({"function_response": {"name": "x"}})
    parts = {"parts": piece | some(piece | answer) | answer}
    content = members({}, {"role": st.sampled_from(["user", "model", "function", "system"]), **parts})
    generation = members(
        {}, {**temperature, "maxOutputTokens": st.integers(1, 9), "thinkingConfig": st.just({"thinkingBudget": 1})}
    ).flatmap(spelled)
    return members(
        {"contents": some(content, 5) | content},
        {
            "systemInstruction": members({}, {"role": st.just("x"), **parts}) | st.none(),
            "tools": some(tool) | tool,
            "toolConfig": config,
            "generationConfig": generation | st.none(),
            "labels": st.dictionaries(st.sampled_from(["a", "b"]), texts, max_size=2),
        },
    ).flatmap(spelled)


def gemini_count() -> st.SearchStrategy[Any]:
    return gemini_request() | gemini_request().map(lambda inner: {"generateContentRequest": inner}).flatmap(spelled)


def ollama_chat() -> st.SearchStrategy[Any]:
    tool = names.map(lambda name: {"type": "function", "function": {"name": name}})
    turns = turn(["system", "user", "assistant", "tool"], texts, images=st.just(["AA=="]))
    options = members({}, {**temperature, "num_predict": st.integers(1, 9), "stop": st.just(["x"])})
    return members({"messages": some(turns, 5)}, {"tools": some(tool), "options": options, "think": st.booleans()})


def ollama_generate() -> st.SearchStrategy[Any]:
    options = members({}, {**temperature, "num_predict": st.integers(1, 9)})
    return members({}, {"prompt": texts, "system": texts | st.none(), "options": options, "raw": st.booleans()})


BODIES = {
    "anthropic": anthropic(),
    "anthropic count": anthropic(),
    "openai_chat": openai_chat(),
    "openai_responses": openai_responses(),
    "gemini": gemini_request(),
    "gemini count": gemini_count(),
    "ollama chat": ollama_chat(),
    "ollama generate": ollama_generate(),
}

params = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(1, 9),
        "top_p": numbers | st.none(),
        "temperature": numbers,
        "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 7}, {"type": "disabled"}, {"display": "x"}]),
        "metadata": st.dictionaries(st.sampled_from(["a", "b", "c"]), st.just("é"), max_size=2),
        "tool_choice": st.sampled_from(["none", {"type": "any"}, {"type": "allowed_tools", "tools": []}]),
        "parallel_tool_calls": st.booleans(),
        "toolConfig": st.just({"function_calling_config": {"mode": "AUTO"}}),
        "generationConfig": st.sampled_from(
            [{"temperature": 0.25}, {"max_output_tokens": 3, "topK": 1}, {"thinkingConfig": {"thinking_budget": 9}}]
        ),
        "generation_config": st.just({"maxOutputTokens": 8}),
        "options": st.sampled_from([{"temperature": 0.25}, {"num_ctx": 3, "stop": []}, {}]),
        "labels": st.just({"b": "x"}),
        "model": st.just("other"),
        "messages": st.just([]),
    },
).filter(lambda found: not {"generationConfig", "generation_config"} <= found.keys())

plain = st.text(alphabet='ab"\\\né😀', min_size=1, max_size=4)
prompts = st.builds(
    PromptRule,
    mode=st.sampled_from(["off", "append", "prepend", "replace"]),
    position=st.sampled_from(["system", "user"]),
    text=plain.map(lambda text: "T" + text),  # of no request, so that what is put can be told from what was there
    only_models=st.sampled_from([(), ("m*",), ("other",)]),
    only_with_tools=st.booleans(),
    replace=st.lists(st.builds(Replacement, find=plain, with_=plain | st.just("")), max_size=2).map(tuple),
)
rules = st.builds(
    Rules,
    prompt=st.just(PromptRule()) | prompts,
    temperature_ratio=st.sampled_from([1.0, 0.5, 1.5, 0.0]),
    tools_removed=st.sampled_from(
        [(), ("get_*",), ("Bash", "web_search"), ("*",), ("mcp",), ("code_*", "Read"), ("g?t_x", "[")]
    ),
    params_default=st.just({}) | params,
    params_override=st.just({}) | params,
)

blanks = st.text(alphabet=" \t\n\r", max_size=2)


@st.composite
def laid_out(draw: st.DrawFn, value: Any) -> bytes:
    """JSON with blanks between any two tokens, and texts escaped or not."""
    gaps = draw(st.lists(blanks, min_size=1, max_size=6))
    escaped = draw(st.booleans())
    count = 0

    def gap() -> str:
        nonlocal count
        count += 1
        return gaps[count % len(gaps)]

    def string(text: str) -> str:
        lone = any("\ud800" <= letter <= "\udfff" for letter in text)
        return json.dumps(text, ensure_ascii=escaped or lone)

    def written(each: Any) -> str:
        if isinstance(each, dict):
            return (
                "{" + ",".join(f"{gap()}{string(n)}{gap()}:{gap()}{written(v)}{gap()}" for n, v in each.items()) + "}"
            )
        if isinstance(each, list):
            return "[" + (",".join(f"{gap()}{written(v)}{gap()}" for v in each) or gap()) + "]"
        return string(each) if isinstance(each, str) else json.dumps(each)

    return (gap() + written(value) + gap()).encode()
