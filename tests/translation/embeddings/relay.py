"""A relay on a real socket that does nothing but translate: the vendors' SDKs ask it, the sandbox answers it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import ollama
import openai
from google import genai
from google.genai import types
from msgspec.structs import replace

from gateway.local.sandbox import Running, running
from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint
from gateway.routing.paths import match
from gateway.translation.embeddings import EMBEDDINGS

PATHS = {"gemini": "/v1beta/models/{model}:{action}", "ollama": "/api/embed", "openai_chat": "/v1/embeddings"}
KEYS = {"authorization": "Bearer sk-1234", "x-goog-api-key": "AIza9abc"}


def endpoint(protocol: str, action: str = "") -> Endpoint:
    found = [each for each in CODECS[protocol].endpoints if each.operation == "embed" and each.action == action]
    assert len(found) == 1
    return found[0]


class Relay:
    """Every account speaks `upstream`. `asked`: the paths that clients asked for."""

    def __init__(self, sandbox: Running) -> None:
        self.upstream = "openai_chat"
        self.asked: list[str] = []
        self._sandbox = sandbox

    async def answer(self, path: str, body: bytes) -> bytes:
        found = match("POST", path.encode())
        assert found.endpoint is not None
        client, server = EMBEDDINGS[found.endpoint.protocol], EMBEDDINGS[self.upstream]
        texts = client.parse(body, found.endpoint)
        built = server.build(replace(texts, model="embedding-of-the-upstream"))
        url = self._sandbox.url + PATHS[self.upstream].format(model="embedding-of-the-upstream", action=built.operation)
        async with httpx.AsyncClient() as http:
            said = await http.post(url, content=built.body, headers=KEYS | {"content-type": "application/json"})
        assert said.status_code == 200, said.text
        return client.write(texts, replace(server.read(said.content), elapsed=7))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            size = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:"))
            path = head[0].split()[1]
            self.asked.append(path)
            body = await self.answer(path, await reader.readexactly(size))
            kind = "content-type: application/json\r\nconnection: close"
            writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        finally:
            writer.close()


class Clients:
    """The same question of each SDK: its vectors."""

    def __init__(self, url: str, relay: Relay) -> None:
        self.url = url
        self.relay = relay
        self.openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)
        self.google = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url))
        self.ollama = ollama.AsyncClient(host=url)

    async def ask(self, client: str, texts: list[str], dimensions: int | None) -> list[list[float]]:
        more: dict[str, Any] = {} if dimensions is None else {"dimensions": dimensions}
        match client:
            case "openai":
                found = await self.openai.embeddings.create(model="m", input=texts, **more)
                assert (found.model, found.object, [each.index for each in found.data]) == (
                    "m",
                    "list",
                    [*range(len(texts))],
                )
                assert found.usage.prompt_tokens == found.usage.total_tokens > 0
                return [each.embedding for each in found.data]
            case "openai float":
                plain = await self.openai.embeddings.create(model="m", input=texts, encoding_format="float", **more)
                return [each.embedding for each in plain.data]
            case "genai":
                config = types.EmbedContentConfig(output_dimensionality=dimensions, task_type="RETRIEVAL_QUERY")
                told = await self.google.aio.models.embed_content(model="m", contents=texts, config=config)
                assert told.embeddings is not None
                assert told.usage_metadata is not None
                return [each.values or [] for each in told.embeddings]
            case _:
                said = await self.ollama.embed(model="m", input=texts, keep_alive="5m", **more)
                assert (said.model, said.total_duration) == ("m", 7)
                assert said.prompt_eval_count
                return [[*each] for each in said.embeddings]


@asynccontextmanager
async def relaying() -> AsyncGenerator[Clients]:
    async with running() as sandbox:
        relay = Relay(sandbox)
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        clients = Clients(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", relay)
        try:
            async with clients.openai:
                yield clients
        finally:
            await clients.google.aio.aclose()
            clients.google.close()
            await clients.ollama.close()
            server.close()
