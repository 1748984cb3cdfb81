"""What a prompt says, fact by fact, so that two can be compared; and what the rows of the loss table leave of it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from gateway.translation.efforts import effort_of
from gateway.translation.prompt import Call, Choice, Document, Image, Part, Prompt, Result, Text, Thinking, Tool

Facts = dict[str, Any]
Lost = Callable[[Prompt], Prompt] | Mapping[str, Any]
"""What a row leaves: of the prompt, or of single facts; `...` is a fact that may then be anything."""


def facts(prompt: Prompt) -> Facts:
    """Media and results stand in no order: protocols put what tools gave behind the results, or before them."""
    parts = [(turn.role, part) for turn in prompt.turns for part in turn.parts]
    every = [part for _, part in parts]
    results = [part for part in every if isinstance(part, Result)]
    calls = [part for part in every if isinstance(part, Call)]
    shown = [*every, *(inner for result in results for inner in result.content)]
    images = [part for part in shown if isinstance(part, Image)]
    documents = [part for part in shown if isinstance(part, Document)]
    reasoning = prompt.reasoning
    return {
        "system": _letters(prompt.system),
        "user": _letters(part for role, part in parts if role == "user"),
        "assistant": _letters(part for role, part in parts if role == "assistant"),
        "roles": _roles(prompt),
        "thinking": [(part.text, part.redacted, part.sealed) for part in every if isinstance(part, Thinking)],
        "calls": [(call.id, call.name, json.loads(call.arguments)) for call in calls],
        "results": sorted((one.call_id, one.name or "", _letters(one.content), one.error) for one in results),
        "images": sorted((one.media_type or "", one.data) for one in images if one.data is not None),
        "urls": sorted(one.url for one in (*images, *documents) if one.url is not None),
        "documents": sorted((one.media_type or "", one.data or "", one.text or "") for one in documents if not one.url),
        "document_names": sorted(one.name or "" for one in documents),
        "tools": [(tool.name, tool.description, tool.schema) for tool in prompt.tools],
        "strict": [tool.strict for tool in prompt.tools],
        "choice": (prompt.choice.mode or ("auto" if prompt.tools else None), prompt.choice.name),
        "parallel": prompt.choice.parallel is not False,
        "cache": [part.cache for part in (*prompt.system, *shown, *prompt.tools) if getattr(part, "cache", None)],
        "format": prompt.format and (prompt.format.kind, prompt.format.schema),
        "thinks": (reasoning.enabled, _effort(prompt) if reasoning.enabled else None),
        "shown": reasoning.shown,
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.top_k,
        "stop": prompt.stop,
        "user_id": prompt.user,
        "tier": prompt.service_tier,
    }


def _letters(parts: Any) -> str:
    """The texts one behind the other: protocols part them by different blanks."""
    return "".join("".join(part.text.split()) for part in parts if isinstance(part, Text))


def _roles(prompt: Prompt) -> list[str]:
    """Turns of one role that follow each other are one; thinking alone is none."""
    said = [turn.role for turn in prompt.turns if any(not isinstance(part, Thinking) for part in turn.parts)]
    return [role for at, role in enumerate(said) if at == 0 or said[at - 1] != role]


def _effort(prompt: Prompt) -> str:
    """Without a measure it is medium."""
    asked = prompt.reasoning
    return asked.effort or ("medium" if asked.budget is None else effort_of(asked.budget))


def _gpt_5_1s(prompt: Prompt) -> Prompt:
    """The efforts that it takes: from low to high."""
    asked = prompt.reasoning
    if not asked.enabled:
        return prompt
    effort = _effort(prompt)
    taken = "low" if effort == "minimal" else "high" if effort == "xhigh" else effort
    return structs.replace(prompt, reasoning=structs.replace(asked, effort=taken, budget=None))


def left(prompt: Prompt, upstream: str) -> Facts:
    """The facts of what crosses."""
    rows = LOST[upstream].values()
    for row in rows:
        prompt = row(prompt) if callable(row) else prompt
    found = facts(prompt)
    for row in rows:
        if not callable(row):
            found |= row
    return found


def differing(heard: Facts, expected: Facts) -> dict[str, tuple[Any, Any]]:
    return {name: (heard[name], value) for name, value in expected.items() if value is not ... and heard[name] != value}


def each(change: Callable[[Any], Part]) -> Callable[[Prompt], Prompt]:
    """Of every part, those of results too."""

    def part(found: Any) -> Any:
        if isinstance(found, Result):
            found = structs.replace(found, content=tuple(map(part, found.content)))
        return change(found)

    def prompt(found: Prompt) -> Prompt:
        turns = [structs.replace(turn, parts=tuple(map(part, turn.parts))) for turn in found.turns]
        return structs.replace(found, turns=tuple(turns))

    return prompt


def tools(change: Callable[[Tool], Tool]) -> Callable[[Prompt], Prompt]:
    return lambda prompt: structs.replace(prompt, tools=tuple(map(change, prompt.tools)))


def _as_text(named: bool) -> Callable[[Prompt], Prompt]:
    """A document that is plain text is a text."""

    def change(part: Part) -> Part:
        if not isinstance(part, Document) or part.text is None:
            return part
        return Text(f"{part.name} {part.text}" if named and part.name else part.text)

    return each(change)


def _unfailed(part: Part) -> Part:
    """A result without a word says at least that it failed."""
    if not isinstance(part, Result) or not part.error:
        return part
    silent = all(isinstance(inner, Text | Document) and inner.text == "" for inner in part.content)
    return structs.replace(part, error=False, content=(Text("error"),) if silent else part.content)


def _no_failure(part: Part) -> Part:
    return structs.replace(part, error=False) if isinstance(part, Result) else part


def _moved(prompt: Prompt) -> Prompt:
    """What tools have shown stands behind their results, with a word about it."""
    turns = []
    for turn in prompt.turns:
        parts: list[Part] = []
        behind: list[Part] = []
        for part in turn.parts:
            media = [inner for inner in part.content if not isinstance(inner, Text)] if isinstance(part, Result) else []
            if isinstance(part, Result) and media:
                texts = tuple(inner for inner in part.content if isinstance(inner, Text) and inner.text)
                part = structs.replace(part, content=texts or (Text("The result is shown in the next message."),))
                behind += [Text(f"The result of {part.call_id} shows:"), *media]
            parts.append(part)
        results = [part for part in parts if isinstance(part, Result)]
        turns.append(structs.replace(turn, parts=(*results, *behind, *(p for p in parts if not isinstance(p, Result)))))
    return structs.replace(prompt, turns=tuple(turns))


def _signed(prompt: Prompt) -> Prompt:
    """Only thinking that Anthropic has signed."""
    kept = [
        structs.replace(turn, parts=tuple(part for part in turn.parts if not isinstance(part, Thinking) or part.sealed))
        for turn in prompt.turns
    ]
    return structs.replace(prompt, turns=tuple(kept))


def _shown(prompt: Prompt) -> Prompt:
    return structs.replace(prompt, reasoning=structs.replace(prompt.reasoning, shown=prompt.reasoning.shown or None))


def _callable(prompt: Prompt) -> Prompt:
    return structs.replace(prompt, tools=(), choice=Choice()) if prompt.choice.mode == "none" else prompt


def _with_schema(tool: Tool) -> Tool:
    return tool if tool.schema is not None else structs.replace(tool, schema={"type": "object", "properties": {}})


def _loose(tool: Tool) -> Tool:
    return structs.replace(tool, strict=bool(tool.strict))


#: To each upstream, with the models that the tests have there: the rows that change what it is asked.
LOST: Mapping[str, Mapping[str, Lost]] = {
    "anthropic": {
        "tools.schema": tools(_with_schema),
        "thinking.signature": _signed,
        "response_format.schema": {"format": ...},
        "reasoning": {"thinks": ..., "shown": ...},
        "service_tier": {"tier": ...},
        "temperature": {"temperature": ...},
        "top_p": {"top_p": ...},
        "top_k": {"top_k": ...},
    },
    "openai_chat": {
        "cache_control": {"cache": []},
        "sealed": {"thinking": []},
        "tool_result.error": each(_unfailed),
        "document.text": _as_text(named=False),
        "tool_result.media": _moved,
        "document.name": {"document_names": ...},
        "tools[].schema": tools(_with_schema),
        "top_k": {"top_k": None},
        "temperature": {"temperature": None},
        "top_p": {"top_p": None},
        "reasoning.effort": _gpt_5_1s,
        "reasoning.shown": {"shown": None},
        "service_tier": {"tier": ...},
    },
    "openai_responses": {
        "cache_control": {"cache": []},
        "thinking": {"thinking": []},
        "is_error": each(_no_failure),
        "document text": _as_text(named=True),
        "document.name": {"document_names": ...},
        "reasoning.effort": _gpt_5_1s,
        "reasoning.shown": _shown,
        "tools[].schema": tools(_with_schema),
        "tools[].strict": tools(_loose),
        "top_k": {"top_k": None},
        "temperature": {"temperature": None},
        "top_p": {"top_p": None},
        "service_tier": {"tier": ...},
    },
    "gemini": {
        "cache_control": {"cache": []},
        "thinking": {"thinking": []},
        "document.name": {"document_names": ...},
        "tools.schema": {"tools": ...},
        "tools.strict": {"strict": ...},
        "response_format.schema": {"format": ...},
        "reasoning": {"thinks": ..., "shown": ...},
        "parallel_tool_calls": {"parallel": True},
        "user": {"user_id": None},
        "service_tier": {"tier": ...},
    },
    "ollama": {
        "cache_control": {"cache": []},
        "signature": {"thinking": ...},
        "is_error": each(_no_failure),
        "document.text": _as_text(named=False),
        "strict": {"strict": ...},
        "tools.schema": tools(_with_schema),
        "tool_choice.none": _callable,
        "parallel_tool_calls": {"parallel": True},
        "reasoning.effort": {"thinks": ..., "shown": ...},
        "user": {"user_id": None},
        "service_tier": {"tier": None},
    },
}
