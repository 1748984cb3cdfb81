"""What a tool's JSON schema says of its arguments, as far as reading them needs it.

Branches (`anyOf`, `oneOf`, `allOf`, `$ref`) are taken together: what one of them allows is allowed. So a schema is
understood too widely, never too narrowly, in one pass over it; patterns are not looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast
from urllib.parse import unquote

from gateway.protocols.reading import mapping, sequence
from gateway.translation.arguments import FREE
from gateway.translation.prompt import Tool

Kinds = frozenset[str]
ANY: Kinds = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
_TYPES: Sequence[tuple[type, str]] = (
    (str, "string"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
)
_HINTS = (("properties", "object"), ("items", "array"))
_ALL = ("allOf",)
_EACH = ("allOf", "anyOf", "oneOf")
_MOST_PLAIN = 8


def kind_of(value: Any) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "null")


class Schema:
    """Of all arguments of a tool."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self._root: Mapping[str, Any] = FREE if tool.custom else tool.schema or {}

    @cached_property
    def required(self) -> frozenset[str]:
        return frozenset(name for node in self._reached(self._root, _ALL) for name in _names(node.get("required")))

    @cached_property
    def _arguments(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """All that is said of each."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for node in self._reached(self._root, _EACH):
            for name, about in mapping(node.get("properties")).items():
                found.setdefault(name, []).append(mapping(about))
        return found

    def knows(self, name: str) -> bool:
        """Whether an argument has this name; a schema that is open to any knows none by name."""
        return name in self._arguments

    def names(self) -> tuple[str, ...]:
        """The required ones first, otherwise in the schema's order."""
        return tuple(sorted(self._arguments, key=lambda name: name not in self.required))

    def of(self, name: str) -> tuple[Kinds, list[Any]]:
        """(the types that the argument may have, the values that `enum` or `const` name)."""
        nodes = [each for node in self._arguments.get(name, ()) for each in self._reached(node, _EACH)]
        kinds = {kind for node in nodes for kind in _kinds(node)}
        return frozenset(kinds) or ANY, [value for node in nodes for value in _values(node)]

    def node(self, name: str) -> Mapping[str, Any]:
        """The first that is said of the argument."""
        nodes = self._arguments.get(name)
        return nodes[0] if nodes else {}

    def kind(self, node: Mapping[str, Any]) -> str:
        """One type that a plain schema allows: not null where there is another."""
        found = _kinds(node)
        return next((kind for _, kind in _TYPES if kind in found), "null" if found else "string")

    def plain(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """One schema for one with branches: the first that is not null of those that exclude each other."""
        for _ in range(_MOST_PLAIN):
            branches = [*_branches(node, _ALL), *self._target(node)]
            for word in ("anyOf", "oneOf"):
                branches += [each for each in _branches(node, (word,)) if _kinds(each) != {"null"}][:1]
            if not branches:
                break
            node = {name: value for name, value in node.items() if name not in _EACH and name != "$ref"}
            for branch in branches:
                node = _joined(node, branch)
        return node

    def _reached(self, node: Mapping[str, Any], through: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The node, and all that it refers to or branches into."""
        waiting, seen = [node], {id(node)}
        while waiting:
            node = waiting.pop()
            yield node
            for each in reversed([*self._target(node), *_branches(node, through)]):
                if id(each) not in seen:
                    seen.add(id(each))
                    waiting.append(each)

    def _target(self, node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Of a reference within the schema, by RFC 6901."""
        reference = node.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return
        found: Any = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            found = mapping(found).get(step.replace("~1", "/").replace("~0", "~"))
        if isinstance(found, dict):
            yield cast("dict[str, Any]", found)


def _joined(node: Mapping[str, Any], branch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node's own words stand before the branch's; properties are those of both."""
    joined = {**branch, **node}
    if properties := {**mapping(branch.get("properties")), **mapping(node.get("properties"))}:
        joined["properties"] = properties
        joined["required"] = [*_names(node.get("required")), *_names(branch.get("required"))]
    return joined


def _branches(node: Mapping[str, Any], words: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for word in words:
        for each in sequence(node.get(word)):
            if isinstance(each, dict):
                yield cast("dict[str, Any]", each)


def _names(value: Any) -> list[str]:
    return [name for name in sequence(value) if isinstance(name, str)]


def _values(node: Mapping[str, Any]) -> list[Any]:
    return [node["const"]] if "const" in node else sequence(node.get("enum"))


def _kinds(node: Mapping[str, Any]) -> set[str]:
    """Those that the node itself names, in Gemini's capitals too; none where it says nothing."""
    named = node.get("type")
    given = [named] if isinstance(named, str) else sequence(named)
    found = {each.lower() for each in given if isinstance(each, str)} & ANY
    if not found:
        found = {kind_of(value) for value in _values(node)} or {kind for word, kind in _HINTS if word in node}
    if "number" in found:
        found.add("integer")
    if node.get("nullable") is True and found:
        found.add("null")
    return found
