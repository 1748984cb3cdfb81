"""A request without tools, for one that has them."""

import msgspec

from gateway.translation.compat.guide import guide
from gateway.translation.compat.history import rewritten
from gateway.translation.prompt import Call, Choice, Prompt, Result, Text


def offered(prompt: Prompt) -> bool:
    """Whether there is anything to disguise: tools, calls or results."""
    return bool(prompt.tools) or any(isinstance(part, Call | Result) for turn in prompt.turns for part in turn.parts)


def disguised(prompt: Prompt) -> Prompt:
    """The same without Tool, Call, Result and choice. The guide to the tools is the last text of the system; it is
    left out where the choice is `none`, and what happened before is told as text all the same.

    A mark of Anthropic's for caching that the tools had is the guide's.
    """
    system = prompt.system
    if prompt.tools and prompt.choice.mode != "none":
        cache = next((tool.cache for tool in reversed(prompt.tools) if tool.cache is not None), None)
        system = (*system, Text(guide(prompt.tools, prompt.choice), cache))
    turns = rewritten(prompt.turns, prompt.tools)
    return msgspec.structs.replace(prompt, system=system, turns=turns, tools=(), choice=Choice())
