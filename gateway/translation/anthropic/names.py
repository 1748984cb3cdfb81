"""Ids of calls as Anthropic takes them: https://docs.anthropic.com/en/api/messages (tool_use.id)."""

import hashlib

from gateway.translation.names import legal

LONGEST_ID = 64
LONGEST_NAME = 128
"""Characters of a tool's name: https://docs.anthropic.com/en/api/messages (tools.name)."""


def short(text: str) -> str:
    """As `legal`, of an id that never comes back: one that is too long is known by its digest."""
    written = legal(text)
    if len(written) <= LONGEST_ID:
        return written
    return "id_" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()
