"""What the rules do, said again over plain dicts, as simply as it can be: the judge of the edits in bytes."""

import copy
import fnmatch
import itertools
import re
from typing import Any

from gateway.core.groups import PromptRule, Rules
from gateway.protocols.codec import Endpoint

GAP = "\n\n"
TEXTS = {"anthropic": "text", "openai_chat": "text", "openai_responses": "input_text"}
HOTTEST = {"anthropic": 1.0}
COUNTED = {"thinking", "output_config", "cache_control", "context_management", "mcp_servers", "speed", "tool_choice"}
CHOICES = {
    "anthropic": ["tool_choice"],
    "openai_chat": ["tool_choice", "function_call", "parallel_tool_calls"],
    "openai_responses": ["tool_choice"],
    "gemini": ["toolConfig", "tool_config"],
    "ollama": [],
}
NEVER = {
    *("model", "stream", "messages", "input", "contents", "prompt", "system", "instructions", "systemInstruction"),
    *("system_instruction", "tools", "functions", "requests", "generateContentRequest", "generate_content_request"),
    "previous_response_id",
}
HEADS = ("x-anthropic-billing-header",)
IDENTITY = "You are Claude Code, Anthropic's official CLI for Claude."


def camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def lengths(name: str) -> str:
    return "max_tokens" if name == "max_completion_tokens" else name


def key(owner: dict[str, Any], name: str) -> str:
    """The spelling of a member that is there, else its first."""
    return next((each for each in owner if camel(each) == name), name)


