"""Gemini's speech: requests and answers of `generateContent` and `streamGenerateContent`, to and from the neutral form.

A client's stream without `alt=sse` is a JSON array: `ArrayWriter` writes it from the same events.
"""

from gateway.translation.gemini.build import build
from gateway.translation.gemini.losses import LOSSES
from gateway.translation.gemini.parse import parse
from gateway.translation.gemini.reader import failure, reader
from gateway.translation.gemini.writer import ArrayWriter, EventWriter, whole
from gateway.translation.speech import Speech

__all__ = ["LOSSES", "SPEECH", "ArrayWriter"]

SPEECH = Speech(
    name="gemini",
    parse=parse,
    build=build,
    reader=reader,
    writer=EventWriter,
    whole=whole,
    failure=failure,
)
