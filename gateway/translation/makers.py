"""Whose model it is that speaks one of OpenAI's protocols. Pure."""

import re
from typing import Literal

_PLAIN = re.compile(r"(?:^|[/_.:-])(?:chat)?gpt-?[34]", re.IGNORECASE)
_REASONS = re.compile(r"(?:^|[/_.:-])(?:o[1-9](?![a-z0-9])|gpt-?[5-9])", re.IGNORECASE)


def maker(model: str) -> Literal["reasons", "plain", "other"]:
    """Whose model it is, by the name: OpenAI's own that reason, those that do not, or another server's.

    Only OpenAI refuses `max_tokens` and any temperature (for those that reason) and `reasoning_effort` (for those that
    do not), and it refuses `reasoning_content`; other servers may know no `max_completion_tokens`.
    """
    if _PLAIN.search(model):
        return "plain"
    return "reasons" if _REASONS.search(model) else "other"
