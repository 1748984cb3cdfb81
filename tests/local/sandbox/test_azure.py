"""Azure's form, as the vendor's own client reads it, and what it refuses."""

import httpx
import openai
import pytest

from gateway.local.sandbox.azure import FIRST, fault, headers, verify
from gateway.local.sandbox.dialect import Fault
from gateway.local.sandbox.server import Request

HELLO = [{"role": "user", "content": "say hello"}]
CHAT = "/openai/deployments/d/chat/completions"


@pytest.fixture
async def azure(sandbox):
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=sandbox.url, api_key="azure-abcd", api_version="2025-04-01-preview", max_retries=0
    ) as client:
        yield client


async def test_a_stream_begins_with_the_filters_word(azure):
    stream = await azure.chat.completions.create(model="sandbox-echo", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices == []
    assert chunks[0].model_extra["prompt_filter_results"][0]["prompt_index"] == 0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:]) == "say hello"


async def test_the_bytes_of_a_stream(sandbox):
    async with httpx.AsyncClient(base_url=sandbox.url, headers={"api-key": "k"}) as client:
        asked = {"messages": HELLO, "stream": True}
        got = await client.post(f"{CHAT}?api-version=2024-10-21", json=asked)
        assert (got.status_code, got.content.startswith(FIRST)) == (200, True)
        assert not any(name.startswith("openai-") for name in got.headers)
        plain = await client.post("/v1/chat/completions", json={"model": "d", **asked})
        assert plain.content.count(b"prompt_filter_results") == 0


async def test_the_deployment_is_the_model(sandbox, azure):
    answer = await azure.chat.completions.create(model="a b/ü", messages=HELLO)
    assert answer.model == "a b/ü"
    assert (await azure.responses.create(model="gpt-x", input="hello")).output_text
    assert (await azure.embeddings.create(model="embed", input="x")).data
    paths = [row.path for row in sandbox.bill().rows]
    assert paths[1:] == ["/openai/responses", "/openai/deployments/embed/embeddings"]


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("sandbox-error-429-retry-after-3", openai.RateLimitError, "429"),
        ("sandbox-error-429-quota", openai.RateLimitError, "insufficient_quota"),
        ("sandbox-error-404", openai.NotFoundError, "DeploymentNotFound"),
        ("sandbox-error-403", openai.PermissionDeniedError, "403"),
        ("sandbox-error-500", openai.InternalServerError, "InternalServerError"),
    ],
)
async def test_errors_are_azures(azure, model, kind, code):
    with pytest.raises(kind) as caught:
        await azure.chat.completions.create(model=model, messages=HELLO)
    assert caught.value.code == code
    assert caught.value.response.headers["apim-request-id"]


def test_when_to_come_again():
    assert "retry-after: 3\r\nretry-after-ms: 3000\r\n" in headers("r", Fault(429, retry_after=3))
    assert b"retry after 3 seconds" in fault(Fault(429, retry_after=3), "r")
    assert "retry-after: 10\r\n" in headers("r", Fault(429))
    assert "retry-after" not in headers("r", Fault(500))


@pytest.mark.parametrize(
    ("target", "header", "status"),
    [
        (f"{CHAT}?api-version=2024-10-21", ("api-key", "k"), 200),
        (f"{CHAT}?x=1&api-version=2024-10-21", ("authorization", "Bearer at-7-sandbox"), 200),
        (f"{CHAT}?api-version=2024-10-21", ("authorization", "Bearer k"), 401),
        (f"{CHAT}?api-version=2024-10-21", ("x-api-key", "k"), 401),
        (CHAT, ("api-key", "k"), 400),
        (f"{CHAT}?api-version=1&api-version=2", ("api-key", "k"), 400),
        ("/openai/responses", ("api-key", "k"), 400),
        ("/openai/responses?api-version=1", ("api-key", "k"), 200),
        ("/openai/v1/responses", ("api-key", "k"), 200),
        ("/openai/v1/responses", ("authorization", "Bearer k"), 200),
    ],
)
def test_verify(target, header, status):
    found = verify(Request("POST", target, [header], b"", True))
    assert (found.status if found else 200) == status


async def test_what_is_refused_is_said_in_azures_words(sandbox):
    async with httpx.AsyncClient(base_url=sandbox.url) as client:
        asked = {"messages": HELLO}
        no_version = await client.post(CHAT, json=asked, headers={"api-key": "k"})
        assert (no_version.status_code, no_version.json()["error"]["code"]) == (400, "BadRequest")
        no_key = await client.post(f"{CHAT}?api-version=1", json=asked)
        assert (no_key.status_code, no_key.json()["error"]["code"]) == (401, "401")
