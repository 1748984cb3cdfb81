"""What is built is read again: all of it that chat can say, and of the rest what was built of it."""

import json
import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.translation.arguments import of_object
from gateway.translation.openai_chat import SPEECH
from gateway.translation.prompt import (
    Audio,
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
)
from gateway.translation.speech import Limits
from tests.translation.generate import arguments, broken, names, objects

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
base64 = st.text(string.ascii_letters + "+/", min_size=4, max_size=12).map(lambda text: text + "=")
spoken = st.builds(Text, words)
pictures = st.builds(
    lambda data, url, detail: Image(None if url else "image/png", None if url else data, url, detail),
    base64,
    st.none() | st.just("https://x.test/i.png"),
    st.none() | st.sampled_from(["low", "high"]),
)
sounds = st.builds(Audio, st.sampled_from(["audio/wav", "audio/mpeg", "audio/flac"]), base64)
files = st.builds(lambda data, name: Document("application/pdf", data, name=name), base64, names)
media = pictures | sounds | files


@st.composite
def exchanges(draw: st.DrawFn, number: int) -> list[Turn]:
    """A message of the user, an answer, and what its calls came to."""
    asked = draw(st.tuples(spoken) | st.lists(spoken | media, min_size=1, max_size=3).filter(_mixed).map(tuple))
    calls = [
        Call(f"call_{number}_{each}", draw(names), draw(arguments | broken.filter(bool)))
        for each in range(draw(st.integers(0, 3)))
    ]
    said = [*draw(st.lists(st.builds(Thinking, words), max_size=1)), *draw(st.lists(spoken, max_size=1)), *calls]
    results = tuple(Result(call.id, draw(st.just(()) | st.tuples(spoken)), call.name) for call in calls)
    turns = [Turn("user", asked), Turn("assistant", tuple(said))]
    if results:
        turns.append(Turn("user", results))
    return turns


def _mixed(parts: list[Any]) -> bool:
    return not all(isinstance(part, Text) for part in parts)


tools = st.builds(Tool, names, st.none() | words, objects.map(of_object), st.none() | st.booleans())
formats = st.just(Format("json")) | st.builds(
    lambda schema, name, about, strict: Format("schema", schema, name, about, strict),
    objects,
    names,
    st.none() | words,
    st.none() | st.booleans(),
)
efforts = st.sampled_from(["minimal", "low", "medium", "high", "xhigh"])
reasonings = (
    st.just(Reasoning()) | st.just(Reasoning(False)) | st.builds(lambda effort: Reasoning(True, effort), efforts)
)
choices = st.builds(Choice, st.sampled_from([None, "auto", "none", "required"]), parallel=st.none() | st.booleans())


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """What chat can say, in the form in which it is read."""
    given_tools = tuple(draw(st.lists(tools, max_size=3)))
    choice = draw(choices) if given_tools else Choice()
    if given_tools and draw(st.booleans()):
        choice = Choice("one", given_tools[0].name, choice.parallel)
    turns = [turn for number in range(draw(st.integers(1, 3))) for turn in draw(exchanges(number))]
    stream = draw(st.booleans())
    form = draw(some(formats))
    system = (Text("JSON, please."),) if form == Format("json") else tuple(draw(st.lists(spoken, max_size=1)))
    return Prompt(
        "m",
        tuple(turns),
        system,
        stream=stream,
        include_usage=stream,
        tools=given_tools,
        choice=choice,
        max_tokens=draw(some(st.integers(0, 9999))),
        temperature=draw(some(st.floats(0, 2))),
        top_p=draw(some(st.floats(0, 1))),
        stop=tuple(draw(st.lists(words, max_size=3))),
        seed=draw(some(st.integers(-(2**40), 2**40))),
        presence_penalty=draw(some(st.floats(-2, 2))),
        frequency_penalty=draw(some(st.floats(-2, 2))),
        logprobs=draw(some(st.integers(0, 20))),
        format=form,
        reasoning=draw(reasonings),
        user=draw(some(words)),
        service_tier=draw(some(st.sampled_from(["auto", "flex"]))),
    )


@settings(max_examples=200, deadline=None)
@given(prompts())
def test_all_that_chat_can_say_is_kept(prompt):
    built = SPEECH.build(prompt, Limits("m"))
    assert built.adjusted == ()
    assert SPEECH.parse(built.body, None) == prompt


seals = st.none() | st.builds(Sealed, st.sampled_from(["anthropic", "openai", "gemini"]), words)
ids = st.sampled_from(["c1", "c2", "c" * 50])
shown = st.lists(spoken | pictures | files, max_size=3).map(tuple)
anything = {
    "user": spoken | media | st.builds(Result, ids, shown, error=st.booleans()),
    "assistant": spoken
    | st.builds(Thinking, words, seals)
    | st.builds(Call, ids, names, arguments | broken, st.booleans()),
    "system": spoken,
}
turns = st.sampled_from(["user", "assistant", "system"]).flatmap(
    lambda role: st.builds(Turn, st.just(role), st.lists(anything[role], max_size=4).map(tuple))
)
models = st.sampled_from(["deepseek-chat", "gpt-4o", "gpt-5"])


@settings(max_examples=300, deadline=None)
@given(st.lists(turns, min_size=1, max_size=6), models, st.lists(spoken, max_size=2))
def test_any_history_becomes_one_that_chat_upstreams_take(past, model, system):
    built = SPEECH.build(Prompt("m", tuple(past), tuple(system)), Limits(model))
    messages = json.loads(built.body)["messages"]
    asked: set[str] = set()
    unanswered: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in asked, "a result stands right after its call"
            unanswered.discard(message["tool_call_id"])
            assert isinstance(message["content"], str)
            continue
        assert not unanswered, "a call has its result right after it"
        asked = {call["id"] for call in message.get("tool_calls", ())}
        unanswered = {*asked}
        assert message["content"] is not None or message["tool_calls"]
        assert all(len(each) <= 40 for each in unanswered)
        if message["role"] != "user":
            assert message["content"] is None or isinstance(message["content"], str)
        assert "reasoning_content" not in message or model == "deepseek-chat"
    assert not unanswered


@settings(max_examples=300, deadline=None)
@given(st.lists(turns, min_size=1, max_size=6), models, st.lists(spoken, max_size=2))
def test_what_was_built_once_is_built_again(past, model, system):
    once = SPEECH.build(Prompt("m", tuple(past), tuple(system)), Limits(model)).body
    if json.loads(once)["messages"]:
        assert SPEECH.build(SPEECH.parse(once, None), Limits(model)).body == once
