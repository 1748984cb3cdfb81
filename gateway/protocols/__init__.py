"""The protocols that clients speak, one module each, all listed here."""

from collections.abc import Mapping

from gateway.protocols import anthropic, gemini, ollama, openai_chat, openai_responses
from gateway.protocols.codec import Codec

CODECS: Mapping[str, Codec] = {
    "anthropic": anthropic.CODEC,
    "gemini": gemini.CODEC,
    "ollama": ollama.CODEC,
    "openai_chat": openai_chat.CODEC,
    "openai_responses": openai_responses.CODEC,
}
