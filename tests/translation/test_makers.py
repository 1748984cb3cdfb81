"""One row a name."""

import pytest

from gateway.translation.makers import maker

MAKERS = {
    "plain": [
        "gpt-4o",
        "gpt-4.1-mini",
        "gpt-3.5-turbo",
        "gpt-35-turbo",
        "chatgpt-4o-latest",
        "openai/gpt-4o",
        "ft:gpt-4o:x",
    ],
    "reasons": [
        "o1",
        "o3-mini",
        "o4-mini-2025-04-16",
        "gpt-5",
        "gpt-5.1-codex",
        "gpt-6.1-sol",
        "openai/gpt-5",
        "prod-gpt5",
    ],
    "other": [
        "deepseek-chat",
        "qwen3-32b",
        "gpt-oss-120b",
        "o1js",
        "llama-3.1-8b",
        "claude-opus-4",
        "gemini-2.5-pro",
        "glm-5",
    ],
}


@pytest.mark.parametrize(("made_by", "model"), [(by, model) for by, models in MAKERS.items() for model in models])
def test_whose_model_it_is(made_by, model):
    assert maker(model) == made_by
