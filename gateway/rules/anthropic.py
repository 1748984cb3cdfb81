"""The rules in Anthropic's Messages: https://docs.anthropic.com/en/api/messages

Editing `system` leaves the messages of role `system` between others as they are, but for texts that are replaced.
"""

import re

import msgspec

from gateway.protocols.codec import Endpoint
from gateway.protocols.reading import decode
from gateway.rules import tools, turns
from gateway.rules.dialect import Dialect, Draft
from gateway.rules.wording import Form, Wording, text

#: What Claude Code's system text begins with: Anthropic bills by the one, and knows a plan's requests by the other.
_HEAD = re.compile(
    rb'"(?:x-anthropic-billing-header'
    rb"|You are Claude Code, Anthropic's official CLI for Claude(?:, running within the Claude Agent SDK)?\.\"\Z"
    rb"|You are a Claude agent, built on Anthropic's Claude Agent SDK\.\"\Z)"
)
_TEXT = Form(kinds=frozenset({"text"}), opening=b'{"type":"text","text":')
_SYSTEM = msgspec.structs.replace(_TEXT, head=_HEAD)


class _Block(msgspec.Struct):
    type: str = ""


_blocks = msgspec.json.Decoder(list[_Block])


def take(draft: Draft, gone: tools.Gone) -> bool:
    less = tools.by_name(gone, "tools")
    left = tools.take(draft, ("tools",), less, ("tool_choice",))
    if left:
        tools.choose(draft, "tool_choice", less)
    return left


def prompt(draft: Draft, endpoint: Endpoint, system: Wording, user: Wording) -> None:
    span = draft.span(("system",))
    if span is not None:
        draft.edits += text(draft.body, span, _SYSTEM, system, "system")
    elif system.mode != "off":
        draft.set(("system",), system.text)
    said = turns.read(draft, ("messages",)) if system.replace or not user.idle else None
    if said is not None and system.replace:
        turns.replace(draft, said, said.instructions, _TEXT, system)
    if said is not None and not user.idle:
        turns.address(draft, said, _TEXT, user, answers=_answers)


def _answers(message: turns.Message) -> bool:
    blocks = decode(_blocks, bytes(message.content))
    return bool(blocks) and all(block.type.endswith("tool_result") for block in blocks or ())


DIALECT = Dialect(
    temperature=("temperature",),
    hottest=1.0,
    tools=take,
    offered=("tools", "tool_choice"),
    prompt=prompt,
    said=("system", "messages"),
    choices=("tool_choice",),
    # docs.anthropic.com/en/api/messages-count-tokens; the rest is "Extra inputs are not permitted"
    counted=frozenset(
        {"thinking", "output_config", "cache_control", "context_management", "mcp_servers", "speed", "tool_choice"}
    ),
)
