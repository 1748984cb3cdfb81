"""Every recorded answer of a provider, and goldens of our own, arrive as they were sent, however they are cut."""

import asyncio
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct

from gateway.protocols import CODECS
from tests.conformance.conftest import FIXTURES
from tests.conformance.upstream import Told, Upstream
from tests.support.installation import Site
from tests.support.wire import Got, wire

GOLDENS = Path(__file__).parents[1] / "goldens"
SMALL, SMALL_STREAM = 4096, 16384
#: File → platform of the account, path that a client asks, Gemini's action.
WAYS = {
    "anthropic.messages": ("claude-console", "/v1/messages", ""),
    "anthropic.count_tokens": ("claude-official", "/v1/messages/count_tokens", ""),
    "openai.chat": ("openai", "/v1/chat/completions", ""),
    "openai.embeddings": ("openai", "/v1/embeddings", ""),
    "openai.responses": ("openai-responses", "/v1/responses", ""),
    "gemini.generateContent": ("gemini", "", "generateContent"),
    "gemini.streamGenerateContent": ("gemini", "", "streamGenerateContent"),
    "gemini.countTokens": ("gemini", "", "countTokens"),
    "gemini.embed": ("gemini", "", "batchEmbedContents"),
}


class Recorded(Struct, frozen=True):
    way: str
    id: str
    status: int
    content_type: str
    stream: bool
    body: bytes

    @property
    def small(self) -> bool:
        return len(self.body) <= (SMALL_STREAM if self.stream else SMALL)


def recordings(folder: Path, name: str) -> list[Recorded]:
    lines = (folder / f"{name}.jsonl").read_bytes().split(b"\n")
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines if line]
    return [
        Recorded(
            name, row["id"], row["status"] or 200, row["content_type"], row["stream"], row["response"].encode()
        )
        for row in rows
    ]  # fmt: skip


def asked(way: str, model: str, stream: bool) -> tuple[str, bytes]:
    """Path and body with which a client asks for this."""
    _, path, action = WAYS[way]
    if action:
        contents = [{"parts": [{"text": "x"}]}]
        batch = [{"model": f"models/{model}", "content": contents[0]}]
        body: dict[str, Any] = {"requests": batch} if action == "batchEmbedContents" else {"contents": contents}
        return f"/v1beta/models/{model}:{action}{'?alt=sse' if stream else ''}", json.dumps(body).encode()
    members: dict[str, Any] = {"model": model, "messages": [], "input": "x", "max_tokens": 9}
    if stream:
        members |= {"stream": True, "stream_options": {"include_usage": True}}
    return path, json.dumps(members).encode()


def random_cuts(body: bytes, seed: str) -> list[bytes]:
    dice = random.Random(seed)
    marks = sorted({0, len(body), *(dice.randrange(len(body) + 1) for _ in range(dice.randrange(1, 12)))})
    return [body[low:high] for low, high in pairwise(marks)]


def one_by_one(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


class Asker(Struct):
    site: Site
    told: Upstream
    keys: Mapping[str, str]
    """Each for one platform's account: another's would be asked by translation."""

    async def ask(self, recorded: Recorded, pieces: list[bytes], *, length: bool = False, pause: float = 0) -> Got:
        model = self.told.tell(Told(recorded.status, recorded.content_type, pieces, length))
        path, body = asked(recorded.way, model, recorded.stream)
        key = self.keys[WAYS[recorded.way][0]]
        async with wire(self.site.url, limit=1 << (14 if pause else 20)) as client:
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {len(body)}\r\n\r\n"
            await client.send(head.encode() + body)
            return await client.answer(pause=pause)

    async def check(self, recorded: Recorded, pieces: list[bytes], **how: Any) -> Got:
        got = await self.ask(recorded, pieces, **how)
        assert got.status == recorded.status, (recorded.id, got.body[:300])
        assert got.header("content-type") == recorded.content_type, recorded.id
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(recorded.body).digest(), recorded.id
        return got


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asker(site: Site, told: Upstream) -> Asker:
    keys: dict[str, str] = {}
    for platform in sorted({way[0] for way in WAYS.values()}):
        account = await site.account(platform, base_url=told.url, models=["answer-*"])
        keys[platform] = await site.key(account_id=account)
    return Asker(site, told, keys)


async def everyone(jobs: Iterator[Any], width: int = 16) -> None:
    """All of them, a few at a time, in order of their making."""

    async def work() -> None:
        for job in jobs:
            await job

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"the recorded answers of providers are not at {FIXTURES} (set POOLGATE_FIXTURES)"
)


