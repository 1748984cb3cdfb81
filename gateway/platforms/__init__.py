"""The upstream platforms: one file each, one row here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.platforms import (
    azure_openai,
    bedrock,
    claude_ccr,
    claude_console,
    claude_official,
    gemini,
    ollama,
    openai,
    openai_responses,
)
from gateway.platforms.platform import Platform
from gateway.platforms.validation import InvalidAccount, validate_for

__all__ = ["PLATFORMS", "InvalidAccount", "validate"]

PLATFORMS: Mapping[str, Platform] = MappingProxyType(
    {
        "azure-openai": azure_openai.PLATFORM,
        "bedrock": bedrock.PLATFORM,
        "claude-ccr": claude_ccr.PLATFORM,
        "claude-console": claude_console.PLATFORM,
        "claude-official": claude_official.PLATFORM,
        "gemini": gemini.PLATFORM,
        "ollama": ollama.PLATFORM,
        "openai": openai.PLATFORM,
        "openai-responses": openai_responses.PLATFORM,
    }
)


def validate(
    platform_name: str, credentials: Mapping[str, Any], options: Mapping[str, Any], base_url: str | None
) -> None:
    """Whether an account fits its platform. Raises InvalidAccount, which names the field at fault."""
    platform = PLATFORMS.get(platform_name)
    if platform is None:
        raise InvalidAccount("platform", f"unknown; known: {', '.join(PLATFORMS)}")
    validate_for(platform, credentials, options, base_url)
