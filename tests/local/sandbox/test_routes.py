import pytest

from gateway.local.sandbox.routes import find
from gateway.local.sandbox.server import Request


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        ("POST", "/v1/messages", ("anthropic", "generate", "")),
        ("POST", "/x/y/v1/messages?beta=true", ("anthropic", "generate", "")),
        ("POST", "/v1/messages/count_tokens", ("anthropic", "count", "")),
        ("POST", "/v1/chat/completions", ("openai-chat", "generate", "")),
        ("POST", "/v1/embeddings", ("openai-chat", "embed", "")),
        ("POST", "/responses", ("openai-responses", "generate", "")),
        ("POST", "/v1/responses", ("openai-responses", "generate", "")),
        ("POST", "/backend-api/codex/responses", ("chatgpt", "generate", "")),
        ("POST", "/openai/deployments/d/chat/completions", ("openai-chat", "generate", "d")),
        ("POST", "/openai/deployments/d/embeddings", ("openai-chat", "embed", "d")),
        ("POST", "/v1beta/models/gemini-x:generateContent", ("gemini", "generate", "gemini-x")),
        ("POST", "/v1/models/a/b:c:countTokens", ("gemini", "count", "a/b:c")),
        ("POST", "/v1beta/models/m%3AembedContent", ("gemini", "embed", "m")),
        ("POST", "/v1beta/models/m/batchEmbedContents", ("gemini", "embed", "m")),
        ("POST", "/v1beta1/publishers/google/models/m:generateContent", ("gemini", "generate", "m")),
        ("POST", "/v1beta/models/m:explode", None),
        ("POST", "/model/anthropic.claude-v1%3A0/invoke", ("bedrock", "generate", "anthropic.claude-v1:0")),
        ("POST", "/model/a:0/invoke-with-response-stream", ("bedrock", "generate", "a:0")),
        ("POST", "/model/gemma3%3A12b/converse", ("bedrock-converse", "generate", "gemma3:12b")),
        ("POST", "/base/model/us.anthropic.claude-x/converse-stream",
         ("bedrock-converse", "generate", "us.anthropic.claude-x")),
        ("POST", "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A%3Afoundation-model%2Fmeta.llama3/converse",
         ("bedrock-converse", "generate", "arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3")),
        ("POST", "/model/m/converse/", None),
        ("POST", "/api/chat", ("ollama", "generate", "")),
        ("POST", "/ollama/api/generate", ("ollama", "generate", "")),
        ("POST", "/api/embed", ("ollama", "embed", "")),
        ("POST", "/api/embeddings", ("ollama", "embed", "")),
        ("GET", "/api/tags", ("ollama", "list", "")),
        ("GET", "/v1/models", ("openai-chat", "list", "")),
        ("GET", "/v1/models/a/b", ("openai-chat", "model", "a/b")),
        ("GET", "/v1beta/models?key=k", ("gemini", "list", "")),
        ("GET", "/v1/messages", None),
        ("PUT", "/v1/messages", None),
        ("POST", "/v1/v1/messages", None),
        ("POST", "/v1beta/v1beta/models/m:countTokens", None),
    ],
)  # fmt: skip
def test_routes(method, target, found) -> None:
    route = find(Request(method, target, [], b"", True))
    assert (route and (route[0].name, route[1].operation, route[1].model)) == found


@pytest.mark.parametrize(
    ("headers", "name"),
    [([("anthropic-version", "x")], "anthropic"), ([("x-goog-api-key", "x")], "gemini"), ([], "openai-chat")],
)
def test_three_protocols_share_the_model_list(headers, name) -> None:
    route = find(Request("GET", "/v1/models", headers, b"", True))
    assert route and route[0].name == name
