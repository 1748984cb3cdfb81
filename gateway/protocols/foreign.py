"""What an earlier answer left in a conversation's history that only a translation can have written, and that the
protocol's own upstreams refuse: thinking of another maker's model. Pure.

An account of the client's own protocol may take over a conversation that another has begun: such pieces go out of its
request, every other byte stays.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Span
from gateway.protocols.edits import relisted
from gateway.protocols.spans import Edit, elements, inner, members, splice

MARK = "poolgate."
"""Begins the `encrypted_content` in which a translated answer keeps what other makers have sealed."""
#: In JSON text these bytes are never a part of a string: there the quotes would be escaped.
_UNSIGNED = re.compile(rb'"signature"[ \t\n\r]*:[ \t\n\r]*""')
_OWN_REASONING = re.compile(rb'"(?:poolgate\.|rs_[0-9a-f]{32}_[0-9]+")')
_OWN_ID = re.compile(r"rs_[0-9a-f]{32}_[0-9]+\Z")


class _Block(Struct):
    type: Any = None
    signature: Any = None


class _Item(Struct):
    type: Any = None
    id: Any = None
    encrypted_content: Any = None


_block = msgspec.json.Decoder(_Block)
_item = msgspec.json.Decoder(_Item)


def unsigned_thinking(body: bytes) -> bytes:
    """An Anthropic request less the thinking that nobody signed. A message of nothing else goes whole, since an empty
    one is refused. Raises InvalidBody."""
    if _UNSIGNED.search(body) is None:
        return body
    span = members(body, {"messages"}).spans.get("messages")
    messages = elements(body, span, "messages") if span else []
    edits: list[Edit] = []
    gone: set[int] = set()
    for number, message in enumerate(messages):
        content = _content(body, message)
        blocks = elements(body, content, "messages.content") if content else []
        out = {at for at, block in enumerate(blocks) if _is(_is_unsigned, body, block)}
        if out and len(out) == len(blocks):
            gone.add(number)
        elif out and content:
            edits += relisted(content, blocks, out)
    if gone and span and len(gone) < len(messages):
        edits += relisted(span, messages, gone)
    return splice(body, edits) if edits else body


def own_reasoning(body: bytes) -> bytes:
    """A Responses request less the items of reasoning that a translation wrote. Raises InvalidBody."""
    if _OWN_REASONING.search(body) is None:
        return body
    span = members(body, {"input"}).spans.get("input")
    items = elements(body, span, "input") if span else []
    out = {at for at, item in enumerate(items) if _is(_is_own, body, item)}
    return splice(body, relisted(span, items, out)) if span and out else body


def _content(body: bytes, message: Span) -> Span | None:
    if body[message[0] : message[0] + 1] != b"{" or _UNSIGNED.search(body, *message) is None:
        return None
    return inner(body, message, {"content"}, "messages").spans.get("content")


def _is(judge: Callable[[bytes], bool], body: bytes, span: Span) -> bool:
    try:
        return judge(body[slice(*span)])
    except (msgspec.DecodeError, RecursionError):
        return False


def _is_unsigned(text: bytes) -> bool:
    if _UNSIGNED.search(text) is None:
        return False
    block = _block.decode(text)
    return block.type == "thinking" and block.signature == ""


def _is_own(text: bytes) -> bool:
    if _OWN_REASONING.search(text) is None:
        return False
    item = _item.decode(text)
    sealed = isinstance(item.encrypted_content, str) and item.encrypted_content.startswith(MARK)
    return item.type == "reasoning" and (sealed or (isinstance(item.id, str) and _OWN_ID.match(item.id) is not None))
