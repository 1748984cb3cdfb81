"""JSON schema → what Gemini takes for one: a subset of OpenAPI 3.0 (ai.google.dev/api/caching#Schema), in which

* there are no references: they are written out, a recursive one two levels deep;
* a value has one type, in capitals; more of them are `anyOf`, which has no other member beside it on Vertex; null is
  `nullable`; every array says what its items are;
* `enum` and `format` have narrow sets of values, and `required` names only properties that are there.

What cannot be said makes the schema wider, never narrower, but for `false`, which no value fits. Pure.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from gateway.protocols.reading import mapping, sequence, written

_Schema = dict[str, Any]

MOST_NODES = 2_000
"""Of one schema, written out: what is more is said in less detail."""
_DEEPEST = 32
_LEVELS = 2

_TYPES = {
    "string": "STRING",
    "number": "NUMBER",
    "integer": "INTEGER",
    "boolean": "BOOLEAN",
    "array": "ARRAY",
    "object": "OBJECT",
}
_FORMATS = {
    "string": frozenset({"date-time"}),
    "integer": frozenset({"int32", "int64"}),
    "number": frozenset({"float", "double"}),
}
_SIZES = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
#: A schema that does not name its type is of the one that its other words are for.
_HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", *_SIZES["object"]),
    "array": ("items", "prefixItems", "uniqueItems", *_SIZES["array"]),
    "string": ("pattern", *_SIZES["string"]),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_KINDS: Sequence[tuple[type, str]] = ((str, "string"), (bool, "boolean"), (int, "integer"), (float, "number"))
#: What is said of a value as a whole, whatever its type.
_ABOUT = frozenset(
    {"description", "title", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions"}
)


def parameters(schema: Mapping[str, Any]) -> _Schema | None:
    """Of a function: an object; None where it takes no arguments."""
    found = _Cleaner(schema).node(dict(schema), 0)
    if found is not None and "anyOf" in found:
        found = _joined([each for each in found["anyOf"] if each.get("type") == "OBJECT"])
    if found is None or found.get("type") != "OBJECT" or not found.get("properties"):
        return None
    found.pop("nullable", None)
    return found


def answer(schema: Mapping[str, Any]) -> _Schema:
    """Of an answer: any type."""
    return _Cleaner(schema).node(dict(schema), 0) or _anything()


def _joined(branches: list[_Schema]) -> _Schema | None:
    """One object for several: all their properties, of which all need only what each needs."""
    if not branches:
        return None
    properties: _Schema = {}
    for each in branches:
        properties = {**each.get("properties", {}), **properties}
    needed = [name for name in branches[0].get("required", []) if all(name in b.get("required", []) for b in branches)]
    joined = {**branches[0], "properties": properties, "required": needed}
    return {name: value for name, value in joined.items() if value}


def _anything() -> _Schema:
    return {"anyOf": [{"type": name} for name in ("STRING", "NUMBER", "BOOLEAN", "OBJECT")]}


def _bare(schema: _Schema) -> _Schema:
    kind = _types(schema)[:1] or ["object"]
    found: _Schema = {"type": _TYPES.get(kind[0], "OBJECT")}
    return found | {"items": _anything()} if kind == ["array"] else found


def _types(schema: _Schema) -> list[str]:
    """The types that the schema names, with null among them; none when it names none."""
    named = schema.get("type")
    if isinstance(named, str) and named in _TYPES and "nullable" not in schema:
        return [named]
    given = [named] if isinstance(named, str) else sequence(named)
    found = [each.lower() for each in given if isinstance(each, str)]
    if schema.get("nullable") is True and found:
        found.append("null")
    return [each for each in dict.fromkeys(found) if each in _TYPES or each == "null"]


def _values(schema: _Schema) -> list[Any] | None:
    """What `enum` or `const` allow; None when neither stands there."""
    if "const" in schema:
        return [schema["const"]]
    return sequence(schema["enum"]) or None if "enum" in schema else None


def _kind(value: Any) -> str:
    """The type of a value."""
    if value is None:
        return "null"
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "object")


def _fits(value: Any, name: str) -> bool:
    kind = _kind(value)
    return kind == name or (kind == "integer" and name == "number")


def _inferred(schema: _Schema) -> list[str]:
    values = _values(schema)
    if values is not None:
        return list(dict.fromkeys(_kind(value) for value in values))
    return [name for name, hints in _HINTS.items() if any(hint in schema for hint in hints)][:1]


def _both(one: _Schema, other: _Schema) -> _Schema:
    """A schema that asks what both ask, as far as one can."""
    found = {**one, **other}
    if "properties" in one and "properties" in other:
        found["properties"] = {**mapping(one["properties"]), **mapping(other["properties"])}
    if "required" in one and "required" in other:
        found["required"] = [*sequence(one["required"]), *sequence(other["required"])]
    return found


def _alternatives(schema: _Schema) -> list[Any]:
    if "anyOf" not in schema and "oneOf" not in schema:
        return []
    return sequence(schema.get("anyOf")) or sequence(schema.get("oneOf"))


class _Cleaner:
    __slots__ = ("_inside", "_left", "_root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MOST_NODES
        self._inside: list[str] = []

    def node(self, given: Any, depth: int, over: _Schema | None = None) -> _Schema | None:
        """`over`: what stands beside the `anyOf` that this is a branch of. None: no value fits."""
        if given is False:
            return None
        self._left -= 1
        schema = mapping(given)
        if self._left < 0 or depth > _DEEPEST:
            return _bare(schema)
        if "$ref" not in schema:
            return self._resolved_node(schema, depth, over)
        with self._resolved(schema) as resolved:
            if resolved is None:
                return _bare(self._target(schema["$ref"]) or {})
            return self._resolved_node(resolved, depth, over)

    def _resolved_node(self, schema: _Schema, depth: int, over: _Schema | None) -> _Schema | None:
        if over:
            schema = _both(over, schema)
        if "allOf" in schema:
            schema = self._gathered(schema)
        return self._described(self._branches(schema, depth), schema)

    @contextmanager
    def _resolved(self, schema: _Schema) -> Generator[_Schema | None]:
        """The schema with what it refers to in it; None inside of itself, once too often."""
        before = len(self._inside)
        found = schema
        while isinstance(reference := found.get("$ref"), str) and self._inside.count(reference) < _LEVELS:
            self._inside.append(reference)
            beside = {name: value for name, value in found.items() if name != "$ref"}
            found = _both(self._target(reference) or {}, beside)
        yield None if isinstance(found.get("$ref"), str) else found
        del self._inside[before:]

    def _target(self, reference: str) -> _Schema | None:
        """`#/$defs/Name` and the like; None for what lies elsewhere, or nowhere."""
        found: Any = self._root
        if not reference.startswith("#"):
            return None
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list):
                places = cast("list[Any]", found)
                found = places[int(name)] if name.isdecimal() and int(name) < len(places) else None
            else:
                found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, Mapping) else None
        return mapping(found) or None

    def _gathered(self, schema: _Schema) -> _Schema:
        """With the schemas of `allOf` in it."""
        for each in sequence(schema.get("allOf")):
            with self._resolved(mapping(each)) as found:
                schema = _both(self._gathered(found or {}), schema)
        return {name: value for name, value in schema.items() if name != "allOf"}

    def _branches(self, schema: _Schema, depth: int) -> list[_Schema]:
        """What the value may be, each of one type; with `nullable` where it may be null too."""
        if alternatives := _alternatives(schema):
            rest = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}
            beside = {name: value for name, value in rest.items() if name not in _ABOUT}
            branches = [self.node(each, depth + 1, beside) for each in alternatives]
            found = [each for branch in branches if branch for each in branch.get("anyOf", [branch])]
            return _without_null(found) if found else self._branches(rest, depth)
        types = _types(schema) or _inferred(schema)
        if not types:
            return _anything()["anyOf"]
        found = [each for name in types if name != "null" and (each := self._of_type(name, schema, depth))]
        if "null" in types or None in (_values(schema) or ()):
            return [{**each, "nullable": True} for each in found] or [{"type": "NULL"}]
        return found

    def _described(self, branches: list[_Schema], schema: _Schema) -> _Schema | None:
        """The branches as one schema; the description says what the value is for, if a branch says nothing itself."""
        if not branches:
            return None
        text = schema.get("description")
        if isinstance(text, str) and text:
            branches = [_first(each, text, alone=len(branches) == 1) for each in branches]
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def _of_type(self, name: str, schema: _Schema, depth: int) -> _Schema | None:
        found: _Schema = {"type": _TYPES[name]}
        values = _values(schema)
        if values is not None:
            fitting = [value for value in values if _fits(value, name)]
            if not fitting:
                return None
            found |= _chosen(name, fitting)
        if isinstance(form := schema.get("format"), str) and form in _FORMATS.get(name, ()) and "enum" not in found:
            found["format"] = form
        for size in _SIZES.get(name, ()):
            if type(schema.get(size)) in (int, float) and schema[size] >= 0:
                found[size] = int(schema[size])
        if name == "string" and isinstance(schema.get("pattern"), str):
            found["pattern"] = schema["pattern"]
        elif name in ("number", "integer"):
            found |= _range(name, schema)
        elif name == "array":
            found["items"] = self._items(schema, depth)
        elif name == "object":
            found |= self._properties(schema, depth)
        return found

    def _items(self, schema: _Schema, depth: int) -> _Schema:
        one: Any = schema.get("items")
        several = [*sequence(schema.get("prefixItems")), *sequence(one)]
        if several and isinstance(one, dict):
            several.append(one)
        if several:
            one = {"anyOf": several}
        return (self.node(one, depth + 1) if isinstance(one, dict) else None) or _anything()

    def _properties(self, schema: _Schema, depth: int) -> _Schema:
        cleaned = {name: self.node(each, depth + 1) for name, each in mapping(schema.get("properties")).items()}
        properties = {name: each for name, each in cleaned.items() if each is not None}
        needed = [name for name in sequence(schema.get("required")) if isinstance(name, str) and name in properties]
        found: _Schema = {"properties": properties} if properties else {}
        return found | {"required": list(dict.fromkeys(needed))} if needed else found


def _without_null(branches: list[_Schema]) -> list[_Schema]:
    """Null is no branch: it is `nullable` on all others. The same branch twice is one."""
    found: list[_Schema] = []
    for each in branches:
        if each.get("type") != "NULL" and each not in found:
            found.append(each)
    if len(found) < len(branches) and any(each.get("type") == "NULL" for each in branches):
        return [{**each, "nullable": True} for each in found] or branches[:1]
    return found


def _first(branch: _Schema, text: str, *, alone: bool) -> _Schema:
    """With this description, which a choice of values (`One of …`) stands after."""
    own = branch.get("description", "")
    if own.startswith(_ONE_OF):
        return {**branch, "description": f"{text}\n{own}"}
    return {**branch, "description": text} if alone or not own else branch


_ONE_OF = "One of: "


def _chosen(name: str, values: list[Any]) -> _Schema:
    """Only strings can be enumerated, and not the empty one; of others the description says it."""
    if name != "string":
        return {"description": _ONE_OF + ", ".join(written(value).decode() for value in values)}
    texts = [value for value in dict.fromkeys(values) if value]
    return {"enum": texts} if texts else {}


def _range(name: str, schema: _Schema) -> _Schema:
    """An open end is closed where numbers are whole."""
    found: _Schema = {}
    for closed, opened, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        if type(limit := schema.get(closed)) in (int, float):
            found[closed] = limit
        elif type(limit := schema.get(opened)) in (int, float):
            number = cast("float", limit)
            whole = math.floor(number) if step > 0 else math.ceil(number)
            found[closed] = whole + step if name == "integer" else number
    return found
