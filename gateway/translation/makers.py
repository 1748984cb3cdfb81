"""Whose model it is that speaks one of OpenAI's protocols, and what OpenAI's own take. Pure."""

import re
from collections.abc import Sequence
from typing import Literal

_PLAIN = re.compile(r"(?:^|[/_.:-])(?:(?:chat)?gpt-?[34]|gpt-?5-chat)", re.IGNORECASE)
_REASONS = re.compile(r"(?:^|[/_.:-])(?:o[1-9](?![a-z0-9])|gpt-?[5-9])", re.IGNORECASE)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
#: The first that matches the name, and the efforts that the model takes: each model's page at
#: developers.openai.com/api/docs/models, and what the API says to others. A name that is not known is a new model's.
_TAKES: Sequence[tuple[re.Pattern[str], Sequence[str]]] = tuple(
    (re.compile(pattern, re.IGNORECASE), efforts)
    for pattern, efforts in (
        (r"gpt-?5-pro", ("high",)),
        (r"gpt-?[5-9][.\d]*-pro", ("medium", "high", "xhigh")),
        (r"gpt-?[5-9][.\d]*-chat", ("medium",)),
        (r"gpt-?5(\.1)?-codex(?!-max)", ("low", "medium", "high")),
        (r"codex", ("low", "medium", "high", "xhigh")),
        (r"gpt-?5(?!\.?\d)", ("minimal", "low", "medium", "high")),
        (r"gpt-?5\.1(?!\d)", ("none", "low", "medium", "high")),
        (r"gpt-?[5-9]", ("none", "low", "medium", "high", "xhigh")),
        (r"", ("low", "medium", "high")),
    )
)


def maker(model: str) -> Literal["reasons", "plain", "other"]:
    """Whose model it is, by the name: OpenAI's own that reason, those that do not, or another server's.

    Only OpenAI refuses `max_tokens` and any temperature (for those that reason) and `reasoning_effort` (for those that
    do not), and it refuses `reasoning_content`; other servers may know no `max_completion_tokens`.
    """
    if _PLAIN.search(model):
        return "plain"
    return "reasons" if _REASONS.search(model) else "other"


def nearest(effort: str, model: str) -> str | None:
    """The least effort (`none` is one) that the model takes and that is as high, else its highest; None of a model that
    takes none. What other servers' models take is not known: theirs stays as it is."""
    made_by = maker(model)
    if made_by != "reasons":
        return None if made_by == "plain" else effort
    takes = next(efforts for pattern, efforts in _TAKES if pattern.search(model))
    wanted = _EFFORTS.index(effort)
    return next((each for each in takes if _EFFORTS.index(each) >= wanted), takes[-1])
