"""Goldens of OpenAI chat's rows of the loss table; some are the tables of what is left out and refused beside it.
`tests.translation.test_losses` runs them, and misses none."""

from typing import Any

from gateway.protocols.codec import Usage
from gateway.translation.arguments import NOTHING
from gateway.translation.events import Begun, Closed, Delta, Ended, Opened, Sealing
from gateway.translation.openai_chat.losses import ASKED, IGNORED, refused
from gateway.translation.prompt import (
    Call,
    Document,
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
from tests.translation.golden import (
    HI,
    Golden,
    Goldens,
    asked,
    builds,
    cannot,
    drops,
    heard,
    leaves_out,
    orphaned,
    refuses,
    resulting,
    same,
    says,
    spoken,
    written,
)
from tests.translation.openai_chat.test_build import ADJUSTED, F
from tests.translation.openai_chat.test_build import body as built_body
from tests.translation.openai_chat.test_build import build as build_chat
from tests.translation.openai_chat.test_history import REFUSED
from tests.translation.openai_chat.test_parse import CUSTOM, FUNCTION, allowed, parse

LONG = "c" * 41
SEALED = Sealed("openai", "s")
HELLO = {"role": "user", "content": "hi"}


def body(**members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [HELLO], **members}


def refusal(field: str, **members: Any) -> Golden:
    return refuses("openai_chat", body(**members), field)


def silent(prompt: Prompt, without: Prompt, *, model: str = "deepseek-chat") -> Golden:
    return leaves_out("openai_chat", prompt, without, model=model)


def sends(prompt: Prompt, *noted: str, model: str = "deepseek-chat", **expected: Any) -> Golden:
    return builds("openai_chat", prompt, expected, *noted, model=model)


def adjusts(name: str, members: dict[str, Any], expected: dict[str, Any]) -> Golden:
    return says(
        lambda: build_chat(**members), (built_body(model=members.get("model", "deepseek-chat"), **expected), (name,))
    )


def said(content: Any, **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **members}


def function(name: str, **members: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **members}}


def call(call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def answer(message: dict[str, Any], **choice: Any) -> dict[str, Any]:
    first = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **choice}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [first]}


def hears(found: dict[str, Any]) -> Any:
    return lambda: heard("openai_chat", found)[1:]


UNANSWERED = "error: this call was not answered"
SHOWN = Turn("user", (Result("c1", (Image(url="https://x.test/i"),)),))
FREE = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
SAID = [Opened(0, "text"), Delta(0, "a"), Closed(0)]
THOUGHT = [Begun(), Opened(0, "thinking"), Delta(0, "t"), Sealing(0, SEALED), Closed(0), Ended("end")]

