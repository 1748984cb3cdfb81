"""Requests of Anthropic's clients, read: https://docs.anthropic.com/en/api/messages"""

import json
from typing import Any

import msgspec
from msgspec import structs

from gateway.protocols.codec import InvalidBody
from gateway.protocols.spans import members
from gateway.translation.anthropic.blocks import Blocks, cache_of
from gateway.translation.anthropic.fields import ARRAY, OBJECT, Object, member, needed, of, unknown
from gateway.translation.anthropic.losses import DROPPED
from gateway.translation.anthropic.mending import mended
from gateway.translation.prompt import Choice, Effort, Format, Prompt, Reasoning, Role, Text, Tool, Turn

_EFFORTS: dict[str, Effort] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_SHOWN = {"summarized": True, "omitted": False}
_BILLING = "x-anthropic-billing-header:"
_TOOL_OPTIONS = ("allowed_callers", "eager_input_streaming", "input_examples")


def parse(body: bytes, endpoint: Any) -> Prompt:
    """Of a request for an answer as of one for a count, which has no max_tokens. Raises InvalidBody."""
    tree = _decoded(body)
    blocks = Blocks()
    blocks.dropped |= dict.fromkeys(sorted(name for name in DROPPED & tree.keys() if tree[name] is not None))
    if tree.get("mcp_servers"):
        raise InvalidBody("mcp_servers: servers that Anthropic calls cannot be translated", "mcp_servers")
    model = needed(tree, "model", str)
    config = member(tree, "output_config", OBJECT) or {}
    metadata = member(tree, "metadata", OBJECT) or {}
    return Prompt(
        model=model,
        system=_system(tree.get("system"), blocks),
        turns=_turns(needed(tree, "messages", ARRAY), blocks),
        stream=member(tree, "stream", bool) or False,
        tools=_tools(member(tree, "tools", ARRAY) or [], blocks),
        choice=_choice(member(tree, "tool_choice", OBJECT) or {}),
        max_tokens=member(tree, "max_tokens", int),
        temperature=member(tree, "temperature", float),
        top_p=member(tree, "top_p", float),
        top_k=member(tree, "top_k", int),
        stop=_stop(member(tree, "stop_sequences", ARRAY) or []),
        format=_format(config, "output_config.format") or _format(tree, "output_format"),
        reasoning=_reasoning(member(tree, "thinking", OBJECT) or {}, config, blocks.dropped),
        user=member(metadata, "user_id", str, "metadata."),
        service_tier=member(tree, "service_tier", str),
        dropped=tuple(blocks.dropped),
    )


