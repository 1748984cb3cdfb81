"""OpenAI chat completions, to and from the neutral form; as an upstream, every server that speaks its protocol."""

from gateway.translation.openai_chat.build import build
from gateway.translation.openai_chat.errors import failure
from gateway.translation.openai_chat.losses import LOSSES
from gateway.translation.openai_chat.parse import parse
from gateway.translation.openai_chat.reader import reader
from gateway.translation.openai_chat.writer import Writer, whole
from gateway.translation.speech import Speech

__all__ = ["LOSSES", "SPEECH"]

SPEECH = Speech(
    name="openai_chat",
    parse=parse,
    build=build,
    reader=reader,
    writer=Writer,
    whole=whole,
    failure=failure,
)
