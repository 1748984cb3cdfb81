"""Ollama's own API, to and from the neutral form: https://docs.ollama.com/api."""

from gateway.translation.ollama import build, parse, reader, writer
from gateway.translation.ollama.losses import LOSSES
from gateway.translation.ollama.parse import unloads
from gateway.translation.speech import Speech

__all__ = ["LOSSES", "SPEECH", "unloads"]

SPEECH = Speech(
    name="ollama",
    parse=parse.parse,
    build=build.build,
    reader=reader.reader,
    writer=writer.Writer,
    whole=writer.whole,
    failure=reader.failure,
)
