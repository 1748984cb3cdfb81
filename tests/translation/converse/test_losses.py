"""Goldens of Converse's rows of the loss table, from the tables of what is left out and refused beside it;
`tests.translation.test_losses` runs them, and misses none."""

import json
from typing import Any

from gateway.translation import converse
from gateway.translation.prompt import Prompt, Turn
from gateway.translation.speech import Limits
from tests.translation.converse import test_content, test_request
from tests.translation.golden import Golden, Goldens, cannot


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
    **{name: adjusts(name, *rest) for name, *rest in test_request.ADJUSTED},
    **{name: cannot("converse", prompt, name) for name, prompt in test_request.REFUSED},
    **{
        name: cannot("converse", Prompt("m", (Turn("user", (part,)),)), name)
        for name, part in test_content.REFUSED
        if name != "tools.name"
    },
}
