"""A server of Ollama's behind: chat, embeddings, Responses and Anthropic's messages by its own `/v1`, with and without
a key. The vendor's SDKs do not know the difference."""

from typing import Any

import anthropic
import httpx
import openai
import pytest
import pytest_asyncio

from tests.conformance.upstream import Told, Upstream
from tests.support.installation import Site

WORDS: Any = [{"role": "user", "content": "Hello there"}]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["none", "key"])
async def key(site: Site, request: Any) -> str:
    credentials = {"api_key": "ollama-cloud-0009"} if request.param == "key" else {}
    account = await site.account(
        "ollama", credentials=credentials, models=["gemma3:12b"], model_map={"gemma3:12b": "sandbox-echo"}
    )
    return await site.key(account_id=account, platforms=["ollama"])


async def test_openais_protocols(site: Site, key: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as gpt:
        stream = await gpt.chat.completions.create(model="gemma3:12b", messages=WORDS, stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there"
        assert all(chunk.usage is None for chunk in chunks)
        assert len((await gpt.embeddings.create(model="gemma3:12b", input=["a", "b"])).data) == 2
        assert (await gpt.responses.create(model="ollama,gemma3:12b", input="Hello there")).output_text == "Hello there"
    assert [one.target for one in site.sandbox.requests()[-3:]] == [
        "/ollama/v1/chat/completions",
        "/ollama/v1/embeddings",
        "/ollama/v1/responses",
    ]


async def test_anthropics_protocol(site: Site, key: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key=key, max_retries=0) as claude:
        async with claude.messages.stream(model="gemma3:12b", max_tokens=99, messages=WORDS) as stream:
            assert "".join([piece async for piece in stream.text_stream]) == "Hello there"
        with pytest.raises(anthropic.BadRequestError):  # Ollama does not count
            await claude.messages.count_tokens(model="gemma3:12b", messages=WORDS)


@pytest.mark.parametrize(("credentials", "sent"), [({}, []), ({"api_key": "abcd"}, [("authorization", "Bearer abcd")])])
async def test_what_is_signed(site: Site, told: Upstream, credentials: dict[str, str], sent: list[Any]) -> None:
    account = await site.account("ollama", credentials=credentials, base_url=told.url, models=["answer-*"])
    key = await site.key(account_id=account)
    model = told.tell(Told(200, "application/json", [b"{}"], length=True))
    async with httpx.AsyncClient(base_url=site.url) as client:
        for header in ({"authorization": f"Bearer {key}"}, {"api-key": key}, {"x-api-key": key}):
            got = await client.post("/v1/chat/completions", headers=header, json={"model": model})
            assert got.status_code == 200
            found = [pair for pair in told.seen[-1].headers if pair[0] in {"authorization", "api-key", "x-api-key"}]
            assert found == sent


@pytest.mark.parametrize(
    ("status", "message", "expected", "scope"),
    [
        (404, 'model "x" not found, try pulling it first', (404, "model_not_found"), "model"),
        (500, "model requires more system memory (9 GiB) than is available (1 GiB)", (502, "upstream_error"), "model"),
        (503, "server busy, please try again.  maximum pending requests exceeded", (503, "no_account"), "family"),
        (400, "registry.ollama.ai/library/x does not support tools", (400, None), None),
    ],
)
async def test_errors(
    site: Site, told: Upstream, status: int, message: str, expected: tuple[int, str | None], scope: str | None
) -> None:
    account = await site.account("ollama", credentials={}, base_url=told.url, models=["answer-*"])
    key = await site.key(account_id=account)
    error = {"error": {"message": message, "type": "api_error", "param": None, "code": None}}
    model = told.tell(Told(status, "application/json", [httpx.Response(status, json=error).content], length=True))
    async with httpx.AsyncClient(base_url=site.url, headers={"x-api-key": key}, timeout=30) as client:
        got = await client.post("/v1/chat/completions", json={"model": model, "messages": WORDS})
    assert (got.status_code, got.json()["error"]["code"]) == expected
    states = site.gate.states.scopes(account)
    assert {name.partition(":")[0] for name in states} == ({scope} if scope else set())
