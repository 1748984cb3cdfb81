"""A tenant of a test's own, so that no test sees another's accounts; and an upstream that answers with raw bytes."""

import asyncio
import json
import os
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.core.inspection import read_state
from gateway.core.services import keys, tenants
from gateway.core.services.reach import Reach
from tests.support.installation import Site

MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"


def body(model: str, path: str = MESSAGES, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
    if path == MESSAGES:
        asked = {"max_tokens": 64, **asked}
    return {**asked, "stream": True} if stream else asked


class World:
    """One tenant of the site."""

    def __init__(self, site: Site, tenant_id: str) -> None:
        self.site = site
        self.tenant_id = tenant_id

    @classmethod
    async def make(cls, site: Site, **values: Any) -> "World":
        async with site.sessions.begin() as session:
            tenant = await tenants.create(session, {"name": os.urandom(6).hex(), **values})
        await site.reload()
        return cls(site, tenant.id)

    async def key(self, **fields: Any) -> str:
        return (await self.new_key(**fields))[1]

    async def new_key(self, **fields: Any) -> tuple[str, str]:
        return await self.site.new_key(tenant_id=self.tenant_id, **fields)

    async def account(self, platform: str = "claude-console", **fields: Any) -> str:
        return await self.site.account(platform, tenant_id=self.tenant_id, **fields)

    async def change_key(self, key_id: str, values: dict[str, Any], *, told: bool = True) -> None:
        """`told`: the gateways read it now; otherwise they find out by themselves."""
        async with self.site.sessions.begin() as session:
            key = await keys.find(session, Reach(everything=True), key_id, lock=True)
            await keys.change(session, key, values)
        if told:
            await self.site.reload()

    async def ask(
        self,
        key: str,
        model: str = "sandbox-echo",
        path: str = MESSAGES,
        *,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        url: str = "",
        **more: Any,
    ) -> httpx.Response:
        asked = body(model, path, stream=stream, **more)
        return await self.site.http.post(url + path, headers={"x-api-key": key, **(headers or {})}, json=asked)

    async def state(self, account_id: str) -> dict[str, Any]:
        return await read_state(self.site.gate.redis, self.tenant_id, account_id)

    async def slots(self, account_id: str) -> int:
        return (await self.state(account_id))["in_flight"]

    async def heal(self) -> None:
        """Every account of this tenant is usable again."""
        gate = self.site.gate
        await gate.redis.delete(gate.prefix_of(self.tenant_id) + "state")
        for one in self.site.gateways:
            one.gate.states.replace({}, one.gate.states.written())
            one.gate.reached.clear()

    async def key_state(self, key: str, url: str = "") -> list[dict[str, Any]]:
        answer = await self.site.http.get(url + "/v1/key", headers={"x-api-key": key})
        return answer.json()["limits"]


def code_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    return error["code"] if isinstance(error["code"], str) else error["details"][0]["reason"].lower()


Said = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Asked:
    """A request as it came to the raw upstream."""

    def __init__(self, head: bytes, sent: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.target = lines[0].split(" ")[1]
        self.headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        self.header = dict(self.headers)
        self.body = sent
        self.credential = self.header.get("x-api-key") or self.header.get("authorization", "").removeprefix("Bearer ")


class Raw:
    """An upstream that says, for each credential, what it is told, in order; the last one again and again."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._says: dict[str, deque[Said]] = defaultdict(deque)
        self.connections: set[asyncio.StreamWriter] = set()

    def say(self, credential: str, *said: Said) -> None:
        self._says[credential] = deque(said)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                asked = Asked(head[:-4], await reader.readexactly(length))
                self.asked.append(asked)
                says = self._says[asked.credential]
                said = says.popleft() if len(says) > 1 else says[0]
                if isinstance(said, bytes):
                    writer.write(said)
                    await writer.drain()
                else:
                    await said(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            writer.transport.abort()


@asynccontextmanager
async def raw_upstream() -> AsyncGenerator[Raw]:
    raw = Raw()
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield raw
    finally:
        server.close()
        for writer in list(raw.connections):
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The connection ends without a byte."""
    raise ConnectionResetError


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Nothing is said until the other side leaves."""
    await reader.read()
    raise ConnectionResetError


def answer(status: int, content: Any = None, *headers: str, content_type: str = "application/json") -> bytes:
    data = content if isinstance(content, bytes) else json.dumps(content if content is not None else {}).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-type: {content_type}", f"content-length: {len(data)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + data


def anthropic_error(kind: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
OK = answer(200, MESSAGE)
