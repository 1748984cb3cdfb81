"""Goldens of Converse's rows of the loss table, from the tables of what is left out and refused beside it;
`tests.translation.test_losses` runs them, and misses none."""

import json
from typing import Any

from gateway.translation import converse
from gateway.translation.arguments import NOTHING
from gateway.translation.prompt import Prompt, Tool, Turn
from gateway.translation.speech import Limits
from tests.translation.converse import test_content, test_request
from tests.translation.golden import Golden, Goldens, asked, builds, cannot, orphaned


def adjusts(name: str, prompt: Prompt, limits: Limits, expected: Any) -> Golden:
    def seen() -> tuple[Any, Any]:
        built = converse.build(prompt, limits)
        body = json.loads(built.body)
        return (built.adjusted, body), (
            (name,),
            body if expected is None else {"messages": body["messages"], **expected},
        )

    return Golden(False, seen)


GOLDENS: Goldens = {
    "tools.names": builds(
        "converse",
        asked(tools=(Tool("fs.read"),)),
        {"toolConfig": {"tools": [{"toolSpec": {"name": "fs_u2e_read", "inputSchema": {"json": NOTHING}}}]}},
    ),
    "results without a call": orphaned("converse"),
    **{name: adjusts(name, *rest) for name, *rest in test_request.ADJUSTED},
    **{name: cannot("converse", prompt, name) for name, prompt in test_request.REFUSED},
    **{
        name: cannot("converse", Prompt("m", (Turn("user", (part,)),)), name)
        for name, part in test_content.REFUSED
        if name != "tools.name"
    },
}
