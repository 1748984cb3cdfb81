"""A probe is a real request: by the platform's path and signature, for a model that the account has."""

import json
from typing import Any

import pytest

from gateway.core.domain import Account
from gateway.core.secret import Secret
from gateway.platforms import PLATFORMS
from gateway.upstream import DialFailed, probe
from tests.upstream.scene import Scene, read_request, scene

SECRET = "sk-ant-canary-of-the-probe-0123456789"


def account(platform: str = "openai", base_url: str = "http://127.0.0.1:9", **more: Any) -> Account:
    return Account("acct_x", "ten_x", "n", platform, base_url, {"api_key": Secret(SECRET)}, **more)


@pytest.mark.parametrize(
    ("models", "model_map", "known"),
    [
        ((), {}, []),
        (("claude-*", "gpt-?", "o[13]"), {}, []),
        (("claude-*", "claude-x"), {}, ["claude-x"]),
        (("claude-x",), {"*": "y", "mine": "theirs"}, ["mine", "claude-x"]),
    ],
)
def test_known_models(models: tuple[str, ...], model_map: dict[str, str], known: list[str]):
    assert probe.known_models(account(models=models, model_map=model_map)) == known


@pytest.mark.parametrize(("status", "ok"), [(200, True), (401, False), (302, False), (503, False)])
async def test_a_probe(status: int, ok: bool):
    asked: list[tuple[bytes, bytes]] = []

    async def handle(reader: Any, writer: Any) -> None:
        asked.append(await read_request(reader))
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\nretry-after: 7\r\n\r\n{{}}".encode())
        await writer.drain()
        await reader.read()

    async with scene(handle) as there:
        one = account("openai", there.url, model_map={"mine": "theirs"})
        probed = await probe.run(there.upstream, PLATFORMS["openai"], one, "mine")
    assert (probed.ok, probed.status, probed.model, probed.words) == (ok, status, "mine", "{}")
    assert probed.headers["retry-after"] == "7"
    ((head, body),) = asked
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1") and SECRET.encode() in head
    assert json.loads(body)["model"] == "theirs"


async def test_what_cannot_be_asked(there: Scene):
    for one, model in ((account("ollama"), None), (account("gemini"), "..")):
        with pytest.raises(probe.NoProbe) as refused:
            await probe.run(there.upstream, PLATFORMS[one.platform], one, model)
        assert refused.value.model


async def test_nobody_there(there: Scene):
    probed = await probe.run(there.upstream, PLATFORMS["openai"], account(), None)
    assert (probed.ok, probed.status, probed.model) == (False, 0, probe.cheap_model(PLATFORMS["openai"]))
    assert isinstance(probed.failure, DialFailed)
    assert "refused" in probed.words


@pytest.fixture
async def there():
    async def handle(reader: Any, writer: Any) -> None:
        writer.close()

    async with scene(handle) as made:
        yield made
