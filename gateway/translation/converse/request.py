"""Requests for Bedrock's Converse and ConverseStream, which differ by path alone; the model stands in the path too.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
What is not the same for all models goes by the model's maker, as its own page says (model-parameters.html there).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.protocols.reading import written
from gateway.translation.arguments import FREE, NOTHING
from gateway.translation.converse.content import Block, Writing, messages, tool_name
from gateway.translation.efforts import budget_of, effort_of
from gateway.translation.names import legal
from gateway.translation.prompt import Call, Effort, Prompt, Result, Text, Tool, Untranslatable
from gateway.translation.speech import Built, Limits

_LEAST_BUDGET = 1024
_LEVELS: Mapping[Effort, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
#: From Claude 4.6 it thinks as much as it sees fit, by effort; a date is no version.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2})(?!\d))?")
_UNPLACED = ("seed", "presence_penalty", "frequency_penalty", "metadata", "user", "service_tier")


class _Model:
    """What its name says of a model."""

    def __init__(self, name: str) -> None:
        name = name.lower()
        self.claude = "claude" in name
        self.nova = "amazon.nova" in name
        self.nova_thinks = "amazon.nova-2" in name
        self.gpt = "gpt-oss" in name
        self.qwen = "qwen3" in name
        version = _version(name)
        self.adaptive = version >= (4, 6)
        self.samples_itself = version >= (4, 7)
        self.takes_one_of_both = version >= (4, 1)


def _version(name: str) -> tuple[int, int]:
    """Of Claude; (0, 0) where the name tells none."""
    found = _VERSION.search(name)
    return (0, 0) if found is None else (int(found[1]), int(found[2] or 0))


def build(prompt: Prompt, limits: Limits) -> Built:
    """Raises Untranslatable."""
    if prompt.logprobs is not None:
        raise Untranslatable("logprobs", "Bedrock's answers have no log probabilities")
    model = _Model(limits.model)
    writing = Writing(model.claude, model.nova)
    said = messages(prompt.turns, writing)
    body: Block = {"messages": said}
    system = _system(prompt, writing)
    if system and said:
        body["system"] = system
    elif system:
        body["messages"] = [{"role": "user", "content": system}]
    if tools := _tools(prompt, writing):
        body["toolConfig"] = tools
    thinking = _thinking(prompt, model, limits, said, writing.lost)
    body |= _sampling(prompt, limits, model, thinking, writing.lost)
    if prompt.format is not None:
        body["outputConfig"] = _format(prompt)
    for name in _UNPLACED:
        if getattr(prompt, name) is not None:
            writing.lost[name] = None
    return Built(written(body), tuple(writing.lost))


def _system(prompt: Prompt, writing: Writing) -> list[Block]:
    between = [part for turn in prompt.turns if turn.role == "system" for part in turn.parts if isinstance(part, Text)]
    if between:
        writing.lost["system.position"] = None
    return [block for text in (*prompt.system, *between) for block in writing.part(text)]


def _tools(prompt: Prompt, writing: Writing) -> Block:
    """Where the conversation has calls, there must be tools."""
    choice = prompt.choice
    names = {part.name: None for turn in prompt.turns for part in turn.parts if isinstance(part, Call)}
    used = bool(names) or any(isinstance(part, Result) for turn in prompt.turns for part in turn.parts)
    if choice.mode == "none" and prompt.tools and used:
        raise Untranslatable("tool_choice", "Bedrock cannot forbid tools where the conversation has calls already")
    if choice.parallel is False:
        writing.lost["parallel_tool_calls"] = None
    offered = () if choice.mode == "none" else prompt.tools or tuple(Tool(name) for name in names)
    specs = [block for tool in offered for block in _tool(tool, writing)]
    if not specs:
        return {}
    chosen: dict[str | None, Block] = {
        "auto": {"auto": {}},
        "required": {"any": {}},
        "one": {"tool": {"name": legal(choice.name or "")}},
    }
    return {"tools": specs, **({"toolChoice": chosen[choice.mode]} if choice.mode in chosen else {})}


def _tool(tool: Tool, writing: Writing) -> list[Block]:
    spec: Block = {"name": tool_name(tool.name)}
    if tool.description and tool.description.strip():
        spec["description"] = tool.description
    schema = FREE if tool.custom else tool.schema
    spec["inputSchema"] = {"json": NOTHING if schema is None else schema}
    if tool.strict and writing.claude:
        spec["strict"] = True
    elif tool.strict:
        writing.lost["strict"] = None
    return writing.cached({"toolSpec": spec}, tool.cache, writing.claude)


def _sampling(prompt: Prompt, limits: Limits, model: _Model, thinking: Block, lost: dict[str, None]) -> Block:
    """The limits of lengths and chances, and what the models have of their own."""
    length = _within(prompt.max_tokens, limits.max_output, "max_tokens", lost)
    chances = _chances(prompt, model, thinking, lost)
    own = thinking
    if (top_k := chances.pop("top_k", None)) is not None:
        own = own | ({"inferenceConfig": {"topK": top_k}} if model.nova else {"top_k": top_k})
    config = {"maxTokens": length, **chances, "stopSequences": list(prompt.stop) or None}
    found: Block = {"inferenceConfig": {name: value for name, value in config.items() if value is not None}}
    if own:
        found["additionalModelRequestFields"] = own
    if prompt.stop:
        # Which sequence was met: at the top of an answer, in `delta` of a stream. A path that is not there is ignored.
        found["additionalModelResponseFieldPaths"] = ["/stop_sequence", "/delta/stop_sequence"]
    return {name: value for name, value in found.items() if value}


def _chances(prompt: Prompt, model: _Model, thinking: Block, lost: dict[str, None]) -> Block:
    """`temperature`, `topP` and `top_k`, as far as the model takes them: from Claude 4.1 on one of the first two, from
    4.7 on none (https://platform.claude.com/docs/en/about-claude/models/migration-guide). A temperature of 1 is what
    Claude's is without."""
    thinks = model.claude and thinking.get("thinking", {}).get("type") in ("enabled", "adaptive")
    itself = model.samples_itself
    temperature = _within(prompt.temperature, 1, "temperature", lost)
    top_p = _within(prompt.top_p, 1, "top_p", lost)
    if temperature == 1 and (itself or (model.takes_one_of_both and top_p is not None)):
        temperature = None
    temperature = _unless(thinks or itself, temperature, "temperature", lost)
    barred = itself or (thinks and (top_p or 0) < 0.95) or (model.takes_one_of_both and temperature is not None)
    found = {
        "temperature": temperature,
        "topP": _unless(barred, top_p, "top_p", lost),
        "top_k": _unless(thinks or itself or not (model.claude or model.nova), prompt.top_k, "top_k", lost),
    }
    return {name: value for name, value in found.items() if value is not None}


def _within(number: Any, most: float | None, name: str, lost: dict[str, None]) -> Any:
    if number is None or most is None or 0 <= number <= most:
        return number
    lost[name] = None
    return max(0, min(number, most))


def _unless(barred: bool, value: Any, name: str, lost: dict[str, None]) -> Any:
    if not barred or value is None:
        return value
    lost[name] = None
    return None


def _thinking(
    prompt: Prompt, model: _Model, limits: Limits, said: Sequence[Block], lost: dict[str, None]
) -> dict[str, Any]:
    """What each maker's models take for it."""
    wanted = prompt.reasoning
    if wanted.enabled is False:
        return {"thinking": {"type": "disabled"}} if model.claude else {}
    if not (wanted.enabled or wanted.effort or wanted.budget is not None):
        return {}
    effort = wanted.effort or (None if wanted.budget is None else effort_of(wanted.budget))
    if model.claude and not model.adaptive:
        return _claude(prompt, limits, said, lost)
    if effort is not None and wanted.budget is not None:
        lost["reasoning.budget"] = None
    level = None if effort is None else _LEVELS[effort]
    if wanted.effort is not None and level != wanted.effort:
        lost["reasoning.effort"] = None
    if model.claude and prompt.choice.mode not in ("required", "one"):
        return {"thinking": {"type": "adaptive"}, **({"output_config": {"effort": level}} if level else {})}
    if model.nova_thinks:
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level or "medium"}}
    if model.gpt:
        return {"reasoning_effort": level or "medium"}
    if model.qwen:
        return {"reasoning_config": level or "medium"}
    lost["reasoning"] = None
    return {}


