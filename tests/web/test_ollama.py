"""What Ollama's clients are told of the server and its models: the shapes alone."""

from hashlib import sha256
from typing import Any

import ollama as client
import pytest

from gateway.core import prices
from gateway.core.errors import InvalidRequest
from gateway.web import ollama
from gateway.web.lists import Listed

TABLE = prices.shipped()
MODELS = {
    "acme:gpt-4.1": Listed("acme:gpt-4.1", "acme", "openai", ("gpt-4.1",), 1_700_000_000.25),
    "fast": Listed("fast", "local", "ollama", ("gemma3:12b", "fast"), 1_700_000_001.0),
    "local:m": Listed("local:m", "local", "ollama", ("m",), 1_700_000_001.0),
}


def test_the_list_is_what_the_client_reads() -> None:
    listed = ollama.tags(MODELS, TABLE)
    read = client.ListResponse.model_validate(listed, strict=False)
    assert [one.model for one in read.models] == ["acme:gpt-4.1", "fast", "local:m"]
    first: dict[str, Any] = listed["models"][0]
    assert first == {
        "name": "acme:gpt-4.1", "model": "acme:gpt-4.1", "modified_at": "2023-11-14T22:13:20.250Z", "size": 0,
        "digest": sha256(b"acme:gpt-4.1").hexdigest(),
        "details": {
            "parent_model": "", "format": "remote", "family": "gpt", "families": ["gpt"], "parameter_size": "",
            "quantization_level": "",
        },
    }  # fmt: skip
    assert listed["models"][1]["details"]["parameter_size"] == "12B"
    assert len({one["digest"] for one in listed["models"]}) == 3


def test_one_model_is_what_copilot_reads() -> None:
    shown = ollama.show(MODELS["fast"], TABLE)
    info = shown["model_info"]
    assert info[f"{info['general.architecture']}.context_length"] == 131_072
    assert info["general.basename"] == "fast"
    assert shown["capabilities"] == ("completion", "vision")
    read = client.ShowResponse.model_validate({**shown, "capabilities": [*shown["capabilities"]]}, strict=False)
    assert read.details is not None and read.details.family == "gemma3"
    assert read.parameters == "num_ctx 131072"
    assert {"license", "modelfile", "parameters", "template", "details", "modified_at"} <= shown.keys()


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"a"}', "a"),
        (b'{"name":"a"}', "a"),
        (b'{"name":"b","model":"a","verbose":true}', "a"),
        (b'{"model":"","name":"a"}', "a"),
        ('{"model":"gemma3:12b é"}'.encode(), "gemma3:12b é"),
    ],
)
def test_what_is_asked_about(body: bytes, model: str) -> None:
    assert ollama.asked(body) == model


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"a"', b"{}", b'{"model":""}', b'{"model":7}', b'{"name":null}', b'{"model":"\xff"}'],
)
def test_what_cannot_be_asked(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ollama.asked(body)
    assert caught.value.field == "model" and "`model`" in caught.value.message


def test_the_version_is_new_enough() -> None:
    about = ollama.about()
    assert tuple(map(int, about["version"].split("."))) >= (0, 14, 2) > (0, 6, 4)
    assert about["ollama"]["version"] == about["version"]
    assert about["build"]["service"] == "poolgate"
    assert client.ProcessResponse.model_validate(ollama.running()).models == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"), (1.9, "1 second"), (60, "1 minute"), (61, "1 minute, 1 second"), (3600, "1 hour"),
        (8100, "2 hours, 15 minutes"), (8101, "2 hours, 15 minutes"), (86_400 * 3 + 7, "3 days, 7 seconds"),
    ],
)  # fmt: skip
def test_the_status(seconds: float, said: str) -> None:
    status = ollama.status(MODELS, seconds)
    assert status["uptime"] == said
    assert status["providers"] == {"available": 2, "active": ["acme", "local"]}
    assert status["models"] == {"total": 3, "byProvider": {"acme": 1, "local": 2}}
    nothing = ollama.status({}, seconds)
    assert (nothing["status"], nothing["providers"], nothing["models"]) == (
        "ok", {"available": 0, "active": []}, {"total": 0, "byProvider": {}},
    )  # fmt: skip