def quota(recorded: Recorded) -> bool:
    """OpenAI's exhausted quota under a status 400: by its words the account's fault, and so never the client's."""
    return recorded.status == 400 and b"insufficient_quota" in recorded.body


def no_such_model(recorded: Recorded) -> bool:
    """Another account may have the model, so this goes on to the next; the last one's is told in our words."""
    return recorded.status == 404


def passing(name: str) -> list[Recorded]:
    return [one for one in recordings(FIXTURES, name) if not quota(one) and not no_such_model(one)]


@needs_fixtures
@pytest.mark.parametrize("name", WAYS)
async def test_every_recorded_answer_in_one_block(asker: Asker, name: str) -> None:
    await everyone(asker.check(one, [one.body], length=not one.stream) for one in passing(name))


@needs_fixtures
@pytest.mark.parametrize("name", WAYS)
async def test_every_recorded_answer_at_random_cuts(asker: Asker, name: str) -> None:
    await everyone(asker.check(one, random_cuts(one.body, one.id)) for one in passing(name))


@needs_fixtures
@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
async def test_every_small_recorded_answer_byte_for_byte(asker: Asker, name: str) -> None:
    await everyone((asker.check(one, one_by_one(one.body)) for one in passing(name) if one.small), 32)


@needs_fixtures
@pytest.mark.parametrize("name", WAYS)
async def test_every_recorded_answer_to_a_slow_client(asker: Asker, name: str) -> None:
    await everyone((asker.check(one, random_cuts(one.body, one.id), pause=0.001) for one in passing(name)), 32)


@needs_fixtures
async def test_an_exhausted_quota_is_never_shown(site: Site, told: Upstream) -> None:
    [one] = [one for one in recordings(FIXTURES, "openai.responses") if quota(one)]
    account = await site.account("openai-responses", base_url=told.url, models=["answer-*"], priority=9)
    keys = {"openai-responses": await site.key(account_id=account)}
    got = await Asker(site, told, keys).ask(one, [one.body], length=True)
    assert (got.status, b"billing" in got.body) == (503, False)


@needs_fixtures
@pytest.mark.parametrize("name", ["openai.chat", "openai.embeddings", "gemini.countTokens"])
async def test_a_model_that_the_account_lacks(asker: Asker, name: str) -> None:
    for one in filter(no_such_model, recordings(FIXTURES, name)):
        got = await asker.ask(one, [one.body], length=True)
        assert got.status == 404
        assert b"model_not_found" in got.body.lower()


@needs_fixtures
@pytest.mark.parametrize("name", [name for name in WAYS if "count" not in name.lower()])
async def test_recorded_usage_is_in_the_ledger(asker: Asker, site: Site, name: str) -> None:
    dice = random.Random(name)
    whole = [one for one in passing(name) if one.status == 200]
    _, path, action = WAYS[name]
    codec = next(codec for codec in CODECS.values() if any(path and one.path == path for one in codec.endpoints)
                 or (action and codec.name == "gemini"))  # fmt: skip
    endpoint = next(one for one in codec.endpoints if (one.action == action if action else one.path == path))
    for one in dice.sample(whole, min(4, len(whole))):
        reader = codec.reader(endpoint, one.stream)
        reader.feed(one.body)
        reader.close()
        got = await asker.check(one, random_cuts(one.body, one.id))
        row = await site.row(got.header("x-request-id") or "")
        if reader.usage is not None:
            found = (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.reasoning_tokens)
            usage = reader.usage
            assert found == (
                usage.input_tokens, usage.cache_read_tokens, usage.output_tokens, usage.reasoning_tokens
            ), one.id  # fmt: skip
            assert row.usage_source == "provider"


GOLDEN = sorted(GOLDENS.glob("*.jsonl"))
ALL_GOLDENS = [one for file in GOLDEN for one in recordings(GOLDENS, file.stem)]


def golden_id(one: Recorded) -> str:
    return one.id


@pytest.mark.parametrize("one", ALL_GOLDENS, ids=golden_id)
async def test_golden(asker: Asker, one: Recorded) -> None:
    await asker.check(one, [one.body], length=not one.stream)
    await asker.check(one, random_cuts(one.body, one.id))
    await asker.check(one, one_by_one(one.body))
    await asker.check(one, random_cuts(one.body, one.id), pause=0.001)


def test_each_protocol_has_goldens() -> None:
    assert {(one.way.partition(".")[0], one.stream) for one in ALL_GOLDENS} >= {
        (vendor, stream) for vendor in ("anthropic", "openai", "gemini") for stream in (False, True)
    }
