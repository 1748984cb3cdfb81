"""A value that satisfies a JSON schema: arguments for tools, and answers to clients that ask for structured output.

Reads the JSON Schema that providers accept, and Gemini's OpenAPI flavour (types in capitals, `nullable`).
"""

import re
from collections.abc import Mapping
from math import ceil, floor, inf
from typing import Any, cast

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "sandbox@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEPTH = 24


def example(schema: Any, text: str = "sandbox") -> Any:
    """The smallest plain value that satisfies `schema`; `text` is used where any string will do."""
    return _Example(mapping(schema), text).value()


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object; the empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


class _Example:
    def __init__(self, root: Mapping[str, Any], text: str) -> None:
        self.root = root
        self.text = text

    def value(self) -> Any:
        return self._of(self.root, 0)

    def _of(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _DEPTH:
            return None if schema is not True else self.text
        node = self._resolve(cast("Mapping[str, Any]", schema), depth)
        for fixed in ("const", "default"):
            if fixed in node:
                return node[fixed]
        if node.get("enum"):
            return node["enum"][0]
        for several in ("anyOf", "oneOf"):
            if node.get(several):
                return self._of(node[several][0], depth + 1)
        return self._typed(node, depth)

    def _resolve(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Follow references, and lay the parts of `allOf` over one another."""
        if isinstance(reference := schema.get("$ref"), str) and depth <= _DEPTH:
            target: Any = self.root
            for step in reference.lstrip("#/").split("/"):
                if step:
                    target = target.get(step.replace("~1", "/").replace("~0", "~"), {})
            return self._resolve({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, depth + 1)
        if not isinstance(parts := schema.get("allOf"), list):
            return schema
        merged: dict[str, Any] = {}
        for part in [*cast("list[Any]", parts), {k: v for k, v in schema.items() if k != "allOf"}]:
            solved = self._resolve(part, depth + 1)
            properties = mapping(merged.get("properties")) | mapping(solved.get("properties"))
            required = [*merged.get("required", []), *solved.get("required", [])]
            merged |= {**solved, "properties": properties, "required": required}
        return merged

    def _typed(self, node: Mapping[str, Any], depth: int) -> Any:
        kind: Any = node.get("type")
        if isinstance(kind, list):
            kind = next(iter(cast("list[Any]", kind)), "null")
        kind = str(kind or ("object" if "properties" in node else "array" if "items" in node else "string")).lower()
        if kind == "object":
            properties = mapping(node.get("properties"))
            return {name: self._of(properties.get(name, True), depth + 1) for name in node.get("required") or ()}
        if kind == "array":
            first = node.get("prefixItems") or ()
            count = max(int(node.get("minItems") or 0), len(first))
            return [self._of(first[i] if i < len(first) else node.get("items", True), depth + 1) for i in range(count)]
        if kind in {"integer", "number"}:
            return _number(node, kind == "integer")
        return {"boolean": True, "null": None}.get(kind, self._string(node) if kind == "string" else None)

    def _string(self, node: Mapping[str, Any]) -> str:
        if isinstance(node.get("format"), str) and node["format"] in _FORMATS:
            return _FORMATS[node["format"]]
        text = self.text
        if isinstance(pattern := node.get("pattern"), str) and not re.search(pattern, text):
            text = next((t for t in ("a", "A", "0", "a0", "1.0.0", "/") if re.search(pattern, t)), text)
        text = text.ljust(int(node.get("minLength") or 0), ".")
        return text[: int(node["maxLength"])] if node.get("maxLength") is not None else text


def _number(node: Mapping[str, Any], whole: bool) -> int | float:
    """The first plain value within the bounds. One comes before nought: "1 to 100" may be in the description alone."""
    low = max(_numbers(node, "minimum", "exclusiveMinimum"), default=-inf)
    high = min(_numbers(node, "maximum", "exclusiveMaximum"), default=inf)
    step = float(node.get("multipleOf") or 1)
    start = low if low > -inf else high - step if high < inf else 0.0
    near = (ceil(start / step) * step, (floor(start / step) + 1) * step, start, (low + high) / 2)

    edges = _numbers(node, "exclusiveMinimum", "exclusiveMaximum")

    def fits(value: float) -> bool:
        even = value % step == 0 or not (whole or "multipleOf" in node)
        return low <= value <= high and value not in edges and even

    value = next((v for v in (1.0, *near) if fits(v)), start)
    return int(value) if whole else value


def _numbers(node: Mapping[str, Any], *names: str) -> list[float]:
    values = (node.get(name) for name in names)
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