def _claude(prompt: Prompt, limits: Limits, said: Sequence[Block], lost: dict[str, None]) -> dict[str, Any]:
    """Claude thinks within a budget below the limit; not when it must call a tool, and not in the middle of a turn that
    it had begun without thinking."""
    wanted = prompt.reasoning
    budget = wanted.budget if wanted.budget is not None else budget_of(wanted.effort or "medium")
    most = prompt.max_tokens if prompt.max_tokens is not None else limits.max_output
    if most is not None and budget >= most:
        lost["reasoning.budget"] = None
        budget = most - 1
    if budget < _LEAST_BUDGET or prompt.choice.mode in ("required", "one") or _begun_without(said):
        lost["reasoning"] = None
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _begun_without(said: Sequence[Block]) -> bool:
    if len(said) < 2 or not any("toolResult" in block for block in said[-1]["content"]):
        return False
    return "reasoningContent" not in said[-2]["content"][0]


def _format(prompt: Prompt) -> Block:
    wanted = prompt.format
    if wanted is None or wanted.schema is None:
        raise Untranslatable("response_format", "Bedrock answers in JSON only by a schema")
    schema: Block = {"schema": written(wanted.schema).decode()}
    schema["name"] = wanted.name or "answer"
    if wanted.description:
        schema["description"] = wanted.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
