import pytest

from gateway.platforms import validate
from gateway.platforms.openai import probe
from tests.platforms.scene import CHAT, EMBED, GOOGLE, KEPT, KEY, RESPONSES, fault, signed, target

NAME = "openai"
DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"


@pytest.mark.parametrize(
    ("options", "own"),
    [
        ({}, []),
        (
            {"organization": "org-1", "project": "proj_1"},
            [(b"openai-organization", b"org-1"), (b"openai-project", b"proj_1")],
        ),
        ({"organization": None}, []),
    ],
)
def test_sign(options, own) -> None:
    assert signed(NAME, {"api_key": "k"}, options) == [*KEPT, (b"authorization", b"Bearer k"), *own]


@pytest.mark.parametrize(
    ("base", "what", "expected"),
    [
        ("", CHAT, "https://api.openai.com/v1/chat/completions"),
        ("", EMBED, "https://api.openai.com/v1/embeddings"),
        ("", RESPONSES, "https://api.openai.com/v1/responses"),
        ("https://api.openai.com/v1", CHAT, "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", EMBED, "https://api.openai.com/v1/embeddings"),
        ("https://openrouter.ai/api/v1", CHAT, "https://openrouter.ai/api/v1/chat/completions"),
        ("https://ark.example/api/v3", CHAT, "https://ark.example/api/v3/chat/completions"),
        ("https://ark.cn-beijing.volces.com/api/v3/", EMBED, "https://ark.cn-beijing.volces.com/api/v3/embeddings"),
        (DASHSCOPE, CHAT, DASHSCOPE + "/chat/completions"),
        (DASHSCOPE + "/", RESPONSES, DASHSCOPE + "/responses"),
        ("https://openrouter.ai/api/v1/", EMBED, "https://openrouter.ai/api/v1/embeddings"),
        ("https://api.deepseek.com", CHAT, "https://api.deepseek.com/v1/chat/completions"),
        ("https://api.deepseek.com/v1", CHAT, "https://api.deepseek.com/v1/chat/completions"),
        ("https://api.deepseek.com/beta", CHAT, "https://api.deepseek.com/beta/v1/chat/completions"),
        ("https://api.groq.com/openai", CHAT, "https://api.groq.com/openai/v1/chat/completions"),
        ("https://api.groq.com/openai/v1", CHAT, "https://api.groq.com/openai/v1/chat/completions"),
        ("https://gw.example/openai/", RESPONSES, "https://gw.example/openai/v1/responses"),
        ("http://10.0.0.7:8000/v1", EMBED, "http://10.0.0.7:8000/v1/embeddings"),
        ("https://api.z.ai/api/paas/v4", CHAT, "https://api.z.ai/api/paas/v4/chat/completions"),
        (GOOGLE + "/v1beta/openai/", CHAT, GOOGLE + "/v1beta/openai/chat/completions"),
        ("https://host/v1x/tenant", CHAT, "https://host/v1x/tenant/v1/chat/completions"),
    ],
)
def test_url(base, what, expected) -> None:
    assert target(NAME, base, what) == expected


def test_the_probe_is_one_that_every_compatible_server_takes() -> None:
    message = {"role": "user", "content": "Say ok."}
    asked = {"model": "gpt-x", "max_completion_tokens": 16, "messages": [message]}
    assert probe("gpt-x") == ("openai_chat", "generate", asked)
    assert probe("text-Embedding-3-small") == (
        "openai_chat",
        "embed",
        {"model": "text-Embedding-3-small", "input": "hi"},
    )


@pytest.mark.parametrize(
    ("options", "base"),
    [
        ({"organization": "org-1", "project": "proj_1", "usage_probe": False}, None),
        ({}, "https://api.deepseek.com/v1/"),
    ],
)
def test_accepted(options, base) -> None:
    validate(NAME, KEY, options, base)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"organization": "org\r\n1"}, "options.organization"), ({"usage_probe": "yes"}, "options.usage_probe")],
)
def test_refused(options, field) -> None:
    assert fault(NAME, KEY, options) == field
