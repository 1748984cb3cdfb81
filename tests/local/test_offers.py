"""Provider keys of the environment become offers, whole or not at all."""

import pytest

from gateway.local.offers import halves, offers
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


AZURE = {"AZURE_OPENAI_API_KEY": "az-1", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/"}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "aws-2"}
REGION = {"AWS_REGION": "eu-west-1"}
BEARER = {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-3"}
PAIR = {"access_key_id": "AKIA1", "secret_access_key": "aws-2"}


@pytest.mark.parametrize(
    ("environ", "variable", "credentials", "options"),
    [
        (AZURE, "AZURE_OPENAI_API_KEY", {"api_key": "az-1"}, {}),
        (AZURE | {"OPENAI_API_VERSION": "2025-04-01-preview"}, "AZURE_OPENAI_API_KEY", {"api_key": "az-1"},
         {"api_version": "2025-04-01-preview"}),
        (KEYS | REGION, "AWS_ACCESS_KEY_ID", PAIR, {"region": "eu-west-1"}),
        (KEYS | {"AWS_DEFAULT_REGION": "us-east-1"}, "AWS_ACCESS_KEY_ID", PAIR, {"region": "us-east-1"}),
        (KEYS | REGION | {"AWS_DEFAULT_REGION": "us-east-1", "AWS_SESSION_TOKEN": "s-4"}, "AWS_ACCESS_KEY_ID",
         PAIR | {"session_token": "s-4"}, {"region": "eu-west-1"}),
        (BEARER | REGION, "AWS_BEARER_TOKEN_BEDROCK", {"bearer_token": "bedrock-3"}, {"region": "eu-west-1"}),
        (BEARER | KEYS | REGION, "AWS_BEARER_TOKEN_BEDROCK", {"bearer_token": "bedrock-3"}, {"region": "eu-west-1"}),
    ],
)  # fmt: skip
def test_sets(environ: dict[str, str], variable: str, credentials: dict[str, str], options: dict[str, str]):
    (offer,) = offers(environ)
    secrets = {name: secret.reveal() for name, secret in offer.credentials.items()}
    assert (offer.variable, secrets, offer.options) == (variable, credentials, options)
    azure = variable.startswith("AZURE")
    assert offer.platform == ("azure-openai" if azure else "bedrock")
    assert offer.base_url == ("https://mine.openai.azure.com" if azure else "")
    validate(offer.platform, secrets, offer.options, offer.base_url or None)
    assert halves(environ) == []


@pytest.mark.parametrize(
    ("environ", "found", "lacking"),
    [
        ({"AZURE_OPENAI_API_KEY": "canary"}, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"),
        ({"AZURE_OPENAI_ENDPOINT": "canary"}, "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"),
        (REGION | {"AWS_ACCESS_KEY_ID": "canary"}, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        (REGION | {"AWS_SECRET_ACCESS_KEY": "canary"}, "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
        (KEYS, "AWS_ACCESS_KEY_ID", "AWS_REGION"),
        (BEARER, "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION"),
    ],
)
def test_half_of_a_set_is_told_and_not_guessed(environ: dict[str, str], found: str, lacking: str):
    assert offers(environ) == []
    (half,) = halves(environ)
    assert str(half) == f"{found} found without {lacking}: no account can be made of it"


def test_what_only_goes_with_credentials_is_half_of_nothing():
    environ = REGION | {"AWS_SESSION_TOKEN": "s", "OPENAI_API_VERSION": "v1", "AWS_PROFILE": "work"}
    assert (offers(environ), halves(environ)) == ([], [])