def _decoded(body: bytes) -> Object:
    """Raises InvalidBody. Half an emoji, which a client's own cutting leaves, is U+FFFD for everybody else."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members(body, ())  # says what is wrong, where it is more than that
        try:
            tree = msgspec.json.decode(mended(json.dumps(json.loads(body), ensure_ascii=False)))
        except (ValueError, RecursionError) as error:
            raise InvalidBody(f"the body cannot be read: {error}") from None
    if not isinstance(tree, OBJECT):
        raise InvalidBody("the body must be a JSON object")
    return tree  # pyright: ignore[reportUnknownVariableType]


def _system(content: Any, blocks: Blocks) -> tuple[Text, ...]:
    """Without the line that Claude Code begins with: it is for Anthropic's books, and often another in each request, so
    that no upstream could cache what follows it (https://github.com/anthropics/claude-code/issues/68900)."""
    texts = () if content is None else blocks.texts(content, "system")
    if not texts or not texts[0].text.startswith(_BILLING):
        return texts
    rest = texts[0].text.partition("\n")[2]
    return (structs.replace(texts[0], text=rest), *texts[1:]) if rest else texts[1:]


def _turns(messages: list[Any], blocks: Blocks) -> tuple[Turn, ...]:
    if not messages:
        raise InvalidBody("messages must have at least one message", "messages")
    turns: list[Turn] = []
    for number, each in enumerate(messages):
        path = f"messages[{number}]"
        message = of(each, OBJECT, path)
        role = _ROLES.get(needed(message, "role", str, path + "."))
        if role is None:
            raise unknown("a role", path + ".role", message["role"])
        if message.get("output_config") is not None:
            blocks.dropped["messages.output_config"] = None
        content = message.get("content")
        if content is None:
            raise InvalidBody(f"{path}.content is missing", path + ".content")
        read = blocks.texts if role == "system" else blocks.parts
        turns.append(Turn(role, read(content, path + ".content")))
    return tuple(turns)


def _tools(tools: list[Any], blocks: Blocks) -> tuple[Tool, ...]:
    read: list[Tool] = []
    for number, each in enumerate(tools):
        path = f"tools[{number}]"
        tool = of(each, OBJECT, path)
        kind = member(tool, "type", str, path + ".") or "custom"
        if kind.startswith("tool_search_tool"):
            blocks.dropped["tools.tool_search"] = None
            continue
        if kind != "custom":
            raise unknown("a tool of type", path + ".type", kind)
        if any(tool.get(name) is not None for name in _TOOL_OPTIONS):
            blocks.dropped["tools.options"] = None
        if tool.get("defer_loading"):
            blocks.dropped["tools.defer_loading"] = None
        read.append(_tool(tool, path + "."))
    return tuple(read)


def _tool(tool: Object, path: str) -> Tool:
    return Tool(
        name=needed(tool, "name", str, path),
        description=member(tool, "description", str, path),
        schema=member(tool, "input_schema", OBJECT, path),
        strict=member(tool, "strict", bool, path),
        cache=cache_of(tool, path),
    )


def _choice(choice: Object) -> Choice:
    if not choice:
        return Choice()
    alone = member(choice, "disable_parallel_tool_use", bool, "tool_choice.")
    parallel = None if alone is None else not alone
    match kind := needed(choice, "type", str, "tool_choice."):
        case "auto" | "none":
            return Choice(kind, parallel=parallel)
        case "any":
            return Choice("required", parallel=parallel)
        case "tool":
            return Choice("one", needed(choice, "name", str, "tool_choice."), parallel)
        case _:
            raise unknown("a choice of type", "tool_choice.type", kind)


def _stop(sequences: list[Any]) -> tuple[str, ...]:
    return tuple(of(each, str, f"stop_sequences[{number}]") for number, each in enumerate(sequences))


def _format(tree: Object, path: str) -> Format | None:
    form = member(tree, path.rpartition(".")[2], OBJECT, path[: path.rfind(".") + 1])
    if form is None:
        return None
    kind = needed(form, "type", str, path + ".")
    if kind != "json_schema":
        raise unknown("a format of type", path + ".type", kind)
    schema = needed(form, "schema", OBJECT, path + ".")
    return Format("schema", schema, strict=True)


def _reasoning(thinking: Object, config: Object, dropped: dict[str, None]) -> Reasoning:
    effort = None
    if (word := member(config, "effort", str, "output_config.")) is not None:
        effort = _EFFORTS.get(word)
        if effort is None:
            raise unknown("an effort", "output_config.effort", word)
    if not thinking:
        return Reasoning(effort=effort)
    shown = _SHOWN.get(member(thinking, "display", str, "thinking.") or "")
    match kind := needed(thinking, "type", str, "thinking."):
        case "enabled":
            return Reasoning(True, effort, needed(thinking, "budget_tokens", int, "thinking."), shown)
        case "adaptive":
            return Reasoning(True, effort, shown=shown)
        case "disabled":
            return Reasoning(False, effort, shown=shown)
        case "between_tools":
            dropped["thinking.between_tools"] = None
            return Reasoning(False, effort, shown=shown)
        case _:
            raise unknown("thinking of type", "thinking.type", kind)
