"""Goldens of Anthropic's rows of the loss table; `tests.translation.test_losses` runs them, and misses none."""

from typing import Any

from gateway.translation.anthropic.build import JSON_WANTED
from gateway.translation.anthropic.losses import DROPPED
from gateway.translation.events import Begun, Closed, Delta, Ended, Logprobs, Opened, Sealing
from gateway.translation.prompt import (
    Audio,
    Call,
    Choice,
    Document,
    Format,
    Image,
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
    parsed,
    refuses,
    says,
    written,
)

ADAPTIVE = "claude-opus-4-7"
THOUGHT = Reasoning(True, budget=2048)
SCHEMA = {"type": "object", "properties": {}}
PNG = Image("image/png", "AAAA")
FOREIGN = Sealed("gemini", "x")


def body(*blocks: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": [*blocks] or "hi"}], **members}


def block_of(*blocks: Any) -> Any:
    """What a client's blocks are read as."""
    return parsed("anthropic", body(*blocks)).turns[0].parts


def tools(*given: Any, **members: Any) -> dict[str, Any]:
    return body(tools=[{"name": "t", "input_schema": SCHEMA, **members}, *given])


def text(**members: Any) -> dict[str, Any]:
    return {"type": "text", "text": "a", **members}


def document(source: Any, **members: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **members}


def spoken(*parts: Any) -> Turn:
    return Turn("assistant", parts)


def messages(*turns: Turn, expected: Any, model: str = "m") -> Golden:
    return builds("anthropic", asked(*turns), {"messages": expected}, model=model)


def said(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


BILLING = "x-anthropic-billing-header: cc_version=2.1.332.5a6; cc_entrypoint=cli; cch=eb6c6;"
SAID_HI = said("user", {"type": "text", "text": "hi"})
PLAIN_TEXT = {"type": "text", "media_type": "text/plain", "data": "d"}
ABOVE = {"role": "system", "content": "s"}
ANSWER = [Begun(), Opened(0, "text"), Delta(0, "a"), Closed(0), Ended("end")]
CALL = spoken(Call("a.b", "fs.read", "7"))

GOLDENS: Goldens = {
    # From its clients.
    **{name: drops("anthropic", body(**{name: {"a": 1}}), body(), name) for name in sorted(DROPPED)},
    "billing line": drops("anthropic", body(system=f"{BILLING}\nbe"), body(system="be")),
    "citations": drops("anthropic", body(text(citations=[{}])), body(text()), "citations"),
    "document.context": drops(
        "anthropic", body(document(PLAIN_TEXT, context="c")), body(document(PLAIN_TEXT)), "document.context"
    ),
    "messages.output_config": drops(
        "anthropic",
        {"model": "m", "messages": [*body()["messages"], ABOVE | {"output_config": {"effort": "low"}}]},
        {"model": "m", "messages": [*body()["messages"], ABOVE]},
        "messages.output_config",
    ),
    "thinking.between_tools": drops(
        "anthropic",
        body(thinking={"type": "between_tools"}),
        body(thinking={"type": "disabled"}),
        "thinking.between_tools",
    ),
    "tool_addition": drops("anthropic", body(text(), {"type": "tool_addition"}), body(text()), "tool_addition"),
    "tools.defer_loading": drops("anthropic", tools(defer_loading=True), tools(), "tools.defer_loading"),
    "tools.tool_search": drops(
        "anthropic", tools({"type": "tool_search_tool_regex_20251119", "name": "s"}), tools(), "tools.tool_search"
    ),
    "tools.options": drops("anthropic", tools(input_examples=[{}]), tools(), "tools.options"),
    "output_config.effort": says(
        lambda: parsed("anthropic", body(output_config={"effort": "max"})).reasoning, Reasoning(effort="xhigh")
    ),
    "search_result": says(
        lambda: block_of({"type": "search_result", "title": "T", "source": "https://s", "content": [text()]}),
        (Text("T\nhttps://s\na"),),
    ),
    "tool_reference": says(lambda: block_of({"type": "tool_reference", "tool_name": "grep"}), (Text("grep"),)),
    "mcp_servers": refuses("anthropic", body(mcp_servers=[{"type": "url", "url": "https://m"}]), "mcp_servers"),
    "tools.type": refuses("anthropic", body(tools=[{"type": "web_search_20250305", "name": "w"}]), "tools[0].type"),
    "content.type": refuses("anthropic", body({"type": "container_upload"}), "messages[0].content[0].type"),
    "source.type": refuses(
        "anthropic",
        body({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        "messages[0].content[0].source.type",
    ),
    # To its accounts.
    "system turns": builds(
        "anthropic",
        asked(HI, Turn("system", (Text("s"),)), system=(Text("first"),)),
        {"system": [{"type": "text", "text": "first"}, {"type": "text", "text": "s"}], "messages": [SAID_HI]},
    ),
    "empty text": messages(HI, spoken(Text(" ")), expected=[SAID_HI]),
    "results without a call": messages(
        Turn("user", (Result("c", (Text("r"),)),)), expected=[said("user", {"type": "text", "text": "r"})]
    ),
    "ids": messages(
        HI,
        CALL,
        expected=[
            SAID_HI,
            said("assistant", {"type": "tool_use", "id": "a_u2e_b", "name": "fs_u2e_read", "input": {"input": "7"}}),
            said(
                "user",
                {
                    "type": "tool_result",
                    "tool_use_id": "a_u2e_b",
                    "content": [{"type": "text", "text": "The call was cancelled or failed: it has no result."}],
                    "is_error": True,
                },
            ),
        ],
    ),
    "call.arguments": says(
        lambda: written(
            "anthropic", [Begun(), Opened(0, "call", "c", "f"), Delta(0, "7"), Closed(0), Ended("tool_use")]
        )["content"][0]["input"],
        {"input": "7"},
    ),
    "custom tools": builds(
        "anthropic",
        asked(tools=(Tool("p", custom=True),)),
        {
            "tools": [
                {
                    "name": "p",
                    "input_schema": {
                        "type": "object",
                        "properties": {"input": {"type": "string"}},
                        "required": ["input"],
                    },
                }
            ]
        },
    ),
    "call.signature": leaves_out(
        "anthropic", asked(HI, spoken(Call("c", "f", sealed=FOREIGN))), asked(HI, spoken(Call("c", "f")))
    ),
    "thinking.signature": leaves_out(
        "anthropic", asked(HI, spoken(Thinking("t", FOREIGN), Text("a"))), asked(HI, spoken(Text("a")))
    ),
    "image.detail": leaves_out(
        "anthropic",
        asked(Turn("user", (Image("image/png", "AAAA", detail="low"),))),
        asked(Turn("user", (PNG,))),
    ),
    "tools.schema": builds("anthropic", asked(tools=(Tool("t"),)), {"tools": [{"name": "t", "input_schema": SCHEMA}]}),
    "response_format.json": builds(
        "anthropic", asked(format=Format("json")), {"system": [{"type": "text", "text": JSON_WANTED}]}
    ),
    "response_format.schema": builds(
        "anthropic",
        asked(format=Format("schema", SCHEMA)),
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}},
    ),
    "response_format.name": leaves_out(
        "anthropic",
        asked(format=Format("schema", SCHEMA, "n", "d", False)),
        asked(format=Format("schema", SCHEMA)),
    ),
    "reasoning.effort": builds(
        "anthropic",
        asked(reasoning=Reasoning(True, "minimal")),
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        model=ADAPTIVE,
    ),
    "reasoning.budget": builds(
        "anthropic",
        asked(reasoning=Reasoning(True, budget=1)),
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "reasoning.budget",
    ),
    "reasoning": leaves_out(
        "anthropic",
        asked(reasoning=THOUGHT, tools=(Tool("t"),), choice=Choice("required")),
        asked(tools=(Tool("t"),), choice=Choice("required")),
        "reasoning",
    ),
    "temperature": builds("anthropic", asked(temperature=1.5), {"temperature": 1}, "temperature"),
    "top_p": builds("anthropic", asked(top_p=-0.5), {"top_p": 0}, "top_p"),
    "top_k": leaves_out("anthropic", asked(top_k=0, reasoning=THOUGHT), asked(reasoning=THOUGHT), "top_k"),
    "max_tokens": builds("anthropic", asked(max_tokens=9), {"max_tokens": 5}, "max_tokens", most=5),
    "stop": builds("anthropic", asked(stop=(" ", "x")), {"stop_sequences": ["x"]}, "stop"),
    "seed": leaves_out("anthropic", asked(seed=0), asked(), "seed"),
    "presence_penalty": leaves_out("anthropic", asked(presence_penalty=0.0), asked(), "presence_penalty"),
    "frequency_penalty": leaves_out("anthropic", asked(frequency_penalty=1.0), asked(), "frequency_penalty"),
    "metadata": leaves_out("anthropic", asked(metadata={"a": "b"}), asked()),
    "user": leaves_out("anthropic", asked(user="u" * 513), asked(), "user"),
    "service_tier": leaves_out("anthropic", asked(service_tier="flex"), asked(), "service_tier"),
    "logprobs": cannot("anthropic", asked(logprobs=0), "logprobs"),
    "audio": cannot("anthropic", asked(Turn("user", (Audio("audio/wav", "AAAA"),))), "messages"),
    "image": cannot("anthropic", asked(Turn("user", (Image("image/bmp", "AAAA"),))), "messages"),
    "document": cannot("anthropic", asked(Turn("user", (Document("application/zip", "AAAA"),))), "messages"),
    "tools.name": cannot("anthropic", asked(tools=(Tool("n" * 129),)), "tools"),
    # From its accounts.
    "answer.content.type": says(
        lambda: heard(
            "anthropic",
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "server_tool_use", "id": "s", "name": "w", "input": {}}, text()],
                "stop_reason": "end_turn",
            },
        )[1:],
        [Opened(0, "text"), Delta(0, "a"), Closed(0), Ended("end")],
    ),
    # To its clients.
    "answer.arguments": says(
        lambda: written(
            "anthropic", [Begun(), Opened(0, "call", "c", "f"), Delta(0, "it's"), Closed(0), Ended("tool_use")]
        )["content"][0]["input"],
        {"input": "it's"},
    ),
    "answer.logprobs": says(
        lambda: written("anthropic", [*ANSWER[:3], Logprobs(0, ({"token": "a"},)), *ANSWER[3:]])["content"],
        [{"type": "text", "text": "a", "citations": None}],
    ),
    "answer.signature": says(
        lambda: written(
            "anthropic",
            [Begun(), Opened(0, "thinking"), Delta(0, "t"), Sealing(0, FOREIGN), Closed(0), Ended("end")],
        )["content"],
        [{"type": "thinking", "thinking": "t", "signature": ""}],
    ),
    "answer.stop_details": says(
        lambda: written("anthropic", [Begun(), Ended("refusal")])["stop_details"],
        {"type": "refusal", "category": None, "explanation": None},
    ),
}
