"""An account is tested by one real request; what the upstream says is cleaned and cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.local.sandbox import running
from tests.admin.conftest import Api

SECRET = "sk-ant-canary-of-the-probe-0123456789"
NAMES = iter(range(1000))


def draft(**more: Any) -> dict[str, Any]:
    name = f"probed {next(NAMES)}"
    return {"name": name, "platform": "claude-official", "credentials": {"api_key": SECRET}, **more}


class Upstream:
    """Answers each request with the bytes it was given, and keeps what it read."""

    def __init__(self) -> None:
        self.answer = b""
        self.read = b""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.read = head + await reader.readexactly(length)
        writer.write(self.answer)
        writer.close()
        await writer.wait_closed()

    def says(self, status: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.answer = head.encode() + b"connection: close\r\n\r\n" + body


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


async def test_an_account_is_tested_by_a_real_request(root: Api, upstream: Upstream):
    made = await root("POST /accounts", draft(base_url=upstream.url, model_map={"mine": "theirs"}), expect=201)
    upstream.says("200 OK", b'{"type":"message"}')
    result = await root(f"POST /accounts/{made['id']}/test")
    assert (result["ok"], result["status"], result["model"]) == (True, 200, "mine")
    assert result["latency_ms"] >= 0 and result["message"] == '{"type":"message"}'
    head, _, body = upstream.read.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages HTTP/1.1") and SECRET.encode() in head
    assert json.loads(body)["model"] == "theirs"
    (noted, _) = (await root("GET /audit", target=made["id"]))["data"]
    assert noted["action"] == "accounts.test" and noted["tenant_id"] == made["tenant_id"]
    assert noted["after"] == {"ok": result["ok"], "status": result["status"], "model": result["model"]}
    result = await root(f"POST /accounts/{made['id']}/test", {"model": "claude-x"})
    assert json.loads(upstream.read.partition(b"\r\n\r\n")[2])["model"] == "claude-x" == result["model"]


async def test_the_upstreams_words_are_cleaned_and_cut(root: Api, upstream: Upstream):
    made = await root("POST /accounts", draft(base_url=upstream.url), expect=201)
    words = (
        b'{"error":"bad key ' + SECRET.encode() + b" or sk-proj-AbCdEf0123456789\x1b[31m\r\n\xe2\x80\xae" + b"x" * 900
    )
    upstream.says("401 Unauthorized", words)
    result = await root(f"POST /accounts/{made['id']}/test")
    assert (result["ok"], result["status"], len(result["message"])) == (False, 401, 500)
    for hidden in (SECRET, "sk-proj-AbCdEf", "\x1b", "\n", "\u202e"):
        assert hidden not in result["message"]
    assert "bad key [secret] or [secret]" in result["message"]


async def test_an_upstream_that_is_not_there_or_not_allowed(root: Api, upstream: Upstream):
    for base_url in ("http://127.0.0.1:9", "http://10.255.255.1", "https://no-such-host.invalid"):
        made = await root("POST /accounts", draft(base_url=base_url), expect=201)
        result = await root(f"POST /accounts/{made['id']}/test")
        assert (result["ok"], result["status"]) == (False, None)
        assert result["message"]


async def test_credentials_that_have_ended_are_renewed_for_the_test(root: Api, upstream: Upstream):
    async with running() as sandbox:
        held = {"access_token": "at-old", "refresh_token": "rt-probe", "expires_at": 1_000_000_000}
        options = {"token_url": sandbox.url + "/oauth/token", "client_id": "c"}
        asked = draft(base_url=upstream.url, credentials=held, options=options, models=["claude-x"])
        made = await root("POST /accounts", asked, expect=201)
        upstream.says("200 OK", b'{"type":"message"}')
        assert (await root(f"POST /accounts/{made['id']}/test"))["ok"]
        assert b"Bearer at-1-sandbox" in upstream.read
        asked = draft(base_url=upstream.url, credentials={**held, "refresh_token": "revoked"}, options=options)
        made = await root("POST /accounts", asked, expect=201)
        refused = await root(f"POST /accounts/{made['id']}/test", expect=409)
        assert "invalid_grant" in json.dumps(refused)
        assert "revoked" not in json.dumps(refused)
