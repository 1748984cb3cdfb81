"""JSON schema as Anthropic takes it where it holds the model to it: of answers, and of strict tools.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs (JSON schema limitations). What it refuses is
told to the model in the description, as Anthropic's own SDKs do.
"""

from collections.abc import Mapping
from typing import Any

from gateway.protocols.reading import mapping, sequence, written

_UNENFORCED = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    }
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})


def strict(schema: Any) -> Any:
    """Objects are closed where the schema is silent, `oneOf` is `anyOf`."""
    if isinstance(schema, list):
        return [strict(each) for each in sequence(schema)]
    if not isinstance(schema, dict):
        return schema
    given = mapping(schema)
    told = {name: value for name, value in given.items() if _is_told(name, value)}
    found = {name: _inner(name, value) for name, value in given.items() if name not in told}
    if "oneOf" in found and "anyOf" not in found:
        found["anyOf"] = found.pop("oneOf")
    if "object" in (kind := found.get("type"), *sequence(kind)):
        found.setdefault("additionalProperties", False)
    return found | {"description": _description(found, told)} if told else found


def _inner(name: str, value: Any) -> Any:
    if name in ("properties", "$defs", "definitions"):
        return {each: strict(schema) for each, schema in mapping(value).items()}
    return strict(value) if name in ("items", "anyOf", "allOf", "oneOf", "additionalProperties") else value


def _is_told(name: str, value: Any) -> bool:
    if name == "minItems":
        return value not in (0, 1)
    return name in _UNENFORCED or (name == "format" and value not in _FORMATS)


def _description(found: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    said = {name: value if isinstance(value, str) else written(value).decode() for name, value in told.items()}
    text = ", ".join(f"{name}: {value}" for name, value in said.items())
    own = found.get("description")
    return f"{own}\n\n{{{text}}}" if isinstance(own, str) and own else f"{{{text}}}"
