"""The rules in chat completions: https://platform.openai.com/docs/api-reference/chat/create"""

from gateway.protocols.codec import Endpoint
from gateway.rules import tools, turns
from gateway.rules.dialect import Dialect, Draft, Names
from gateway.rules.wording import Form, Wording

_TEXT = Form(kinds=frozenset({"text"}), opening=b'{"type":"text","text":')
_LONGEST = ("max_completion_tokens", "max_tokens")


def spelled(name: str) -> Names:
    """The old name and the new one of the longest answer, which the API refuses beside each other."""
    return _LONGEST if name in _LONGEST else (name,)


def take(draft: Draft, gone: tools.Gone) -> bool:
    """Of `tools` and of the deprecated `functions`. What says how tools are called is refused without them."""
    less = tools.by_name(gone, "tools")
    left = tools.take(draft, ("tools",), less, ("tool_choice", "parallel_tool_calls"))
    if left:
        tools.choose(draft, "tool_choice", less, ("allowed_tools", "tools"))
    less = tools.by_name(gone, "functions")
    old = tools.take(draft, ("functions",), less, ("function_call",))
    if old:
        tools.choose(draft, "function_call", less)
    return left or old


def prompt(draft: Draft, endpoint: Endpoint, system: Wording, user: Wording) -> None:
    said = turns.read(draft, ("messages",))
    if said is not None and not system.idle:
        turns.instruct(draft, said, _TEXT, system)
    if said is not None and not user.idle:
        turns.address(draft, said, _TEXT, user)


DIALECT = Dialect(
    temperature=("temperature",),
    hottest=2.0,
    tools=take,
    offered=("tools", "tool_choice", "functions", "function_call", "parallel_tool_calls"),
    prompt=prompt,
    said=("messages",),
    choices=("tool_choice", "function_call", "parallel_tool_calls"),
    spelled=spelled,
)
