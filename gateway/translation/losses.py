"""The reference's loss table: all that cannot cross, from the tables of the packages. Pure.

    .venv/bin/python -c "from gateway.translation.losses import markdown; print(markdown())"

writes what stands in the README between its two marks.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby

from gateway.translation import anthropic, converse, embeddings, gemini, ollama, openai_chat, openai_responses
from gateway.translation.loss import Loss

TABLES: Mapping[str, tuple[str, tuple[Loss, ...]]] = {
    "anthropic": ("Anthropic", anthropic.LOSSES),
    "converse": ("Bedrock's Converse", converse.LOSSES),
    "openai_chat": ("OpenAI chat", openai_chat.LOSSES),
    "openai_responses": ("OpenAI Responses", openai_responses.LOSSES),
    "gemini": ("Gemini", gemini.LOSSES),
    "ollama": ("Ollama", ollama.LOSSES),
    "embeddings": ("embeddings", embeddings.LOSSES),
}
"""By package: what the reference calls it, and its rows."""

_HEAD = "| protocol | way | what | fate | why |\n|---|---|---|---|---|\n"
_member = re.compile(r"[\w.\[\]*=]+")


def markdown() -> str:
    """A row for each loss; those that follow each other and differ by name alone share one."""
    return _HEAD + "\n".join(_rows())


def _rows() -> Iterator[str]:
    for title, rows in TABLES.values():
        for (way, fate, why), same in groupby(rows, key=lambda row: (row.way, row.fate, row.why)):
            names = " ".join(_name(row.name) for row in same)
            yield f"| {title} | {way} | {names} | {fate} | {why} |"


def _name(name: str) -> str:
    return f"`{name}`" if _member.fullmatch(name) else name
