"""Goldens of OpenAI Responses' rows of the loss table; `tests.translation.test_losses` runs them, and misses none."""

from typing import Any

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Opened
from gateway.translation.prompt import (
    Audio,
    Call,
    Document,
    Prompt,
    Reasoning,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
)
from tests.translation.golden import (
    Golden,
    Goldens,
    asked,
    builds,
    cannot,
    drops,
    leaves_out,
    orphaned,
    parsed,
    refuses,
    resulting,
    same,
    says,
    spoken,
    user,
    written,
)

RESPONSES = "openai_responses"
PING = {"type": "function", "name": "f"}
HELLO = {"role": "user", "content": "hi"}
LONG = "a" * 65


def body(*items: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "input": [HELLO, *items], **members}


def dropped(*, name: str | None = None, **members: Any) -> Golden:
    (member,) = members
    return drops(RESPONSES, body(**members), body(), name or member)


def refused(field: str, **members: Any) -> Golden:
    return refuses(RESPONSES, body(**members), field)


def read(*items: Any, **members: Any) -> Prompt:
    return parsed(RESPONSES, body(*items, **members))


def unread(item: dict[str, Any]) -> Golden:
    """An item makes no difference."""
    return same(lambda: read(item), read)


def output(role: str, *content: Any, **members: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [*content], **members}


