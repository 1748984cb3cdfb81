"""Goldens of Ollama's rows of the loss table; those of its accounts are the tables of what is left out and refused in
`test_build`. `tests.translation.test_losses` runs them, and misses none."""

from typing import Any

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Opened, Sealing, Stop
from gateway.translation.ollama.losses import OPTIONS
from gateway.translation.prompt import Choice, Document, Sealed, Tool, Turn
from tests.translation.golden import Goldens, asked, builds, cannot, drops, orphaned, refuses, says, written
from tests.translation.ollama.test_build import ADJUSTED, REFUSED


def body(**members: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": "hi", **members}


def refused(**members: Any) -> Any:
    (name,) = members
    return refuses("ollama", body(**members), name, "generate")


def said(*events: Event, stop: Stop = "end", usage: Usage | None = None) -> Any:
    return written("ollama", [Begun(), *events, Ended(stop, usage=usage)])


GOLDENS: Goldens = {
    # From its clients.
    "context": drops("ollama", body(context=[1]), body(), "context", action="generate"),
    "keep_alive": drops("ollama", body(keep_alive=0), body(), "keep_alive", action="generate"),
    "shift": drops("ollama", body(shift=False), body(), "shift", action="generate"),
    "truncate": drops("ollama", body(truncate=True), body(), "truncate", action="generate"),
    **{
        f"options.{name}": drops("ollama", body(options={name: 0}), body(), f"options.{name}", action="generate")
        for name in sorted(OPTIONS)
    },
    "suffix": refused(suffix="x"),
    "template": refused(template="x"),
    "raw": refused(raw=True),
    "images": refuses("ollama", body(images=["AAAA"]), "images[0]", "generate"),
    # To its accounts.
    **{name: builds("ollama", prompt, expected, name, most=4096) for name, prompt, expected in ADJUSTED},
    **{name: cannot("ollama", prompt, name) for name, prompt in REFUSED},
    "results without a call": orphaned("ollama"),
    "document.text": builds(
        "ollama",
        asked(Turn("user", (Document("text/plain", text="t", name="n"),))),
        {"messages": [{"role": "user", "content": "t"}]},
    ),
    "tool_choice.none": builds("ollama", asked(tools=(Tool("f"),), choice=Choice("none")), {"tools": None}),
    "tools.schema": builds(
        "ollama",
        asked(tools=(Tool("f"),)),
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
            ]
        },
    ),
    # To its clients.
    "answer.arguments": says(
        lambda: said(Opened(0, "call", "c", "f"), Delta(0, "it's"), Closed(0))["message"]["tool_calls"][0]["function"],
        {"index": 0, "name": "f", "arguments": {"input": "it's"}},
    ),
    "answer.signature": says(
        lambda: said(Opened(0, "thinking"), Delta(0, "t"), Sealing(0, Sealed("anthropic", "s")), Closed(0))["message"],
        {"role": "assistant", "content": "", "thinking": "t"},
    ),
    "answer.stop": says(lambda: said(stop="refusal")["done_reason"], "stop"),
    "answer.usage": says(
        lambda: {
            name: value
            for name, value in said(usage=Usage(1, 2, 3, 4, 5, 4)).items()
            if name in ("prompt_eval_count", "eval_count")
        },
        {"prompt_eval_count": 10, "eval_count": 5},
    ),
}
