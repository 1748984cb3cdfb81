"""How accounts are asked: natively where they can, else through the neutral form, and never where they cannot."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core.domain import Account
from gateway.core.secret import Secret
from gateway.platforms import PLATFORMS
from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint
from gateway.routing.speaking import Spoken, generating, spoken
from gateway.translation import UPSTREAMS

CHAT = CODECS["openai_chat"].endpoints[0]
MESSAGES = Endpoint("anthropic", "generate", "/v1/messages")
COUNT = Endpoint("anthropic", "count", "/v1/messages/count_tokens")
RESPONSES = Endpoint("openai_responses", "generate", "/v1/responses")
EMBED = CODECS["openai_chat"].endpoints[1]
GENERATE = Endpoint("gemini", "generate", "", "generateContent")
COUNT_TOKENS = Endpoint("gemini", "count", "", "countTokens")
BATCH = Endpoint("gemini", "embed", "", "batchEmbedContents")
OLLAMA_EMBED = Endpoint("ollama", "embed", "/api/embed", "embed")


def account(platform: str, **fields: Any) -> Account:
    credentials = {"api_key": Secret("sk-1")}
    return structs.replace(Account("a", "t", "a", platform, "https://up.example", credentials), **fields)


VERTEX = {"credentials": {"service_account": Secret("{}")}}
CHATGPT = {"credentials": {"access_token": Secret("x")}}
CHAT_ALONE = {"options": {"protocols": ["openai_chat"]}}


@pytest.mark.parametrize(
    ("platform", "fields", "model", "endpoint", "stream", "found"),
    [
        ("claude-official", {}, "claude-x", MESSAGES, True, Spoken("anthropic", "generate")),
        ("claude-official", {}, "claude-x", CHAT, True, Spoken("anthropic", "generate", True, True)),
        ("claude-official", {}, "claude-x", COUNT_TOKENS, False, Spoken("anthropic", "count", True, True)),
        ("claude-official", {}, "claude-x", EMBED, False, None),
        ("openai", {}, "gpt-x", MESSAGES, False, Spoken("openai_chat", "generate", True, True)),
        ("openai", {}, "gpt-x", RESPONSES, False, Spoken("openai_responses", "generate")),
        ("openai", CHAT_ALONE, "gpt-x", RESPONSES, True, Spoken("openai_chat", "generate", True, True)),
        ("openai", CHAT_ALONE, "gpt-x", EMBED, False, Spoken("openai_chat", "embed")),
        ("openai", {}, "gpt-x", COUNT, False, Spoken("", "count", True, True)),
        ("openai", {}, "e", BATCH, False, Spoken("openai_chat", "embed", True, True)),
        ("azure-openai", {}, "gpt-x", GENERATE, True, Spoken("openai_chat", "generate", True, True)),
        ("openai-responses", {}, "gpt-x", MESSAGES, True, Spoken("openai_responses", "generate", True, True)),
        ("openai-responses", CHATGPT, "gpt-x", RESPONSES, False, Spoken("openai_responses", "generate", True)),
        ("openai-responses", CHATGPT, "gpt-x", CHAT, False, Spoken("openai_responses", "generate", True, True)),
        ("gemini", {}, "gemini-x", MESSAGES, True, Spoken("gemini", "streamGenerateContent", True, True)),
        ("gemini", {}, "gemini-x", MESSAGES, False, Spoken("gemini", "generateContent", True, True)),
        ("gemini", {}, "gemini-x", COUNT, False, Spoken("gemini", "countTokens", True, True)),
        ("gemini", {}, "e", EMBED, False, Spoken("gemini", "batchEmbedContents", True, True)),
        ("gemini", VERTEX, "claude-x", CHAT, False, Spoken("anthropic", "generate", True, True)),
        ("gemini", VERTEX, "gemini-embedding-x", EMBED, False, Spoken("gemini", "embedContent", True, True)),
        ("ollama", {}, "llama", MESSAGES, False, Spoken("anthropic", "generate")),
        ("ollama", {}, "llama", GENERATE, False, Spoken("ollama", "chat", True, True)),
        ("ollama", {}, "llama", COUNT, False, Spoken("", "count", True, True)),
        ("ollama", {}, "llama", OLLAMA_EMBED, False, Spoken("ollama", "embed")),
        ("bedrock", {}, "eu.anthropic.claude-x", CHAT, True, Spoken("anthropic", "generate", True, True)),
        ("bedrock", {}, "amazon.nova-x", MESSAGES, True, Spoken("converse", "converse", True, True)),
        ("bedrock", {"credentials": {}}, "amazon.nova-x", MESSAGES, True, None),
    ],
)
def test_how_an_account_is_asked(
    platform: str, fields: dict[str, Any], model: str, endpoint: Endpoint, stream: bool, found: Spoken | None
) -> None:
    assert spoken(account(platform, **fields), model, endpoint, stream) == found


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_can_be_asked_to_generate_in_every_protocol(platform: str) -> None:
    model = "anthropic.claude-x" if platform == "bedrock" else "x"
    for codec in CODECS.values():
        endpoint = next(one for one in codec.endpoints if one.operation == "generate")
        found = spoken(account(platform), model, endpoint, False)
        assert found is not None
        assert (found.hub, found.translated) == (found.protocol != codec.name,) * 2


@pytest.mark.parametrize("protocol", UPSTREAMS)
def test_translation_asks_for_what_some_platform_serves(protocol: str) -> None:
    served = {(each, operation) for platform in PLATFORMS.values() for each, operation in platform.serves}
    for stream in (False, True):
        assert (protocol, generating(protocol, stream)) in served
