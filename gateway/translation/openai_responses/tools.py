"""Tools and the choice among them, read and written:
https://platform.openai.com/docs/api-reference/responses/create, `tools`, `tool_choice`."""

from typing import Any

from gateway.protocols.codec import InvalidBody
from gateway.translation.arguments import of_object
from gateway.translation.openai_responses import fields
from gateway.translation.openai_responses.marks import apart, flat, separable
from gateway.translation.prompt import Choice, Tool

_NOT_OFFERED = ("web_search", "image_generation", "tool_search")
"""Kinds of tools (some with a date behind) without which the model can do: Codex names them in every request."""


class Offer:
    """Gathers the tools of a request."""

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.dropped: set[str] = set()

    def read(self, value: Any, path: str, namespace: str | None = None) -> None:
        """An array of tools. Raises InvalidBody."""
        for index, tool in enumerate(fields.array(value, path)):
            self._tool(fields.record(tool, f"{path}[{index}]"), f"{path}[{index}]", namespace)

    def _tool(self, tool: dict[str, Any], path: str, namespace: str | None) -> None:
        kind = tool.get("type")
        if kind in ("function", "custom"):
            name = flat(namespace, fields.name(tool.get("name"), f"{path}.name"))
            self.tools.append((_function if kind == "function" else _custom)(tool, path, name))
        elif kind == "namespace" and namespace is None:
            inner = fields.name(tool.get("name"), f"{path}.name")
            if not separable(inner):
                raise InvalidBody(f"{path}.name cannot be told from the names in it", f"{path}.name")
            self.read(tool.get("tools"), f"{path}.tools", inner)
        elif isinstance(kind, str) and kind.startswith(_NOT_OFFERED):
            self.dropped.add(next(f"tools[].{each}" for each in _NOT_OFFERED if kind.startswith(each)))
        else:
            raise InvalidBody(f"{path}.type: this model can only be given functions and custom tools", f"{path}.type")


def _function(tool: dict[str, Any], path: str, name: str) -> Tool:
    return Tool(
        name,
        fields.maybe_text(tool.get("description"), f"{path}.description"),
        fields.maybe_record(tool.get("parameters"), f"{path}.parameters"),
        fields.flag(tool.get("strict"), f"{path}.strict"),
    )


def _custom(tool: dict[str, Any], path: str, name: str) -> Tool:
    """Its grammar is told to the model in the description."""
    description = fields.maybe_text(tool.get("description"), f"{path}.description")
    form = fields.maybe_record(tool.get("format"), f"{path}.format") or {}
    if form.get("type") == "grammar":
        syntax = fields.text(form.get("syntax"), f"{path}.format.syntax")
        grammar = fields.text(form.get("definition"), f"{path}.format.definition")
        told = f"The input must match this grammar ({syntax}):\n{grammar}"
        description = f"{description}\n\n{told}" if description else told
    return Tool(name, description, custom=True)


def read_choice(value: Any, parallel: Any, offer: Offer) -> Choice:
    """What is not among the allowed tools is taken out of the offer. Raises InvalidBody."""
    at_once = fields.flag(parallel, "parallel_tool_calls")
    if isinstance(value, dict):
        choice = _chosen(fields.record(value, "tool_choice"), at_once, offer)
    else:
        match fields.one_of(value, "tool_choice", ("none", "auto", "required")):
            case "none":
                choice = Choice("none", parallel=at_once)
            case "required":
                choice = Choice("required", parallel=at_once)
            case found:
                choice = Choice("auto" if found else None, parallel=at_once)
    if choice.mode in ("required", "one") and not offer.tools:
        raise InvalidBody(
            "tool_choice asks for a tool, and none of the tools can be offered to this model", "tool_choice"
        )
    return choice


def _chosen(value: dict[str, Any], at_once: bool | None, offer: Offer) -> Choice:
    match value.get("type"):
        case "function" | "custom":
            return Choice("one", _named(value, "tool_choice"), at_once)
        case "allowed_tools":
            path = "tool_choice.tools"
            listed = enumerate(fields.array(value.get("tools"), path))
            named = {_named(fields.record(tool, f"{path}[{at}]"), f"{path}[{at}]") for at, tool in listed}
            offer.tools = [tool for tool in offer.tools if tool.name in named]
            mode = fields.one_of(value.get("mode"), "tool_choice.mode", ("auto", "required"))
            return Choice("required" if mode == "required" else "auto", parallel=at_once)
        case _:
            raise InvalidBody("tool_choice.type must be function, custom or allowed_tools", "tool_choice.type")


def _named(value: dict[str, Any], path: str) -> str | None:
    """The tool that is meant; one of OpenAI's own has no name."""
    if value.get("type") not in ("function", "custom"):
        return None
    namespace = fields.maybe_text(value.get("namespace"), f"{path}.namespace")
    return flat(namespace or None, fields.name(value.get("name"), f"{path}.name"))


def write(tools: tuple[Tool, ...], *, strict: bool) -> list[dict[str, Any]]:
    """In their namespaces. `strict`: what is said of functions that say nothing themselves."""
    found: list[dict[str, Any]] = []
    spaces: dict[str, list[dict[str, Any]]] = {}
    for tool in tools:
        namespace, name = apart(tool.name)
        said = _written(tool, name, strict)
        if namespace is None:
            found.append(said)
        elif namespace in spaces:
            spaces[namespace].append(said)
        else:
            spaces[namespace] = [said]
            found.append({"type": "namespace", "name": namespace, "description": "", "tools": spaces[namespace]})
    return found


def _written(tool: Tool, name: str, strict: bool) -> dict[str, Any]:
    if tool.custom:
        found: dict[str, Any] = {"type": "custom", "name": name, "format": {"type": "text"}}
        return found if tool.description is None else {**found, "description": tool.description}
    return {
        "type": "function",
        "name": name,
        "description": tool.description,
        "parameters": of_object(tool.schema),
        "strict": strict if tool.strict is None else tool.strict,
    }


def write_name(name: str) -> dict[str, str]:
    """The members that name a tool, where it is called or chosen."""
    namespace, rest = apart(name)
    return {"name": rest} if namespace is None else {"name": rest, "namespace": namespace}


def write_choice(choice: Choice, tools: tuple[Tool, ...]) -> str | dict[str, Any] | None:
    if choice.mode != "one":
        return choice.mode
    custom = any(tool.custom for tool in tools if tool.name == choice.name)
    return {"type": "custom" if custom else "function", **write_name(choice.name or "")}
