"""Translation between the protocols: hub and spoke. Each says its requests and answers in the neutral form of prompt.py
and events.py; one package a protocol, one row here."""

from collections.abc import Mapping

from gateway.translation import anthropic, converse, gemini, ollama, openai_chat, openai_responses
from gateway.translation.speech import Speech, Upstream

SPEECHES: Mapping[str, Speech] = {
    "anthropic": anthropic.SPEECH,
    "gemini": gemini.SPEECH,
    "ollama": ollama.SPEECH,
    "openai_chat": openai_chat.SPEECH,
    "openai_responses": openai_responses.SPEECH,
}

UPSTREAMS: Mapping[str, Upstream] = {**SPEECHES, "converse": converse.UPSTREAM}
"""With what upstreams alone speak."""