def words(**members: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": "a", **members}


def sends(prompt: Prompt, *noted: str, most: int | None = None, **expected: Any) -> Golden:
    return builds(RESPONSES, prompt, expected, *noted, most=most)


def without(prompt: Prompt, other: Prompt, *noted: str) -> Golden:
    return leaves_out(RESPONSES, prompt, other, *noted)


def responded(*events: Any) -> Any:
    return written(RESPONSES, [Begun(), *events])


def ended(stop: Any, sequence: str | None = None) -> tuple[Any, ...]:
    found = responded(Ended(stop, sequence))
    return found["status"], found["incomplete_details"]


GOLDENS: Goldens = {
    # From its clients.
    "background": refused("background", background=True),
    "previous_response_id": refused("previous_response_id", previous_response_id="resp_1"),
    "conversation": refused("conversation", conversation="conv_1"),
    "prompt": refused("prompt", prompt={"id": "pmpt_1"}),
    "moderation": refused("moderation", moderation={"model": "x"}),
    "input[].type": refuses(RESPONSES, body({"type": "computer_call"}), "input[1].type"),
    "input[].type of searches and lists of tools": unread({"type": "web_search_call", "id": "ws_1"}),
    "input[].phase": same(
        lambda: read(output("assistant", words(), phase="commentary")), lambda: read(output("assistant", words()))
    ),
    "input[].content[].file_id": refuses(
        RESPONSES,
        body(output("user", {"type": "input_image", "file_id": "file_1"})),
        "input[1].content[0].file_id",
    ),
    "input[].content[].annotations": same(
        lambda: read(output("assistant", words(annotations=[{"type": "url_citation"}]))),
        lambda: read(output("assistant", words())),
    ),
    "input[].summary": says(
        lambda: read({"type": "reasoning", "summary": [{"type": "summary_text", "text": each} for each in "ab"]}).turns[
            1
        ],
        Turn("assistant", (Thinking("a\n\nb"),)),
    ),
    "tools[].type": refused("tools[0].type", tools=[{"type": "file_search"}]),
    "tools[].web_search": dropped(name="tools[].web_search", tools=[{"type": "web_search"}]),
    "tools[].image_generation": dropped(name="tools[].image_generation", tools=[{"type": "image_generation"}]),
    "tools[].tool_search": dropped(name="tools[].tool_search", tools=[{"type": "tool_search"}]),
    "tools[].format": says(
        lambda: (
            read(
                tools=[
                    {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "D"}}
                ]
            ).tools
        ),
        (Tool("p", "The input must match this grammar (lark):\nD", custom=True),),
    ),
    "tools[].description of a namespace": says(
        lambda: read(tools=[{"type": "namespace", "name": "n", "description": "d", "tools": [PING]}]).tools,
        (Tool("n_-_f"),),
    ),
    "tools[].defer_loading": same(
        lambda: read(tools=[PING | {"defer_loading": True}]),
        lambda: read(tools=[PING]),
    ),
    "tool_choice": refused("tool_choice.type", tools=[PING], tool_choice={"type": "file_search"}),
    "text.verbosity": dropped(name="text.verbosity", text={"verbosity": "low"}),
    "include": dropped(include=["file_search_call.results"]),
    "reasoning.effort max": says(lambda: read(reasoning={"effort": "max"}).reasoning, Reasoning(True, "xhigh")),
    "reasoning.context": dropped(name="reasoning.context", reasoning={"context": "all"}),
    "store": dropped(store=True),
    "truncation": dropped(truncation="auto"),
    "max_tool_calls": dropped(max_tool_calls=3),
    "prompt_cache_key": dropped(prompt_cache_key="k"),
    "prompt_cache_options": dropped(prompt_cache_options={}),
    "prompt_cache_retention": dropped(prompt_cache_retention="24h"),
    "stream_options": dropped(stream_options={"include_obfuscation": False}),
    "client_metadata": dropped(client_metadata={"a": "b"}),
    "context_management": dropped(context_management=[]),
    # To its accounts.
    "stop": cannot(RESPONSES, asked(stop=("x",)), "stop"),
    "messages": cannot(RESPONSES, user(Audio("audio/wav", "AAAA")), "messages"),
    "top_k": without(asked(top_k=0), asked(), "top_k"),
    "seed": without(asked(seed=0), asked(), "seed"),
    "presence_penalty": without(asked(presence_penalty=0.0), asked(), "presence_penalty"),
    "frequency_penalty": without(asked(frequency_penalty=1.0), asked(), "frequency_penalty"),
    "temperature": sends(asked(temperature=2.5), "temperature", temperature=2),
    "top_p": sends(asked(top_p=-1.0), "top_p", top_p=0),
    "max_tokens": sends(asked(max_tokens=1), "max_tokens", max_output_tokens=16),
    "logprobs": sends(asked(logprobs=21), "logprobs", top_logprobs=20, include=["message.output_text.logprobs"]),
    "user": sends(asked(user=LONG), "user", user="c4bed20069c5205e2a284af0d43de3263a5f8abe3806dbaf"),
    "metadata": sends(asked(metadata={"a": "b", "c": 1}), "metadata", metadata={"a": "b"}),
    "service_tier": without(asked(service_tier="batch"), asked(), "service_tier"),
    "reasoning": builds(
        RESPONSES, asked(reasoning=Reasoning(True)), {"reasoning": None, "include": None}, "reasoning", model="gpt-4.1"
    ),
    "reasoning.effort": builds(
        RESPONSES,
        asked(reasoning=Reasoning(True, "xhigh")),
        {"reasoning": {"effort": "high"}},
        "reasoning.effort",
        model="o3",
    ),
    "reasoning.budget": sends(asked(reasoning=Reasoning(budget=5000)), reasoning={"effort": "medium"}),
    "cache_control": without(user(Text("a", {"type": "ephemeral"})), user(Text("a"))),
    "thinking": without(spoken(Thinking("t", Sealed("anthropic", "x")), Text("a")), spoken(Text("a"))),
    "is_error": without(resulting(error=True), resulting()),
    "results without a call": orphaned(RESPONSES),
    "document text": sends(
        user(Document("text/plain", text="t", name="n")),
        input=[output("user", {"type": "input_text", "text": "n\n\nt"})],
    ),
    "document.name": sends(
        user(Document("application/pdf", "AAAA"), Document(url="https://a/b", name="n")),
        input=[
            output(
                "user",
                {
                    "type": "input_file",
                    "filename": "document.pdf",
                    "file_data": "data:application/pdf;base64,AAAA",
                },
                {"type": "input_file", "file_url": "https://a/b"},
            )
        ],
    ),
    "reasoning.shown": without(
        asked(reasoning=Reasoning(True, "low", shown=False)), asked(reasoning=Reasoning(True, "low"))
    ),
    "tools[].name": sends(
        spoken(Call("c", "fs.read")),
        input=[
            output("user", {"type": "input_text", "text": "hi"}),
            {"type": "function_call", "call_id": "c", "name": "fs_u2e_read", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "No result was given for this call."},
        ],
    ),
    "tools[].schema": sends(
        asked(tools=(Tool("f", strict=True),)),
        tools=[
            PING | {"description": None, "parameters": {"type": "object", "properties": {}}, "strict": True},
        ],
    ),
    "tools[].strict": sends(
        asked(tools=(Tool("f"),)),
        tools=[
            PING | {"description": None, "parameters": {"type": "object", "properties": {}}, "strict": False},
        ],
    ),
    # To its clients.
    "stop reason stop_sequence": says(lambda: ended("stop_sequence", "END"), ("completed", None)),
    "stop reason pause": says(lambda: ended("pause"), ("completed", None)),
    "stop reason refusal": says(lambda: ended("refusal"), ("incomplete", {"reason": "content_filter"})),
    "thinking in an answer": says(
        lambda: responded(Opened(0, "thinking"), Delta(0, "t"), Closed(0), Ended("end"))["output"][0]["summary"],
        [{"type": "summary_text", "text": "t"}],
    ),
    "usage of caches": says(
        lambda: responded(Ended("end", usage=Usage(cache_write_5m_tokens=5, cache_write_1h_tokens=6)))["usage"][
            "input_tokens_details"
        ],
        {"cached_tokens": 0, "cache_write_tokens": 11},
    ),
}
