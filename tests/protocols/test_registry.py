"""Every protocol's file is in the registry, under its own name."""

from pathlib import Path

import gateway.protocols
from gateway.protocols import CODECS

SHARED = {
    "__init__",
    "codec",
    "edits",
    "foreign",
    "framing",
    "openai_errors",
    "problems",
    "reading",
    "reasoning",
    "requests",
    "spans",
}


def test_every_file_is_registered_alphabetically():
    files = {path.stem for path in Path(gateway.protocols.__file__).parent.glob("*.py")}
    assert files - SHARED == set(CODECS)
    assert list(CODECS) == sorted(CODECS)


def test_names_and_endpoints_agree():
    for name, codec in CODECS.items():
        assert codec.name == name
        assert {endpoint.protocol for endpoint in codec.endpoints} == {name}
    assert [
        each.path for name in ("anthropic", "openai_chat", "openai_responses") for each in CODECS[name].endpoints
    ] == [
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/responses",
    ]
    assert {each.action: (each.operation, each.path) for each in CODECS["gemini"].endpoints} == {
        "generateContent": ("generate", "/v1beta/models/{model}:generateContent"),
        "streamGenerateContent": ("generate", "/v1beta/models/{model}:streamGenerateContent"),
        "countTokens": ("count", "/v1beta/models/{model}:countTokens"),
        "embedContent": ("embed", "/v1beta/models/{model}:embedContent"),
        "batchEmbedContents": ("embed", "/v1beta/models/{model}:batchEmbedContents"),
    }
    assert {each.action: (each.operation, each.path) for each in CODECS["ollama"].endpoints} == {
        "chat": ("generate", "/api/chat"),
        "generate": ("generate", "/api/generate"),
        "embed": ("embed", "/api/embed"),
        "embeddings": ("embed", "/api/embeddings"),
    }
    assert [codec.limit_headers for codec in CODECS.values()] == ["anthropic", "", "", "openai", "openai"]
    assert [name for name, codec in CODECS.items() if codec.with_usage and codec.usage_filter] == ["openai_chat"]
    assert {name: codec.request_id_header for name, codec in CODECS.items() if codec.request_id_header} == {
        "anthropic": b"request-id"
    }


def test_what_a_stream_is_called():
    kinds = {name: codec.stream_type for name, codec in CODECS.items() if codec.stream_type != b"text/event-stream"}
    assert kinds == {"ollama": b"application/x-ndjson"}
