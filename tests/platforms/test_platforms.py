"""The registry, and what each platform puts on a request."""

import importlib
import pkgutil

import msgspec
import pytest

import gateway.platforms
from gateway.core.domain import FAMILIES, Account
from gateway.core.secret import Secret
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Outgoing
from gateway.platforms.target import url

CLIENT = [
    (b"user-agent", b"sdk/1"),
    (b"anthropic-beta", b"a-1"),
    (b"authorization", b"Bearer sk-client"),
    (b"x-api-key", b"sk-client"),
    (b"x-goog-api-key", b"sk-client"),
    (b"openai-organization", b"org-client"),
]
KEPT = [(b"user-agent", b"sdk/1"), (b"anthropic-beta", b"a-1")]
VERSION = (b"anthropic-version", b"2023-06-01")


def account(platform, credentials, options=None):
    held = {name: Secret(value) for name, value in credentials.items()}
    base = "https://host.example"
    return Account(
        id="acct_1", tenant_id="t", name="a", platform=platform, base_url=base, credentials=held, options=options or {}
    )


@pytest.mark.parametrize(
    ("platform", "credentials", "options", "expected"),
    [
        ("claude-official", {"api_key": "k"}, {}, [*KEPT, VERSION, (b"x-api-key", b"k")]),
        (
            "claude-official",
            {"access_token": "t", "refresh_token": "r"},
            {},
            [
                (b"user-agent", b"sdk/1"),
                VERSION,
                (b"anthropic-beta", b"a-1,oauth-2025-04-20"),
                (b"authorization", b"Bearer t"),
            ],
        ),
        ("claude-console", {"api_key": "k"}, {}, [*KEPT, VERSION, (b"x-api-key", b"k")]),
        ("claude-console", {"api_key": "k"}, {"auth_header": "x-api-key"}, [*KEPT, VERSION, (b"x-api-key", b"k")]),
        (
            "claude-console",
            {"api_key": "k"},
            {"auth_header": "bearer"},
            [*KEPT, VERSION, (b"authorization", b"Bearer k")],
        ),
        ("claude-ccr", {"api_key": "k"}, {}, [*KEPT, VERSION, (b"x-api-key", b"k")]),
        ("openai", {"api_key": "k"}, {}, [*KEPT, (b"authorization", b"Bearer k")]),
        (
            "openai",
            {"api_key": "k"},
            {"organization": "org-1", "project": "proj_1"},
            [
                *KEPT,
                (b"authorization", b"Bearer k"),
                (b"openai-organization", b"org-1"),
                (b"openai-project", b"proj_1"),
            ],
        ),
        ("openai", {"api_key": "k"}, {"organization": None}, [*KEPT, (b"authorization", b"Bearer k")]),
        ("openai-responses", {"api_key": "k"}, {}, [*KEPT, (b"authorization", b"Bearer k")]),
        ("gemini", {"api_key": "k"}, {}, [*KEPT, (b"x-goog-api-key", b"k")]),
    ],
)
def test_sign(platform, credentials, options, expected):
    outgoing = Outgoing("POST", "https://host.example/", CLIENT, b"{}")
    signed = PLATFORMS[platform].sign(outgoing, account(platform, credentials, options))
    assert signed == Outgoing("POST", "https://host.example/", expected, b"{}")


def test_every_platform_module_has_its_row_in_order():
    modules = [
        importlib.import_module(f"gateway.platforms.{found.name}")
        for found in pkgutil.iter_modules(gateway.platforms.__path__)
    ]
    records = [module.PLATFORM for module in modules if hasattr(module, "PLATFORM")]
    assert {record.name: record for record in records} == dict(PLATFORMS)
    assert list(PLATFORMS) == sorted(PLATFORMS)


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_record_is_whole(name):
    platform = PLATFORMS[name]
    assert platform.name == name
    assert name in FAMILIES[platform.family]
    assert platform.serves
    assert platform.models
    assert platform.explicit_only is (name == "claude-ccr")
    for kind in (*platform.credentials, platform.options):
        assert kind.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("model", ["some-model", "some-embedding-1"])
@pytest.mark.parametrize("name", PLATFORMS)
def test_a_probe_is_a_request_that_the_platform_serves(name, model):
    platform = PLATFORMS[name]
    assert platform.probe is not None
    protocol, operation, body = platform.probe(model)
    assert (protocol, operation) in platform.serves
    assert body.get("model", model) == model
    assert msgspec.json.encode(body)
    assert url(account(name, {}), platform, protocol, operation, model, b"").startswith("https://host.example/")
    limits = [body.get(key) for key in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    limits.append(body.get("generationConfig", {}).get("maxOutputTokens"))
    assert operation.startswith(("embed", "batch")) or 1 <= max(limit or 0 for limit in limits) <= 16
