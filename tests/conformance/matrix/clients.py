"""The five vendors' clients, by the protocol that they speak."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.conformance.matrix import chat, claude, google, llama, responses
from tests.conformance.matrix.said import Protocol, Said, Talk
from tests.conformance.matrix.wires import Wire

_MODULES: dict[str, Any] = {
    "anthropic": claude,
    "openai_chat": chat,
    "openai_responses": responses,
    "gemini": google,
    "ollama": llama,
}


class Client:
    """`fault`: what it raises for an error of the other side."""

    def __init__(self, protocol: Protocol, sdk: Any, wires: list[Wire]) -> None:
        self.protocol = protocol
        self.fault: type[Exception] = _MODULES[protocol].FAULT
        self._sdk = sdk
        self.wires = wires

    async def ask(self, talk: Talk, stream: bool) -> Said:
        self.wires.clear()
        return await self._sdk.ask(talk, stream)

    @property
    def wire(self) -> Wire:
        """Of the last answer."""
        return self.wires[-1]


@asynccontextmanager
async def speaking(protocol: Protocol, url: str, key: str = "k", **how: Any) -> AsyncGenerator[Client]:
    assert urlsplit(url).hostname == "127.0.0.1"
    wires: list[Wire] = []
    sdk = _MODULES[protocol].Client(url, key, wires, **how)
    try:
        yield Client(protocol, sdk, wires)
    finally:
        await sdk.close()
