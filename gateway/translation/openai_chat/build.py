"""A Prompt, as a chat completion request for OpenAI and for all who speak its protocol."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from gateway.protocols.reading import written
from gateway.translation.arguments import FREE, of_object
from gateway.translation.efforts import effort_of
from gateway.translation.makers import maker, nearest
from gateway.translation.names import legal
from gateway.translation.openai_chat.history import History, Message
from gateway.translation.prompt import Format, Prompt, Reasoning, Tool
from gateway.translation.speech import Built, Limits

Body = dict[str, Any]
Note = Callable[[str], None]
"""Takes a name of the loss table, for `x-poolgate-adjusted`."""

_RANGES = {
    "temperature": (0.0, 2.0, 1.0),
    "top_p": (0.0, 1.0, 1.0),
    "presence_penalty": (-2.0, 2.0, 0.0),
    "frequency_penalty": (-2.0, 2.0, 0.0),
}
"""Least, most and the default, which is all that OpenAI's reasoning models take."""
_MOST_LOGPROBS = 20
_LONGEST_USER = 64
_TIERS = {name: name for name in ("auto", "default", "flex", "scale", "priority", "fast")} | {
    "standard": "default",
    "standard_only": "default",
}
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_ASK_JSON = "Answer with JSON."


def build(prompt: Prompt, limits: Limits) -> Built:
    """Raises Untranslatable. The usage of a stream is always asked for; clients get it only if they asked too."""
    made_by = maker(limits.model)
    history = History(prompt, openai=made_by != "other")
    adjusted = dict(history.adjusted)
    note: Note = lambda name: adjusted.update({name: None})  # noqa: E731
    body: Body = {"model": limits.model, "messages": history.messages}
    if prompt.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    _length(body, prompt, limits, note, made_by == "reasons")
    _sampling(body, prompt, note, made_by == "reasons")
    _tools(body, prompt, note)
    _effort(body, prompt.reasoning, note, limits.model)
    _form(body, prompt.format)
    _account(body, prompt, note)
    return Built(written(body), tuple(adjusted))


def _length(body: Body, prompt: Prompt, limits: Limits, note: Note, reasons: bool) -> None:
    most = prompt.max_tokens
    if most is not None and limits.max_output is not None and most > limits.max_output:
        most = limits.max_output
        note("max_tokens")
    if most is not None:
        body["max_completion_tokens" if reasons else "max_tokens"] = most
    if prompt.stop:
        body["stop"] = list(prompt.stop)


def _sampling(body: Body, prompt: Prompt, note: Note, reasons: bool) -> None:
    for name, (least, most, default) in _RANGES.items():
        given: float | None = getattr(prompt, name)
        if given is None:
            continue
        value = default if reasons else min(max(given, least), most)
        if value != given:
            note(name)
        if not reasons:
            body[name] = given if value == given else value
    if prompt.top_k is not None:
        note("top_k")
    if prompt.seed is not None:
        body["seed"] = prompt.seed
    if prompt.logprobs is not None:
        body["logprobs"] = True
        if prompt.logprobs > _MOST_LOGPROBS:
            note("logprobs")
        if prompt.logprobs:
            body["top_logprobs"] = min(prompt.logprobs, _MOST_LOGPROBS)


def _tools(body: Body, prompt: Prompt, note: Note) -> None:
    choice = prompt.choice
    if not prompt.tools:
        if choice.mode in ("required", "one"):
            note("tool_choice")
        return
    body["tools"] = [{"type": "function", "function": _function(tool)} for tool in prompt.tools]
    if choice.mode == "one":
        body["tool_choice"] = {"type": "function", "function": {"name": legal(choice.name or "")}}
    elif choice.mode is not None:
        body["tool_choice"] = choice.mode
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _function(tool: Tool) -> Body:
    about: Body = {"name": legal(tool.name)}
    if tool.description is not None:
        about["description"] = tool.description
    about["parameters"] = FREE if tool.custom else of_object(tool.schema)
    if tool.strict is not None and not tool.custom:
        about["strict"] = tool.strict
    return about


def _effort(body: Body, reasoning: Reasoning, note: Note, model: str) -> None:
    """Without a measure it is medium to OpenAI's models, of which some do not think unless they are told to; other
    servers may not know the member, and their models think by themselves."""
    if reasoning.enabled is False:
        effort = "none"
    elif reasoning.effort is not None:
        effort = reasoning.effort
    elif reasoning.budget is not None:
        effort = effort_of(reasoning.budget)
    elif reasoning.enabled and maker(model) != "other":
        effort = "medium"
    else:
        return
    if (taken := nearest(effort, model)) is not None:
        body["reasoning_effort"] = taken
    if taken is not None and taken != effort:
        note("reasoning.effort")
    elif taken is None and effort != "none":
        note("reasoning")


def _form(body: Body, form: Format | None) -> None:
    if form is None:
        return
    if form.kind == "json":
        body["response_format"] = {"type": "json_object"}
        # OpenAI refuses the mode when no message names it.
        if b"json" not in written(body["messages"]).lower():
            _ask_json(body["messages"])
        return
    about: Body = {"name": _NO_NAME.sub("_", form.name or "")[:64] or "answer", "schema": form.schema or {}}
    if form.description is not None:
        about["description"] = form.description
    if form.strict is not None:
        about["strict"] = form.strict
    body["response_format"] = {"type": "json_schema", "json_schema": about}


def _ask_json(messages: list[Message]) -> None:
    """In the one message of the system, which some servers do not take twice."""
    if messages and messages[0]["role"] == "system":
        messages[0] = messages[0] | {"content": f"{messages[0]['content']}\n\n{_ASK_JSON}"}
    else:
        messages.insert(0, {"role": "system", "content": _ASK_JSON})


def _account(body: Body, prompt: Prompt, note: Note) -> None:
    """What the provider books the request by."""
    if prompt.user is not None:
        long = len(prompt.user) > _LONGEST_USER
        body["user"] = sha256(prompt.user.encode(errors="surrogatepass")).hexdigest() if long else prompt.user
        if long:
            note("user")
    if prompt.service_tier is not None:
        if prompt.service_tier in _TIERS:
            body["service_tier"] = _TIERS[prompt.service_tier]
        else:
            note("service_tier")
