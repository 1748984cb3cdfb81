"""The rules in requests of OpenAI Responses: https://platform.openai.com/docs/api-reference/responses/create"""

from functools import partial

from gateway.protocols.codec import Endpoint, Span
from gateway.protocols.edits import relisted
from gateway.protocols.spans import Edit, inner, typed
from gateway.rules import tools, turns
from gateway.rules.dialect import Dialect, Draft
from gateway.rules.wording import Form, Wording, text

_INPUT = Form(kinds=frozenset({"input_text"}), opening=b'{"type":"input_text","text":')
_INSTRUCTIONS = Form(listed=False)
_LATER = "additional_tools"


def take(draft: Draft, gone: tools.Gone) -> bool:
    """Also of the tools that stand in namespaces, and that come with items of `input`."""
    less = partial(_less, gone)
    left = tools.take(draft, ("tools",), less, ("tool_choice",))
    left = _later(draft, less) or left
    if left:
        tools.choose(draft, "tool_choice", less, ("tools",))
    return left


def _less(gone: tools.Gone, body: bytes, span: Span) -> list[Edit] | None:
    """A server of tools is known as `mcp`, also where a choice names one of them."""
    tool = typed(tools.tool, body, span, "tools")
    if gone(tool.known_as) or (tool.type == "mcp" and gone("mcp")):
        return None
    if tool.type != "namespace":
        return []
    # A namespace in a namespace is none: the API knows functions and custom tools there.
    found = inner(body, span, {"tools"}, "tools")
    if "tools" not in found.spans:
        return []
    edits, left = tools.thinned(body, found.spans["tools"], "tools.tools", tools.by_name(gone, "tools.tools"))
    return edits if left or not edits else None


def _later(draft: Draft, less: tools.Less) -> bool:
    """Takes tools out of the items that bring some; says whether any are left."""
    span = draft.span(("input",))
    said = turns.read(draft, ("input",)) if span and _LATER.encode() in draft.body[slice(*span)] else None
    if said is None:
        return False
    emptied: set[int] = set()
    some = False
    for number, item in enumerate(said.messages):
        found = inner(draft.body, said.places[number], {"tools"}, said.field) if item.type == _LATER else None
        if found is None or "tools" not in found.spans:
            continue
        edits, left = tools.thinned(draft.body, found.spans["tools"], f"input[{number}].tools", less)
        some = some or left > 0
        if edits and not left:
            emptied.add(number)
        else:
            draft.edits += edits
    draft.edits += relisted(said.span, said.places, emptied)
    return some


def prompt(draft: Draft, endpoint: Endpoint, system: Wording, user: Wording) -> None:
    """The system text is `instructions`, or without them the messages that instruct at the beginning of the input. In
    all other messages that instruct, texts are only replaced."""
    span = draft.span(("instructions",))
    given = draft.span(("input",))
    bare = given is not None and draft.body[given[0]] == ord('"')
    reads = system.replace or not user.idle or (span is None and system.mode != "off")
    said = turns.read(draft, ("input",)) if reads and not bare else None
    own = [number for number in said.instructions if _is_message(said.messages[number])] if said else []
    if said and own and span is None and all(item.instructs for item in said.messages[: own[0]]):
        turns.instruct(draft, said, _INPUT, system, own)
    else:
        if span is not None:
            draft.edits += text(draft.body, span, _INSTRUCTIONS, system, "instructions")
        elif system.mode != "off":
            draft.set(("instructions",), system.text)
        if said and system.replace:
            turns.replace(draft, said, own, _INPUT, system)
    if given is not None and bare:
        draft.edits += text(draft.body, given, _INPUT, user, "input")
    elif said and not user.idle:
        turns.address(draft, said, _INPUT, user, own=lambda item: item.role == "user" and _is_message(item))


def _is_message(item: turns.Message) -> bool:
    return item.type in (None, "message")


DIALECT = Dialect(
    temperature=("temperature",),
    hottest=2.0,
    tools=take,
    offered=("tools", "tool_choice", "input"),
    prompt=prompt,
    said=("instructions", "input"),
    choices=("tool_choice",),
)
