"""Prompts that Anthropic can say in full: none of what its loss table names is in them."""

import json
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from gateway.translation.anthropic.strict import strict
from gateway.translation.prompt import (
    Call,
    Choice,
    Document,
    Format,
    Image,
    Part,
    Prompt,
    Reasoning,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
)
from tests.translation.generate import arguments, names, texts

caches = st.none() | st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
words = st.builds(lambda text, cache: Text(f"x{text}", cache), texts, caches)
data = st.binary(max_size=6).map(lambda raw: b64encode(raw).decode())
images = st.builds(
    Image, st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]), data, cache=caches
) | st.builds(Image, url=names, cache=caches)
documents = (
    st.builds(Document, st.just("application/pdf"), data, name=st.none() | names, cache=caches)
    | st.builds(Document, st.just("text/plain"), text=texts, name=st.none() | names, cache=caches)
    | st.builds(Document, url=names, cache=caches)
)
contents = st.lists(words | images | documents, max_size=3).map(tuple)
thoughts = st.builds(lambda text, seal: Thinking(text, Sealed("anthropic", f"s{seal}")), texts, names) | st.builds(
    lambda seal: Thinking("", Sealed("anthropic", f"s{seal}"), True), names
)
schemas = st.sampled_from(
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
    ]
)
tools = st.builds(Tool, names, st.none() | names, schemas, st.none() | st.booleans(), cache=caches).map(
    lambda tool: structs.replace(tool, schema=strict(tool.schema)) if tool.strict else tool
)
strange = names | st.from_regex(r"[a-z.:/ é]{1,12}", fullmatch=True)


@st.composite
def _round(draw: st.DrawFn, number: int) -> tuple[Turn, Turn]:
    """What the assistant says, with calls or without, and what the user says to it."""
    calls = [
        Call(f"{draw(strange)}{number}.{each}", draw(names), draw(arguments), cache=draw(caches))
        for each in range(draw(st.integers(0, 3)))
    ]
    said: list[Part] = [draw(thoughts), *draw(st.lists(words, max_size=2)), *calls]
    heard: list[Part] = [
        Result(call.id, draw(contents), call.name, draw(st.booleans()), cache=draw(caches)) for call in calls
    ]
    return Turn("assistant", tuple(said)), Turn("user", (*heard, draw(words), *draw(contents)))


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    turns: list[Turn] = [Turn("user", (draw(words), *draw(contents)))]
    for number in range(draw(st.integers(0, 4))):
        turns += draw(_round(number))
    given = tuple(draw(st.lists(tools, max_size=3, unique_by=lambda tool: tool.name)))
    model = draw(st.sampled_from(["claude-sonnet-4-0", "claude-opus-5-5"]))
    room = draw(st.integers(1025, 64000))
    reasoning = draw(_reasoning(model, room))
    thinks = reasoning.enabled is True
    modes = ["auto", "none", None] if thinks or not given else ["auto", "none", "required", "one"]
    mode: Any = draw(st.sampled_from(modes)) if given else None
    parallel = None if mode in (None, "none") else draw(st.none() | st.booleans())
    sampling = {} if thinks or model == "claude-opus-5-5" else draw(_sampling)
    return Prompt(
        model=model,
        turns=tuple(turns),
        system=tuple(draw(st.lists(words, max_size=2))),
        stream=draw(st.booleans()),
        tools=given,
        choice=Choice(mode, given[0].name if mode == "one" else None, parallel),
        max_tokens=room,
        stop=tuple(draw(st.lists(names, max_size=2))),
        format=draw(
            st.none() | st.just(Format("schema", {"type": "object", "additionalProperties": False}, strict=True))
        ),
        reasoning=reasoning,
        user=draw(st.none() | names),
        service_tier=draw(st.sampled_from([None, "auto", "standard_only"])),
        **sampling,
    )


_sampling = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 1) | st.sampled_from([0, 1]),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(0, 99),
    },
)


@st.composite
def _reasoning(draw: st.DrawFn, model: str, room: int) -> Reasoning:
    enabled = draw(st.sampled_from([None, False, True]))
    if not enabled:
        return Reasoning(enabled)
    shown = draw(st.none() | st.booleans())
    if model == "claude-opus-5-5":
        return Reasoning(True, draw(st.sampled_from([None, "low", "medium", "high", "xhigh"])), shown=shown)
    return Reasoning(True, budget=draw(st.integers(1024, room - 1)), shown=shown)


def plain(prompt: Prompt) -> Prompt:
    """To be compared: arguments as the values that they are."""
    turns = [
        Turn(turn.role, tuple(_valued(part) if isinstance(part, Call) else part for part in turn.parts))
        for turn in prompt.turns
    ]
    return structs.replace(prompt, turns=tuple(turns))


def _valued(call: Call) -> Call:
    return structs.replace(call, arguments=json.dumps(json.loads(call.arguments), sort_keys=True))