def matches(name: Any, patterns: tuple[str, ...]) -> bool:
    return isinstance(name, str) and any(fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def expected(body: dict[str, Any], endpoint: Endpoint, rules: Rules, model: str) -> dict[str, Any]:
    body = copy.deepcopy(body)
    if endpoint.operation == "embed":
        return body
    protocol, counts = endpoint.protocol, endpoint.operation == "count"
    if protocol == "gemini" and counts and body.get(key(body, "generateContentRequest")) is not None:
        name = key(body, "generateContentRequest")
        body[name] = expected(body[name], Endpoint("gemini", "generate", "", ""), rules, model)
        return body
    left = remove(body, protocol, rules.tools_removed)
    params(body, protocol, rules, counts, left)
    prompt(body, endpoint, rules.prompt, model, left)
    return body


# ---------------------------------------------------------------- tools


def known(tool: dict[str, Any]) -> str:
    for each in (tool.get("function") or {}, tool.get("custom") or {}, tool):
        if isinstance(each.get("name"), str):
            return each["name"]
    kind = tool.get("type")
    plain = {"function", "custom", "namespace", "tool", "auto", "any", "none", "required", "allowed_tools"}
    return kind if isinstance(kind, str) and kind not in plain else ""


def remove(body: dict[str, Any], protocol: str, patterns: tuple[str, ...]) -> bool:
    if protocol == "gemini":
        return remove_gemini(body, patterns)
    left = remove_from(body, "tools", patterns)
    if left is False:
        body.pop("tool_choice", None)
        if protocol == "openai_chat":
            body.pop("parallel_tool_calls", None)
    some = bool(left)
    if protocol == "openai_responses" and isinstance(body.get("input"), list):
        for item in list(body["input"]):
            if item.get("type") == "additional_tools" and "tools" in item:
                inside = remove_from(item, "tools", patterns)
                if inside is False:
                    body["input"] = [each for each in body["input"] if each is not item]
                some = some or bool(inside)
    choice = body.get("tool_choice")
    if some and isinstance(choice, dict):
        if matches(known(choice), patterns) or (choice.get("type") == "mcp" and matches("mcp", patterns)):
            del body["tool_choice"]
        else:
            owner = choice.get("allowed_tools") if protocol == "openai_chat" else choice
            if protocol != "anthropic" and isinstance(owner, dict) and owner.get("tools"):
                owner["tools"] = [tool for tool in owner["tools"] if not matches(known(tool), patterns)]
                if not owner["tools"]:
                    del body["tool_choice"]
    if protocol == "openai_chat":
        old = remove_from(body, "functions", patterns)
        if old is False or (old and matches(known(as_dict(body.get("function_call"))), patterns)):
            body.pop("function_call", None)
        some = some or bool(old)
    return some


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def remove_from(owner: dict[str, Any], name: str, patterns: tuple[str, ...]) -> bool | None:
    """False: it was emptied, and is gone. None: there was nothing."""
    if not owner.get(name):
        return None
    kept = []
    for tool in owner[name]:
        if matches(known(tool), patterns):
            continue
        if tool.get("type") == "namespace" and remove_from(tool, "tools", patterns) is False:
            continue
        kept.append(tool)
    owner[name] = kept
    if not kept:
        del owner[name]
    return bool(kept)


def remove_gemini(body: dict[str, Any], patterns: tuple[str, ...]) -> bool:
    given = body.get("tools")
    if given is None or given == []:
        return False
    kept = []
    for tool in given if isinstance(given, list) else [given]:
        empty = not tool
        for name in list(tool):
            if camel(name) == "functionDeclarations":
                functions = tool[name] if isinstance(tool[name], list) else [tool[name]]
                stay = [each for each in functions if not matches(each.get("name"), patterns)]
                if len(stay) < len(functions):
                    tool[name] = stay
                    if not stay:
                        del tool[name]
            elif matches(camel(name), patterns) or matches(
                re.sub("[A-Z]", lambda c: "_" + c[0].lower(), name), patterns
            ):
                del tool[name]
        if tool or empty:
            kept.append(tool)
    config = key(body, "toolConfig")
    if not kept:
        del body["tools"]
        body.pop(config, None)
        return False
    if isinstance(given, list):
        body["tools"] = kept
    calling = as_dict(body.get(config)).get(key(as_dict(body.get(config)), "functionCallingConfig"))
    allowed = as_dict(calling).get(key(as_dict(calling), "allowedFunctionNames"))
    if allowed:
        stay = [name for name in allowed if not matches(name, patterns)]
        calling[key(calling, "allowedFunctionNames")] = stay
        if not stay and len(body[config]) == 1:
            del body[config]
        elif not stay:
            del body[config][key(body[config], "functionCallingConfig")]
    return True


# ---------------------------------------------------------------- parameters


def params(body: dict[str, Any], protocol: str, rules: Rules, counts: bool, left: bool) -> None:
    same = {"gemini": camel, "openai_chat": lengths}.get(protocol, str)
    default, override = (
        {
            name: value
            for name, value in given.items()
            if name not in NEVER and (not counts or (protocol == "anthropic" and name in COUNTED))
            if left or name not in CHOICES[protocol]
        }
        for given in (rules.params_default, rules.params_override)
    )
    if not counts and rules.temperature_ratio != 1.0:
        heat(body, protocol, rules.temperature_ratio)
    merge(body, default, same, False)
    merge(body, override, same, True)


def heat(body: dict[str, Any], protocol: str, ratio: float) -> None:
    outer = {"gemini": "generationConfig", "ollama": "options"}.get(protocol)
    owner = body if outer is None else body.get(key(body, outer))
    if owner and owner.get("temperature") is not None:
        owner["temperature"] = round(min(max(owner["temperature"], 0) * ratio, HOTTEST.get(protocol, 2.0)), 6)


def merge(into: dict[str, Any], given: Any, same: Any, wins: bool) -> None:
    for name, value in given.items():
        there = next((each for each in into if same(each) == same(name)), None)
        if there is None:
            into[name] = copy.deepcopy(value)
            continue
        old = into[there]
        both = isinstance(old, dict) and isinstance(value, dict)
        if both and ("type" not in old or old["type"] == value.get("type", old["type"])):
            merge(old, value, same, wins)
        elif wins:
            into[there] = copy.deepcopy(value)


# ---------------------------------------------------------------- prompt


def prompt(body: dict[str, Any], endpoint: Endpoint, rule: PromptRule, model: str, left: bool) -> None:
    adds = rule.mode != "off" and bool(rule.text) and (not rule.only_models or matches(model, rule.only_models))
    adds = adds and (left or not rule.only_with_tools)
    mode = rule.mode if adds else "off"
    system = mode if rule.position == "system" else "off"
    user = mode if rule.position == "user" else "off"
    {
        "anthropic": anthropic,
        "openai_chat": messages,
        "openai_responses": responses,
        "gemini": gemini,
        "ollama": ollama,
    }[endpoint.protocol](body, endpoint, rule, system, user)


def replaced(text: str, rule: PromptRule) -> str:
    for pair in rule.replace:
        text = text.replace(pair.find, pair.with_)
    return text


def said(text: str, mode: str, rule: PromptRule, *, replaces: bool, head: bool = False) -> str:
    if mode == "replace":
        return rule.text
    text = replaced(text, rule) if replaces else text
    if mode == "off":
        return text
    if not text:
        return rule.text
    return rule.text + GAP + text if mode == "prepend" and not (head and is_head(text)) else text + GAP + rule.text


def is_head(text: str) -> bool:
    return text.startswith(HEADS) or text == IDENTITY


def parts(
    given: list[Any], mode: str, rule: PromptRule, kind: str | None, *, replaces: bool, head: bool = False
) -> list[Any]:
    def text_of(part: dict[str, Any]) -> bool:
        return isinstance(part.get("text"), str) and (kind is None or part.get("type") == kind)

    own = [part for part in given if text_of(part) and not (head and is_head(part["text"]))]
    fresh = {"text": rule.text} if kind is None else {"type": kind, "text": rule.text}
    first = next((number for number, part in enumerate(given) if any(part is each for each in own)), len(given))
    last = own[-1] if own else None
    result = []
    for part in given:
        if not text_of(part):
            result.append(part)
        elif mode == "replace" and any(part is each for each in own):
            if part is last:
                result.append({**part, "text": rule.text})
        else:
            text = replaced(part["text"], rule) if replaces else part["text"]
            if text or not part["text"]:
                result.append({**part, "text": text})
            else:
                result.append(None)
    if mode == "append" or (mode == "replace" and not own):
        result.append(fresh)
    elif mode == "prepend":
        result.insert(first, fresh)
    return [part for part in result if part is not None]


def worded(
    owner: dict[str, Any], name: str, mode: str, rule: PromptRule, kind: str, *, replaces: bool, head: bool = False
) -> None:
    value = owner.get(name)
    if value is None:
        if mode != "off":
            owner[name] = rule.text
    elif isinstance(value, str):
        owner[name] = said(value, mode, rule, replaces=replaces, head=head)
    else:
        owner[name] = parts(value, mode, rule, kind, replaces=replaces, head=head)


def last(turns: list[Any], answers: Any = lambda turn: False) -> Any:
    return next((turn for turn in reversed(turns) if not answers(turn)), turns[-1] if turns else None)


def anthropic(body: dict[str, Any], endpoint: Endpoint, rule: PromptRule, system: str, user: str) -> None:
    worded(body, "system", system, rule, "text", replaces=True, head=True)
    turns = body.get("messages") or []
    for turn in turns:
        if turn["role"] == "system" and rule.replace and turn.get("content") is not None:
            worded(turn, "content", "off", rule, "text", replaces=True)

    def answers(turn: dict[str, Any]) -> bool:
        content = turn.get("content")
        return (
            isinstance(content, list)
            and bool(content)
            and all(str(block.get("type")).endswith("tool_result") for block in content)
        )

    turn = last([turn for turn in turns if turn["role"] == "user"], answers)
    if turn is not None and user != "off":
        worded(turn, "content", user, rule, "text", replaces=False)


def messages(body: dict[str, Any], endpoint: Endpoint, rule: PromptRule, system: str, user: str) -> None:
    turns = body.get("messages")
    if not turns:
        return
    own = [turn for turn in turns if turn.get("role") in ("system", "developer")]
    if system == "replace":
        while len(own) > 1 and turns[1] is own[1] and turns[0] is own[0]:
            del turns[1], own[1]
    for turn in own:
        worded(turn, "content", system if turn is own[0] else "off", rule, "text", replaces=True)
    if not own and system != "off":
        turns.insert(0, {"role": "system", "content": rule.text})
    turn = last([turn for turn in turns if turn.get("role") == "user"])
    if turn is not None and user != "off":
        worded(turn, "content", user, rule, "text", replaces=False)


def responses(body: dict[str, Any], endpoint: Endpoint, rule: PromptRule, system: str, user: str) -> None:
    given = body.get("input")
    if isinstance(given, str):
        worded(body, "instructions", system, rule, "", replaces=True)
        body["input"] = said(given, user, rule, replaces=False)
        return
    given = given or []
    instructs = ("system", "developer")
    begins = list(itertools.takewhile(lambda item: item.get("role") in instructs, given))
    begins = [item for item in begins if item.get("type") in (None, "message")]
    first = begins[0] if begins and body.get("instructions") is None else None
    if first is None:
        worded(body, "instructions", system, rule, "", replaces=True)
    elif system == "replace":
        given[:] = [item for item in given if not any(item is each for each in begins[1:])]
    items = [item for item in given if item.get("type") in (None, "message")]
    for item in items:
        if item.get("role") in instructs:
            worded(item, "content", system if item is first else "off", rule, "input_text", replaces=True)
    item = last([item for item in items if item.get("role") == "user"])
    if item is not None and user != "off":
        worded(item, "content", user, rule, "input_text", replaces=False)


def gemini(body: dict[str, Any], endpoint: Endpoint, rule: PromptRule, system: str, user: str) -> None:
    def reword(owner: dict[str, Any], mode: str, replaces: bool) -> None:
        value = owner.get("parts")
        if value is None:
            if mode != "off":
                owner["parts"] = [{"text": rule.text}]
        elif isinstance(value, list):
            owner["parts"] = parts(value, mode, rule, None, replaces=replaces)
        elif isinstance(value.get("text"), str):
            value["text"] = said(value["text"], mode, rule, replaces=replaces)
        elif mode != "off":
            owner["parts"] = [value, {"text": rule.text}]

    name = key(body, "systemInstruction")
    if body.get(name) is not None:
        reword(body[name], system, True)
    elif system != "off" and endpoint.operation != "count":
        body[name] = {"parts": [{"text": rule.text}]}
    turns = body.get("contents", [])
    turns = turns if isinstance(turns, list) else [turns]
    for turn in turns:
        if turn.get("role") == "system":
            reword(turn, "off", True)

    def answers(turn: dict[str, Any]) -> bool:
        given = turn.get("parts")
        given = [given] if isinstance(given, dict) else given
        return bool(given) and all(part.get(key(part, "functionResponse")) is not None for part in given)

    turn = last([turn for turn in turns if turn.get("role") in (None, "user")], answers)
    if turn is not None and user != "off":
        reword(turn, user, False)


def ollama(body: dict[str, Any], endpoint: Endpoint, rule: PromptRule, system: str, user: str) -> None:
    if endpoint.action == "chat":
        messages(body, endpoint, rule, system, user)
    elif body.get("prompt"):
        body["prompt"] = said(body["prompt"], user, rule, replaces=False)
        worded(body, "system", system, rule, "", replaces=True)
