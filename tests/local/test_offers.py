"""Provider keys of the environment become offers, whole or not at all."""

import pytest

from gateway.local.offers import offers
from gateway.platforms import validate


@pytest.mark.parametrize(
    ("environ", "platforms"),
    [
        ({}, []),
        ({"ANTHROPIC_API_KEY": ""}, []),
        ({"ANTHROPIC_API_KEY": "sk-ant-1"}, ["claude-official"]),
        ({"OPENAI_API_KEY": "sk-1", "GEMINI_API_KEY": "AIza1"}, ["openai", "gemini"]),
        ({"OPENAI_BASE_URL": "http://127.0.0.1"}, []),
    ],
)
def test_offers(environ: dict[str, str], platforms: list[str]):
    found = offers(environ)
    assert [offer.platform for offer in found] == platforms
    for offer in found:
        assert offer.variable in environ
        secrets = {name: secret.reveal() for name, secret in offer.credentials.items()}
        assert secrets == {"api_key": environ[offer.variable]}
        assert environ[offer.variable] not in repr(offer)
        validate(offer.platform, secrets, offer.options, offer.base_url or None)
