"""The registry, and what holds for every platform."""

import importlib
import pkgutil

import msgspec
import pytest

import gateway.platforms
from gateway.core.domain import FAMILIES
from gateway.platforms import PLATFORMS
from tests.platforms.scene import target


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
    assert target(name, "https://host.example", (protocol, operation), model).startswith("https://host.example/")
    limits = [body.get(key) for key in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    limits.append(body.get("generationConfig", {}).get("maxOutputTokens"))
    limits.append(body.get("inferenceConfig", {}).get("maxTokens"))
    assert operation.startswith(("embed", "batch")) or 1 <= max(limit or 0 for limit in limits) <= 16