GOLDENS: Goldens = {
    # From its clients.
    **{name: drops("openai_chat", body(**{name: "x"}), body(), name) for name in IGNORED},
    "audio": refusal("audio", audio={"voice": "x"}),
    "logit_bias": refusal("logit_bias", logit_bias={"50256": -100}),
    "moderation": refusal("moderation", moderation={"model": "x"}),
    "web_search_options": refusal("web_search_options", web_search_options={}),
    "modalities": refusal("modalities", modalities=["text", "audio"]),
    "n": refusal("n", n=2),
    "file_id": refusal(
        "messages[0].content[0].file.file_id",
        messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}],
    ),
    "messages[].audio": refusal("messages[1].audio", messages=[HELLO, said(None, audio={"id": "a"})]),
    "messages[].name": drops("openai_chat", body(messages=[HELLO | {"name": "Ann"}]), body(), "messages[].name"),
    "messages[].refusal": says(
        lambda: parse(messages=[HELLO, said(None, refusal="no")]).turns, (HI, Turn("assistant", (Text("no"),)))
    ),
    "tools[].custom.format": drops(
        "openai_chat",
        body(tools=[CUSTOM]),
        body(tools=[{"type": "custom", "custom": {"name": "p", "description": "d"}}]),
        "tools[].custom.format",
    ),
    "functions": says(lambda: parse(functions=[{"name": "f"}]).tools, (Tool("f"),)),
    "tool_choice.allowed_tools": says(
        lambda: parse(tools=[FUNCTION, CUSTOM], tool_choice=allowed("auto", FUNCTION)).tools, (Tool("f"),)
    ),
    "reasoning_effort=max": says(lambda: parse(reasoning_effort="max").reasoning.effort, "xhigh"),
    # To its accounts.
    **{name: adjusts(name, members, expected) for name, members, expected in ADJUSTED},
    **{field: cannot("openai_chat", asked(turn), field) for field, turn in REFUSED},
    "metadata": silent(asked(metadata={"a": "b"}), asked()),
    "cache_control": silent(spoken(Text("a", {"type": "ephemeral"})), spoken(Text("a"))),
    "sealed": silent(spoken(Thinking("t", SEALED), Text("a")), spoken(Text("a"))),
    "thinking": silent(spoken(Thinking("t"), Text("a")), spoken(Text("a")), model="gpt-5"),
    "reasoning.shown": silent(asked(reasoning=Reasoning(shown=True)), asked()),
    "reasoning.effort": sends(
        asked(reasoning=Reasoning(False)), "reasoning.effort", model="gpt-5", reasoning_effort="minimal"
    ),
    "reasoning.budget": sends(asked(reasoning=Reasoning(budget=5000)), reasoning_effort="medium"),
    "tool_result.error": silent(
        resulting(error=True),
        resulting(),
    ),
    "tool_result.media": sends(
        asked(HI, Turn("assistant", (Call("c1", "f"),)), SHOWN),
        "tool_result.media",
        messages=[
            HELLO,
            said(None, tool_calls=[call("c1")]),
            result("c1", "The result is shown in the next message."),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "The result of c1 shows:"},
                    {"type": "image_url", "image_url": {"url": "https://x.test/i"}},
                ],
            },
        ],
    ),
    "tools[].name": sends(
        asked(tools=(Tool("fs.read"),)),
        tools=[function("fs_u2e_read", parameters=NOTHING)],
    ),
    "tools[].custom": sends(
        asked(tools=(Tool("f", custom=True),)),
        tools=[{"type": "function", "function": {"name": "f", "parameters": FREE}}],
    ),
    "tools[].schema": sends(asked(tools=(Tool("f"),)), tools=[F]),
    "call_id": says(
        lambda: [
            each.get("tool_call_id") or each["tool_calls"][0]["id"]
            for each in build_chat(turns=(Turn("assistant", (Call(LONG, "f"),)),))[0]["messages"]
        ],
        ["call_2d55900a1d3409d7a599bb69946cbd9a"] * 2,
    ),
    "system turns": sends(
        asked(HI, Turn("system", (Text("s"),)), system=(Text("first"),)),
        "system turns",
        messages=[{"role": "system", "content": "first"}, {"role": "user", "content": "hi\n\ns"}],
    ),
    "user turns": sends(asked(HI, HI), messages=[{"role": "user", "content": "hi\n\nhi"}]),
    "texts": sends(spoken(Text("a"), Text("b")), messages=[HELLO, said("a\n\nb")]),
    "order": same(
        lambda: build_chat(turns=spoken(Call("c1", "f"), Text("a"), Thinking("t")).turns),
        lambda: build_chat(turns=spoken(Thinking("t"), Text("a"), Call("c1", "f")).turns),
    ),
    "unanswered": sends(
        spoken(Call("c1", "f")), messages=[HELLO, said(None, tool_calls=[call("c1")]), result("c1", UNANSWERED)]
    ),
    "results without a call": orphaned("openai_chat"),
    "document.text": sends(
        asked(Turn("user", (Document("text/plain", text="t", name="n"),))), messages=[HELLO | {"content": "t"}]
    ),
    "document.name": sends(
        asked(Turn("user", (Document("application/pdf", "AAAA"),))),
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "file",
                        "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    }
                ],
            }
        ],
    ),
    # From its accounts.
    "answer.refusal": says(
        hears(answer({"content": None, "refusal": "no"})),
        [Opened(0, "text"), Delta(0, "no"), Closed(0), Ended("refusal")],
    ),
    "answer.annotations": says(
        hears(answer({"content": "a", "annotations": [{"type": "url_citation"}]})), [*SAID, Ended("end")]
    ),
    "answer.choices": says(
        hears(answer({"content": "a"}) | {"choices": [answer({"content": "a"})["choices"][0], {"index": 1}]}),
        [*SAID, Ended("end")],
    ),
    # To its clients.
    "answer.sealed": same(
        lambda: written("openai_chat", THOUGHT),
        lambda: written("openai_chat", [each for each in THOUGHT if not isinstance(each, Sealing)]),
    ),
    "answer.stop": says(
        lambda: [
            written("openai_chat", [Begun(), ended])["choices"][0]["finish_reason"]
            for ended in (Ended("stop_sequence", "END"), Ended("pause"))
        ],
        ["stop", "stop"],
    ),
    "answer.usage": says(
        lambda: written(
            "openai_chat",
            [
                Begun(),
                Ended("end", usage=Usage(cache_write_5m_tokens=5, cache_write_1h_tokens=6, server_tool_calls=9)),
            ],
        )["usage"]["prompt_tokens_details"]["cache_write_tokens"],
        11,
    ),
}


def test_a_refusal_says_why():
    for row in ASKED:
        if row.fate == "400":
            error = refused(row.name, "x.y")
            assert error.field == "x.y"
            assert error.message == f"x.y cannot be translated: {row.why}"
            assert refused(row.name).field == row.name
