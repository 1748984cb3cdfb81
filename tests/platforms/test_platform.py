import pytest

from gateway.platforms.platform import model_family


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-1-20250805", "opus"),
        ("claude-3-5-sonnet-20241022", "sonnet"),
        ("claude-3-haiku-20240307", "haiku"),
        ("Claude-Sonnet-4-5", "sonnet"),
        ("claude-haiku-4.5", "haiku"),
        ("claude-instant-1.2", "instant"),
        ("claude-fable-5", "fable"),
        ("claude-3.7-sonnet", "sonnet"),
        ("anthropic/claude-opus-4.5", "opus"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "sonnet"),
        ("claude-sonnet-4@20250514", "sonnet"),
        ("claude-2.1", "claude-2.1"),
        ("claude-v2", "claude-v2"),
        ("GPT-5.2", "gpt-5.2"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("sandbox-echo", "sandbox-echo"),
        ("my-sonnet-tune", "my-sonnet-tune"),
        ("", ""),
    ],
)
def test_model_family(model, family):
    assert model_family(model) == family
