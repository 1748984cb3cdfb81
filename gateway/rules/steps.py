"""The order in which a group's rules apply: tools, parameters with the temperature, then the prompt.

Only what a rule touches changes; every other byte of the body stays. Embeddings have no rules; a count of tokens has
those that change it.
"""

from collections.abc import Mapping

import msgspec

from gateway.core.groups import PromptRule, Rules
from gateway.protocols.codec import Endpoint
from gateway.protocols.spans import splice
from gateway.rules import anthropic, gemini, ollama, openai_chat, openai_responses
from gateway.rules.dialect import Dialect, Draft
from gateway.rules.params import Params, Wanted, allowed, merged
from gateway.rules.tools import matching
from gateway.rules.wording import Wording

DIALECTS: Mapping[str, Dialect] = {
    "anthropic": anthropic.DIALECT,
    "gemini": gemini.DIALECT,
    "ollama": ollama.DIALECT,
    "openai_chat": openai_chat.DIALECT,
    "openai_responses": openai_responses.DIALECT,
}


def ruled(body: bytes, endpoint: Endpoint, rules: Rules, model: str) -> bytes:
    """The body as the rules want it, the same object when they do not apply. `model`: as the client asked for it.

    Raises InvalidBody, naming the field, where a rule must read what is not of the protocol's form.
    """
    if rules.idle or endpoint.operation == "embed":
        return body
    dialect = DIALECTS[endpoint.protocol]
    if endpoint.operation == "count" and dialect.wrapped:
        span = Draft(body, dialect.wrapped).span(dialect.wrapped)
        if span is not None:
            whole = msgspec.structs.replace(endpoint, operation="generate")
            given = body[slice(*span)]
            new = _ruled(given, whole, dialect, rules, model, dialect.wrapped[0])
            return body if new is given else splice(body, [(*span, new)])
    return _ruled(body, endpoint, dialect, rules, model)


def _ruled(
    body: bytes, endpoint: Endpoint, dialect: Dialect, rules: Rules, model: str, field: str | None = None
) -> bytes:
    rule = rules.prompt
    wanted = _wanted(endpoint, dialect, rules)
    chosen = not {*wanted.default, *wanted.override}.isdisjoint(dialect.choices)
    adds = _adds(rule, model)
    speaks = adds or bool(rule.replace)
    asks = bool(rules.tools_removed) or chosen or (adds and rule.only_with_tools)
    if wanted.idle and not speaks and not asks:
        return body
    watched = {*wanted.watched, *(dialect.offered if asks else ()), *(dialect.said if speaks else ())}
    draft = Draft(body, watched, field)
    offered = asks and dialect.tools(draft, matching(rules.tools_removed))
    if chosen and not offered:
        wanted = wanted.without(dialect.choices)  # without tools they are refused
    if draft.edits or draft.drop:
        draft = Draft(draft.written(), watched, field)  # what follows is done to what the removal has left
    put, edits = merged(draft.body, draft.found, wanted)
    draft.put |= put
    draft.edits += edits
    if speaks:
        dialect.prompt(draft, endpoint, *_wordings(rule, adds and (offered or not rule.only_with_tools)))
    return draft.written()


def _wanted(endpoint: Endpoint, dialect: Dialect, rules: Rules) -> Wanted:
    counts = endpoint.operation == "count"

    def taken(params: Params) -> Params:
        return {name: value for name, value in allowed(params).items() if not counts or name in dialect.counted}

    return Wanted(
        default=taken(rules.params_default),
        override=taken(rules.params_override),
        spelled=dialect.spelled,
        temperature=() if counts or rules.temperature_ratio == 1.0 else dialect.temperature,
        ratio=rules.temperature_ratio,
        hottest=dialect.hottest,
    )


def _adds(rule: PromptRule, model: str) -> bool:
    """Whether there is a text to be put in, for this model."""
    return rule.mode != "off" and bool(rule.text) and (not rule.only_models or matching(rule.only_models)(model))


def _wordings(rule: PromptRule, adds: bool) -> tuple[Wording, Wording]:
    """Of the system text and of the user's turn. Replacements apply always."""
    own = Wording(rule.mode, msgspec.json.encode(rule.text)) if adds else Wording()
    if rule.position == "user":
        return Wording(replace=rule.replace), own
    return msgspec.structs.replace(own, replace=rule.replace), Wording()
