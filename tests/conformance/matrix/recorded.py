"""The recorded answers of the providers, and of which of them another client's reading may differ, by name."""

import os
import re
from functools import cache
from pathlib import Path

import pytest
from msgspec import structs

from gateway.local.sandbox.replay import Recording, load
from tests.conformance.matrix.said import Protocol, Said

FIXTURES = Path(os.environ.get("POOLGATE_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures"))
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"the recorded answers of providers are not at {FIXTURES} (set POOLGATE_FIXTURES)"
)
FILES: dict[str, Protocol] = {
    "anthropic.messages": "anthropic",
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "gemini.generateContent": "gemini",
    "gemini.streamGenerateContent": "gemini",
}
NO_ANSWER = (
    *("test_tool_use_failed_error_streaming.yaml#0", "error_streaming_with_text.yaml#0", "openai-error.1.chunks"),
    *("transcription", "test_text_response.yaml"),
    *("background_mode_streaming_without_starting_after_vcr.yaml#0", "background_mode_with_tool_vcr.yaml#0"),
    *("background_mode_with_tool_vcr.yaml#2", "spliced-message-start"),
)
"""Errors in a 200, answers of other endpoints or still to come, two streams in one."""
IN_STREAMS = NO_ANSWER[:3]
_COMPACTED = '"object": "response.compaction"'
_OF_ANOTHER = "azure-deepseek-reasoning"
"""Chat completions among the Responses ones."""
SUMMED = ("advisor-20250301.1.chunks", "compaction.1.chunks")
"""Streams of several samplings, whose figures Anthropic's SDK does not add up."""
BY_HAND = {"openai-shell-container.1.chunks": "The command ran successfully."}
"""A stream whose last text is not that of its deltas: what no client can take back."""


@cache
def recordings(file: str) -> tuple[Recording, ...]:
    """Those that are answers; of several streams that were recorded one behind the other, the first."""
    found = load(FIXTURES / f"{file}.jsonl")
    answers = [one for one in found if (one.status or 200) == 200 and not _named(one, (*NO_ANSWER, _OF_ANOTHER))]
    answers = [one for one in answers if _COMPACTED not in one.response]
    return tuple(_first(one) if one.stream and file == "openai.responses" else one for one in answers)


_END = re.compile(r'data: ?\{[^\n]*?"type": ?"response\.(?:completed|incomplete|failed)"[^\n]*\n\r?\n')


def _first(recording: Recording) -> Recording:
    end = _END.search(recording.response)
    return structs.replace(recording, response=recording.response[: end.end()]) if end else recording


@cache
def errors(file: str) -> tuple[Recording, ...]:
    """Those that are errors, by their status or in a 200."""
    found = load(FIXTURES / f"{file}.jsonl")
    return tuple(one for one in found if (one.status or 200) >= 400 or _named(one, IN_STREAMS))


def original(recording: Recording, read: Said, other: Said) -> Said:
    """What its own client read of it. What that client is known not to make out is taken from the other one's."""
    for name, text in BY_HAND.items():
        if name in recording.id:
            read = read._replace(text=text)
    if _named(recording, SUMMED):
        read = read._replace(figures=other.figures)
    if "partialArgs" in recording.response and [one.name for one in read.calls] == [one.name for one in other.calls]:
        # Google's SDK leaves it to the program to put them together; tests.translation.gemini has what they are.
        read = read._replace(calls=other.calls)
    return read


def _named(recording: Recording, names: tuple[str, ...]) -> bool:
    return any(name in recording.id for name in names)
