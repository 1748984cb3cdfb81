"""One row a name."""

import pytest

from gateway.translation.makers import maker, nearest

MAKERS = {
    "plain": [
        "gpt-4o",
        "gpt-4.1-mini",
        "gpt-3.5-turbo",
        "gpt-35-turbo",
        "chatgpt-4o-latest",
        "openai/gpt-4o",
        "ft:gpt-4o:x",
        "gpt-5-chat-latest",
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


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
NEAREST = {
    "o3": "low low low medium high high",
    "gpt-5-mini-2025-08-07": "minimal minimal low medium high high",
    "prod-gpt5": "minimal minimal low medium high high",
    "gpt-5-codex": "low low low medium high high",
    "gpt-5-pro": "high high high high high high",
    "gpt-5.1": "none low low medium high high",
    "gpt-5.1-codex-mini": "low low low medium high high",
    "gpt-5.1-codex-max": "low low low medium high xhigh",
    "gpt-5.1-chat-latest": "medium medium medium medium medium medium",
    "openai/gpt-5.2": "none low low medium high xhigh",
    "gpt-5.2-pro": "medium medium medium medium high xhigh",
    "gpt-5.3-codex": "low low low medium high xhigh",
    "gpt-5.10": "none low low medium high xhigh",
    "gpt-6.1-sol": "none low low medium high xhigh",
    "qwen3-32b": " ".join(EFFORTS),
}


@pytest.mark.parametrize("model", NEAREST)
def test_a_model_is_asked_for_an_effort_that_it_takes(model):
    assert " ".join(nearest(effort, model) or "" for effort in EFFORTS) == NEAREST[model]


@pytest.mark.parametrize("effort", EFFORTS)
def test_models_that_do_not_reason_take_none(effort):
    assert nearest(effort, "gpt-4o") is nearest(effort, "gpt-5-chat-latest") is None
