"""Calls and results as text:

    <pg:call name="NAME"><pg:arg name="ARG">VALUE</pg:arg>…</pg:call>
    <pg:result call="ID" name="NAME">TEXT</pg:result>

A string stands as it is, any other value as JSON; `& < >` are escaped in all of them, so nothing that is written here
can close a tag. What is read may be in CDATA as well, and is decoded once.
"""

import re
from collections.abc import Iterable

_OPEN, _CLOSE = "<![CDATA[", "]]>"
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SURROGATES = range(0xD800, 0xE000)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(text: str) -> str:
    """As the value of an attribute, with its quotes."""
    return f'"{escaped(text).replace(chr(34), "&quot;")}"'


def call(name: str, arguments: Iterable[tuple[str, str]]) -> str:
    """`arguments`: names and values, which are texts already but not escaped."""
    written = "".join(f"<pg:arg name={quoted(each)}>{escaped(value)}</pg:arg>" for each, value in arguments)
    return f"<pg:call name={quoted(name)}>{written}</pg:call>"


def result(call_id: str, name: str | None, text: str, error: bool = False) -> str:
    named = "" if name is None else f" name={quoted(name)}"
    marked = ' error="true"' if error else ""
    return f"<pg:result call={quoted(call_id)}{named}{marked}>{escaped(text)}</pg:result>"


def decoded(text: str) -> str:
    """Entities read once: XML's five and the numeric ones. HTML's others are text: models write HTML unescaped."""
    return _ENTITY.sub(_character, text) if "&" in text else text


def value(text: str) -> str:
    """What stands in an argument. White space around a value that is all CDATA is of the layout."""
    bare = text.strip()
    if bare.startswith(_OPEN) and bare.endswith(_CLOSE):
        text = bare
    found: list[str] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0 and (end := text.find(_CLOSE, start + len(_OPEN))) >= 0:
        found += (decoded(text[at:start]), text[start + len(_OPEN) : end])
        at = end + len(_CLOSE)
    return "".join((*found, decoded(text[at:])))


def _character(found: re.Match[str]) -> str:
    name, decimal, hexadecimal = found.groups()
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if 0 < code <= 0x10FFFF and code not in _SURROGATES else found[0]
