"""Where each platform's requests go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.domain import Account
from gateway.platforms import PLATFORMS
from gateway.platforms.target import url
from gateway.protocols.codec import InvalidBody

GENERATE = ("anthropic", "generate")
COUNT = ("anthropic", "count")
CHAT = ("openai_chat", "generate")
EMBED = ("openai_chat", "embed")
RESPONSES = ("openai_responses", "generate")
GEMINI = ("gemini", "generateContent")
STREAM = ("gemini", "streamGenerateContent")
GOOGLE = "https://generativelanguage.googleapis.com"


def account(platform, base_url=""):
    return Account(id="acct_1", tenant_id="t", name="a", platform=platform, base_url=base_url, credentials={})


def target(platform, base, what, model="m", query=b""):
    protocol, operation = what
    return url(account(platform, base), PLATFORMS[platform], protocol, operation, model, query)


@pytest.mark.parametrize(
    ("platform", "base", "what", "expected"),
    [
        ("claude-official", "", GENERATE, "https://api.anthropic.com/v1/messages"),
        ("claude-official", "", COUNT, "https://api.anthropic.com/v1/messages/count_tokens"),
        ("claude-official", "http://127.0.0.1:9/", GENERATE, "http://127.0.0.1:9/v1/messages"),
        ("claude-console", "https://host/anthropic", GENERATE, "https://host/anthropic/v1/messages"),
        ("claude-console", "https://host/anthropic//", GENERATE, "https://host/anthropic/v1/messages"),
        ("claude-console", "https://host/anthropic/v1", GENERATE, "https://host/anthropic/v1/messages"),
        ("claude-ccr", "http://10.0.0.7:3456", GENERATE, "http://10.0.0.7:3456/v1/messages"),
        ("openai", "", CHAT, "https://api.openai.com/v1/chat/completions"),
        ("openai", "", EMBED, "https://api.openai.com/v1/embeddings"),
        ("openai", "", RESPONSES, "https://api.openai.com/v1/responses"),
        ("openai", "https://api.openai.com/v1", CHAT, "https://api.openai.com/v1/chat/completions"),
        ("openai", "https://api.openai.com/v1/", EMBED, "https://api.openai.com/v1/embeddings"),
        ("openai", "https://openrouter.ai/api/v1", CHAT, "https://openrouter.ai/api/v1/chat/completions"),
        ("openai", "https://ark.example/api/v3", CHAT, "https://ark.example/api/v3/chat/completions"),
        ("openai", "https://api.z.ai/api/paas/v4", CHAT, "https://api.z.ai/api/paas/v4/chat/completions"),
        ("openai", GOOGLE + "/v1beta/openai/", CHAT, GOOGLE + "/v1beta/openai/chat/completions"),
        ("openai", "https://host/v1x/tenant", CHAT, "https://host/v1x/tenant/v1/chat/completions"),
        ("openai-responses", "https://api.openai.com/v1", RESPONSES, "https://api.openai.com/v1/responses"),
        ("openai-responses", "https://host/", RESPONSES, "https://host/responses"),
        ("gemini", "", GEMINI, GOOGLE + "/v1beta/models/m:generateContent"),
        ("gemini", GOOGLE + "/v1beta", GEMINI, GOOGLE + "/v1beta/models/m:generateContent"),
        ("gemini", GOOGLE + "/v1/", STREAM, GOOGLE + "/v1beta/models/m:streamGenerateContent"),
        ("gemini", "https://host/gemini", GEMINI, "https://host/gemini/v1beta/models/m:generateContent"),
    ],
)
def test_url(platform, base, what, expected):
    assert target(platform, base, what) == expected


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("publishers/google/models/gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro"),
        ("vendor/gemma3:12b", "models/vendor/gemma3%3A12b"),
        ("x:batchEmbedContents?a=b#c", "models/x%3AbatchEmbedContents%3Fa%3Db%23c"),
        ("a b%2e\r\n", "models/a%20b%252e%0D%0A"),
        ("模型", "models/%E6%A8%A1%E5%9E%8B"),
    ],
)
def test_a_models_name_in_the_path(model, path):
    assert target("gemini", "https://host", GEMINI, model) == f"https://host/v1beta/{path}:generateContent"


@pytest.mark.parametrize(
    "model", ["", "..", "../../v1/files", "a//b", "/a", "a/", ".", "a/./b", "tunedModels/..", "\ud800"]
)
def test_a_name_that_would_lead_elsewhere_is_refused(model):
    with pytest.raises(InvalidBody) as raised:
        target("gemini", "https://host", GEMINI, model)
    assert raised.value.field == "model"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", ""),
        (b"beta=true", "?beta=true"),
        (b"alt=sse&%24alt=json%3B&x=%2e{}|^", "?alt=sse&%24alt=json%3B&x=%2e{}|^"),
        (b"a=b c#d\xff\r\nHost: x", "?a=b%20c%23d%FF%0D%0AHost:%20x"),
    ],
)
def test_the_clients_query_goes_along(query, expected):
    assert target("claude-official", "", GENERATE, query=query) == f"https://api.anthropic.com/v1/messages{expected}"


def test_what_a_platform_does_not_serve():
    with pytest.raises(KeyError):
        target("claude-official", "", CHAT)


@given(st.text(max_size=40), st.binary(max_size=40))
def test_nothing_of_a_clients_leaves_the_request_line_or_the_host(model, query):
    try:
        found = target("gemini", "https://host/base", GEMINI, model, query)
    except InvalidBody:
        return
    path = found.partition("?")[0]
    assert found.startswith("https://host/base/v1beta/")
    assert path.endswith(":generateContent")
    assert path.count(":") == 2
    assert all("!" <= character <= "~" for character in found)
    assert "#" not in found
    assert not {"", ".", ".."} & set(path.split("/")[3:])
