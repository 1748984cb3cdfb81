"""Embeddings between the protocols, hub and spoke like conversations: one module a protocol, one row here."""

from collections.abc import Mapping

from gateway.translation.embeddings import gemini, ollama, openai_chat
from gateway.translation.embeddings.losses import LOSSES
from gateway.translation.embeddings.vectors import Built, Embedding, Texts, Unreadable, Vectors

EMBEDDINGS: Mapping[str, Embedding] = {
    "gemini": gemini.EMBEDDING,
    "ollama": ollama.EMBEDDING,
    "openai_chat": openai_chat.EMBEDDING,
}

__all__ = ["EMBEDDINGS", "LOSSES", "Built", "Embedding", "Texts", "Unreadable", "Vectors"]
