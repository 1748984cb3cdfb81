"""How much is thought, and how long an answer may be. Pure.

Claude up to 4.6 takes a budget of tokens; from 4.7 on it decides by itself and takes an effort
(https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking). Where a name does not tell the version, as
with other makers' models that speak this protocol, it is a budget.
"""

import re
from itertools import dropwhile, takewhile
from typing import Any

from msgspec import Struct

from gateway.translation.efforts import budget_of, effort_of
from gateway.translation.prompt import Call, Prompt, Reasoning, Thinking
from gateway.translation.speech import Limits

DEFAULT_MAX_TOKENS = 8192
LEAST_BUDGET = 1024
_DECIDES_ITSELF = (4, 7)
_VERSION = re.compile(r"claude-(?:[a-z]+-)?([1-9]\d?)(?:[-.](\d{1,2}))?(?![0-9])")


class Plan(Struct, frozen=True):
    """`thinking` and `effort` as the request says them. `thinks`: sampling has to be left as it is."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: str | None = None
    adjusted: tuple[str, ...] = ()

    @property
    def thinks(self) -> bool:
        return self.thinking is not None and self.thinking["type"] != "disabled"


def version(model: str) -> tuple[int, int]:
    """Of Claude, by its name; (0, 0) where that tells nothing."""
    found = _VERSION.search(model.lower())
    return (0, 0) if found is None else (int(found[1]), int(found[2] or 0))


def decides_itself(model: str) -> bool:
    """Whether the model takes an effort in place of a budget, and no sampling."""
    return version(model) >= _DECIDES_ITSELF


def plan(prompt: Prompt, limits: Limits) -> Plan:
    """What of the prompt's reasoning and max_tokens the model can be asked for."""
    asked, most, room = prompt.reasoning, limits.max_output, prompt.max_tokens
    adjusted: tuple[str, ...] = ()
    if room is not None and most is not None and room > most:
        room, adjusted = most, ("max_tokens",)
    itself = decides_itself(limits.model)
    effort = _effort(asked) if itself else None
    default = most or DEFAULT_MAX_TOKENS
    if not _wanted(asked):
        off = {"type": "disabled"} if asked.enabled is False else None
        return Plan(default if room is None else room, off, effort, adjusted)
    if not _possible(prompt, itself):
        return Plan(default if room is None else room, None, effort, (*adjusted, "reasoning"))
    if itself:
        room = room if room is not None else most or DEFAULT_MAX_TOKENS + budget_of(effort_or_medium(asked))
        return Plan(room, _shown({"type": "adaptive"}, asked), effort, adjusted)
    return _budgeted(asked, room, most, adjusted)


def effort_or_medium(asked: Reasoning) -> Any:
    if asked.effort is not None:
        return asked.effort
    return effort_of(asked.budget) if asked.budget else "medium"


def _effort(asked: Reasoning) -> str | None:
    if asked.effort is None and not asked.budget:
        return None
    found = effort_or_medium(asked)
    return "low" if found == "minimal" else found


def _wanted(asked: Reasoning) -> bool:
    if asked.enabled is not None:
        return asked.enabled
    return asked.effort is not None or bool(asked.budget)


def _possible(prompt: Prompt, itself: bool) -> bool:
    """A tool that must be called excludes thinking. So does, before 4.7, a round of calls that did not begin with
    thinking: …/build-with-claude/extended-thinking (tool use, toggling thinking modes)."""
    if prompt.choice.mode in ("required", "one") and prompt.tools:
        return False
    if itself:
        return True
    spoken = dropwhile(lambda turn: turn.role != "assistant", reversed(prompt.turns))
    last = [part for turn in takewhile(lambda turn: turn.role == "assistant", spoken) for part in turn.parts]
    return any(map(is_kept, last)) or not any(isinstance(part, Call) for part in last)


def is_kept(part: object) -> bool:
    """Whether it is thinking that Anthropic can read again."""
    return isinstance(part, Thinking) and part.sealed is not None and part.sealed.family == "anthropic"


def _budgeted(asked: Reasoning, room: int | None, most: int | None, adjusted: tuple[str, ...]) -> Plan:
    wanted = asked.budget or budget_of(effort_or_medium(asked))
    budget = max(wanted, LEAST_BUDGET)
    if room is None:
        room = most or DEFAULT_MAX_TOKENS + budget  # the answer's own room stays what it is without thinking
    if budget >= room:
        budget = max(room // 2, LEAST_BUDGET)
    if budget >= room:
        return Plan(room, adjusted=(*adjusted, "reasoning"))
    if budget != wanted:
        adjusted = (*adjusted, "reasoning.budget")
    return Plan(room, _shown({"type": "enabled", "budget_tokens": budget}, asked), adjusted=adjusted)


def _shown(thinking: dict[str, Any], asked: Reasoning) -> dict[str, Any]:
    if asked.shown is not None:
        thinking["display"] = "summarized" if asked.shown else "omitted"
    return thinking
