"""The loss table: every row is one that happens, and nothing happens that is no row."""

import json
from typing import Any

import pytest

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Opened, Sealing
from gateway.translation.openai_chat import LOSSES, SPEECH
from gateway.translation.openai_chat.losses import ASKED, IGNORED, SENT, refused
from gateway.translation.prompt import Call, Prompt, Reasoning, Result, Sealed, Text, Thinking, Tool, Turn
from gateway.translation.speech import Limits
from tests.translation.openai_chat.asked import chunk, chunks, read, sse, whole, written
from tests.translation.openai_chat.test_build import ADJUSTED, build
from tests.translation.openai_chat.test_history import REFUSED
from tests.translation.openai_chat.test_parse import CUSTOM, FUNCTION, ROWS, WRONG, allowed, parse

LONG = "c" * 41
SEALED = Sealed("openai", "s")
A = {"role": "assistant", "content": "a"}
RESULT = Turn("user", (Result("c1", (Text("r"),)),))


def names(rows, *fates):
    return {name for name, fate, _ in rows if fate in fates}


def sent(*turns: Turn, model: str = "deepseek-chat", **members: Any) -> Any:
    built = SPEECH.build(Prompt("alias", turns or (Turn("user", (Text("hi"),)),), **members), Limits(model))
    assert built.adjusted == ()
    return json.loads(built.body)


def said(*parts: Any, model: str = "deepseek-chat") -> Any:
    return sent(Turn("assistant", parts), model=model)["messages"]


#: Rows that no header tells of: what is made, and what it must be.
SILENT = {
    "messages[].refusal": lambda: (
        parse(messages=[{"role": "assistant", "refusal": "no"}]).turns,
        (Turn("assistant", (Text("no"),)),),
    ),
    "functions": lambda: (parse(functions=[{"name": "f"}]).tools, (Tool("f"),)),
    "tool_choice.allowed_tools": lambda: (
        parse(tools=[FUNCTION, CUSTOM], tool_choice=allowed("auto", FUNCTION)).tools,
        (Tool("f"),),
    ),
    "reasoning_effort=max": lambda: (parse(reasoning_effort="max").reasoning.effort, "xhigh"),
    "metadata": lambda: (sent(metadata={"a": "b"}), sent()),
    "cache_control": lambda: (said(Text("a", {"type": "ephemeral"})), [A]),
    "sealed": lambda: (said(Thinking("t", SEALED), Text("a")), [A]),
    "thinking": lambda: (said(Thinking("t"), Text("a"), model="gpt-5"), [A]),
    "reasoning.shown": lambda: (sent(reasoning=Reasoning(shown=True)), sent()),
    "reasoning.budget": lambda: (sent(reasoning=Reasoning(budget=5000))["reasoning_effort"], "medium"),
    "tool_result.error": lambda: (
        sent(Turn("user", (Result("c1", (Text("r"),), error=True),))),
        sent(RESULT),
    ),
    "tools[].custom": lambda: (
        sent(tools=(Tool("f", custom=True),))["tools"][0]["function"]["parameters"]["required"],
        ["input"],
    ),
    "tools[].schema": lambda: (
        sent(tools=(Tool("f"),))["tools"][0]["function"]["parameters"],
        {"type": "object", "properties": {}},
    ),
    "call_id": lambda: (len(said(Call(LONG, "f"))[0]["tool_calls"][0]["id"]), 37),
    "texts": lambda: (said(Text("a"), Text("b")), [A | {"content": "a\n\nb"}]),
    "order": lambda: (
        said(Call("c1", "f"), Text("a"), Thinking("t"))[0],
        said(Thinking("t"), Text("a"), Call("c1", "f"))[0],
    ),
    "unanswered": lambda: (said(Call("c1", "f"))[1]["content"], "error: this call was not answered"),
    "answer.refusal": lambda: (read(sse(chunk(refusal="no"), chunk("stop")))[-1].stop, "refusal"),
    "answer.annotations": lambda: (
        read(sse(chunk(content="a", annotations=[{"type": "url_citation"}]), chunk("stop"))),
        read(sse(chunk(content="a"), chunk("stop"))),
    ),
    "answer.choices": lambda: (
        read(sse({"choices": [{"index": 1, "delta": {"content": "b"}}]}, chunk("stop")))[1:],
        [Ended("end")],
    ),
    "answer.sealed": lambda: (
        written([Begun(), Opened(0, "thinking"), Delta(0, "t"), Sealing(0, SEALED), Closed(0), Ended("end")]),
        written([Begun(), Opened(0, "thinking"), Delta(0, "t"), Closed(0), Ended("end")]),
    ),
    "answer.stop": lambda: (
        chunks(written([Begun(), Ended("stop_sequence", "END")])),
        chunks(written([Begun(), Ended("pause")])),
    ),
    "answer.usage": lambda: (
        whole([Begun(), Ended("end", usage=used(5, 6, 9))])["usage"]["prompt_tokens_details"]["cache_write_tokens"],
        11,
    ),
}


def used(minutes: int, hour: int, calls: int) -> Any:
    return Usage(cache_write_5m_tokens=minutes, cache_write_1h_tokens=hour, server_tool_calls=calls)


@pytest.mark.parametrize("name", SILENT)
def test_what_is_changed_without_a_word(name):
    found, expected = SILENT[name]()
    assert found == expected


def test_every_row_has_its_golden():
    refused_by_parse = {"file_id", "messages[].audio", *(field for field, _ in WRONG)}
    told = {name for _, _, expected in ROWS for name in expected.get("dropped", ())} | set(IGNORED)
    of_goldens = {
        *SILENT,
        *told,
        *(name for name, _, _ in ADJUSTED),
        *(field for field, _ in REFUSED),
        "tool_result.media",
    }
    assert names(LOSSES, "400") <= refused_by_parse | {field for field, _ in REFUSED}
    assert names(LOSSES, "dropped", "clamped") == of_goldens - names(LOSSES, "400")


def test_rows_are_well_formed():
    assert len({name for name, _, _ in LOSSES}) == len(LOSSES)
    assert all(why and not why.endswith(".") for _, _, why in LOSSES)


def test_what_is_dropped_of_a_body_is_a_row():
    assert {*IGNORED, "messages[].name", "tools[].custom.format"} == names(ASKED, "dropped")
    found = parse(**dict.fromkeys(IGNORED, "x"), tools=[CUSTOM], messages=[{"role": "user", "name": "Ann"}]).dropped
    assert set(found) == names(ASKED, "dropped")


def test_what_is_refused_or_left_out_on_the_way_up_is_a_row():
    assert {name for name, _, _ in ADJUSTED} <= names(SENT, "dropped", "clamped")
    assert {field for field, _ in REFUSED} == names(SENT, "400")
    assert build(dropped=("store",))[1] == ()


@pytest.mark.parametrize("name", sorted(names(ASKED, "400")))
def test_a_refusal_says_why(name):
    error = refused(name, "x.y")
    assert error.field == "x.y"
    assert error.message.startswith("x.y cannot be translated: ")
    assert refused(name).field == name
