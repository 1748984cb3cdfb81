"""One sandbox and one client of each official SDK for the whole folder; bill and rules are empty for each test."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from gateway.local.sandbox import Running, running


@pytest.fixture(scope="session")
async def provider() -> AsyncGenerator[Running]:
    async with running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(provider: Running) -> Running:
    provider.bill().clear()
    provider.rules([])
    provider.sandbox.seen.clear()
    return provider


@pytest.fixture(scope="session")
async def claude(provider: Running) -> AsyncGenerator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-ant-1234", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
async def gpt(provider: Running) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="sk-5678", max_retries=0) as client:
        yield client


@asynccontextmanager
async def gemini_client(url: str, key: str = "AIza9abc") -> AsyncGenerator[genai.Client]:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
    try:
        yield client
    finally:
        await client.aio.aclose()
        client.close()


@pytest.fixture(scope="session")
async def google(provider: Running) -> AsyncGenerator[genai.Client]:
    async with gemini_client(provider.url) as client:
        yield client
