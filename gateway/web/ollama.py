"""What a server of Ollama's says of itself and of its models: docs.ollama.com/api. Pure.

Names are `provider:model`, or a group's aliases. There are no files here: a size is 0, a digest is that of the name.
GitHub Copilot reads `version`, each model's `capabilities`, `model_info["general.basename"]` for the name that it shows
and `model_info["{general.architecture}.context_length"]`.
"""

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version as installed
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core import prices
from gateway.core.errors import InvalidRequest
from gateway.core.state import rfc3339
from gateway.routing.abilities import Abilities
from gateway.web.lists import Listed

#: The API that is spoken here. Clients refuse older servers: Copilot those before 0.6.4, others those before 0.14.2,
#: since which all of Anthropic's and OpenAI's protocols are there.
VERSION = "0.14.2"
RUNNING = b"Ollama is running"
_FORMAT = "remote"
"""In place of `gguf`: there is no file."""


class _Asked(Struct):
    model: str = ""
    name: str = ""
    """Of older clients."""


def asked(body: bytes) -> str:
    """The model that `/api/show` asks about. Raises InvalidRequest."""
    try:
        found = msgspec.json.decode(body, type=_Asked)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("The body is not a JSON object whose `model` is a name.", field="model") from None
    if not (found.model or found.name):
        raise InvalidRequest("The request names no model: `model` is missing.", field="model")
    return found.model or found.name


def tags(models: Mapping[str, Listed], table: prices.Table) -> dict[str, Any]:
    """https://docs.ollama.com/api/tags"""
    return {
        "models": [
            {
                "name": one.name,
                "model": one.name,
                "modified_at": rfc3339(one.created_at),
                "size": 0,
                "digest": sha256(one.name.encode()).hexdigest(),
                "details": _details(one.abilities(table)),
            }
            for one in models.values()
        ]
    }


def show(one: Listed, table: prices.Table) -> dict[str, Any]:
    """https://docs.ollama.com/api/show"""
    known = one.abilities(table)
    return {
        "license": "",
        "modelfile": f"FROM {one.name}\n",
        "parameters": f"num_ctx {known.context_length}",
        "template": "{{ .Prompt }}",
        "details": _details(known),
        "model_info": {
            "general.architecture": known.architecture,
            "general.basename": one.name,
            f"{known.architecture}.context_length": known.context_length,
        },
        "capabilities": known.capabilities,
        "modified_at": rfc3339(one.created_at),
    }


def _details(known: Abilities) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": _FORMAT,
        "family": known.architecture,
        "families": [known.architecture],
        "parameter_size": known.parameter_size,
        "quantization_level": "",
    }


def running() -> dict[str, Any]:
    """https://docs.ollama.com/api/ps: what is held in this machine's memory, which no model ever is."""
    return {"models": []}


def about() -> dict[str, Any]:
    """https://docs.ollama.com/api-reference/get-version, and what is really here."""
    build = {"service": "poolgate", "version": installed("poolgate")}
    return {"version": VERSION, "build": build, "ollama": {"version": VERSION, "api_version": "1.0"}}


def status(models: Mapping[str, Listed], seconds: float) -> dict[str, Any]:
    """Of the whole service, as far as the key sees it. `models`: by provider; `seconds` since the start."""
    counts = Counter(one.provider for one in models.values())
    return {
        "status": "ok",
        "service": "poolgate",
        "version": installed("poolgate"),
        "uptime": _uptime(int(seconds)),
        "providers": {"available": len(counts), "active": sorted(counts)},
        "models": {"total": len(models), "byProvider": dict(sorted(counts.items()))},
    }


def _uptime(seconds: int) -> str:
    """`2 hours, 15 minutes`: the two largest units."""
    parts: list[str] = []
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, length)
        if count or (name == "second" and not parts):
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return ", ".join(parts[:2])
