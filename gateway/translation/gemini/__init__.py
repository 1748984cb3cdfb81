"""Gemini: requests and answers of `generateContent` and `streamGenerateContent`, to and from the neutral form."""

from gateway.translation.gemini.build import build
from gateway.translation.gemini.losses import LOSSES
from gateway.translation.gemini.parse import parse
from gateway.translation.gemini.reader import failure, reader
from gateway.translation.gemini.writer import whole, writer
from gateway.translation.speech import Speech

__all__ = ["LOSSES", "SPEECH"]

SPEECH = Speech(
    name="gemini",
    parse=parse,
    build=build,
    reader=reader,
    writer=writer,
    whole=whole,
    failure=failure,
)
