"""Anthropic Messages, to and from the neutral form: https://docs.anthropic.com/en/api/messages"""

from gateway.translation.anthropic.build import build
from gateway.translation.anthropic.losses import LOSSES
from gateway.translation.anthropic.parse import parse
from gateway.translation.anthropic.reader import failure, reader
from gateway.translation.anthropic.writer import Writer, whole
from gateway.translation.speech import Speech

SPEECH = Speech(
    name="anthropic",
    parse=parse,
    build=build,
    reader=reader,
    writer=Writer,
    whole=whole,
    failure=failure,
)

__all__ = ["LOSSES", "SPEECH"]
