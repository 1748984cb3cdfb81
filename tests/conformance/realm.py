"""A tenant with groups, written by the real admin API, and accounts at a provider that keeps what it was sent."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from admin.bootstrap import OWNER, bootstrap
from admin.resources import open_resources
from gateway.core import models as m
from gateway.local.sandbox import Rule
from gateway.local.sandbox.server import Request
from tests.admin.conftest import Api, serving, token_of
from tests.conformance.matrix.provider import Provider
from tests.relay.world import World
from tests.support.installation import Site

ACCOUNTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "anthropic": ("claude-console", "", {}),
    "openai_chat": ("openai", "", {"options": {"protocols": ["openai_chat"]}}),
    "openai_responses": ("openai-responses", "/v1", {}),
    "gemini": ("gemini", "", {}),
    "ollama": ("ollama", "/ollama", {"credentials": {}}),
}
"""Of each upstream's protocol the platform, the base below the provider's address, and what its account needs."""
PATHS = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "gemini": "/v1beta/models/{model}:{action}",
    "ollama": "/api/chat",
}
_ENDS = {**PATHS, "gemini": "/models/"}


@asynccontextmanager
async def operating(site: Site) -> AsyncGenerator[Api]:
    """The control plane of a site that has no user yet, and its owner."""
    assert await bootstrap(site.settings) is not None
    async with open_resources(site.settings) as resources:
        token = await token_of(resources, OWNER)
    async with serving(site.settings) as url, Api(url, token) as api:
        yield api


class Realm(World):
    def __init__(self, world: World, root: Api, provider: Provider) -> None:
        super().__init__(world.site, world.tenant_id)
        self.root = root
        self.provider = provider

    async def at(self, upstream: str, **fields: Any) -> str:
        """An account that speaks this protocol alone."""
        platform, below, needs = ACCOUNTS[upstream]
        return await self.account(platform, base_url=self.provider.url + below, **{**needs, **fields})

    async def group(self, name: str, *, told: bool = True, **fields: Any) -> str:
        """Its id. `told`: the gateways read it now; otherwise they find out by themselves."""
        body = {"name": name, "tenant_id": self.tenant_id, **fields}
        made = await self.root("POST /groups", body, expect=201)
        if told:
            await self.site.reload()
        return made["id"]

    def script(self, *rules: Rule) -> None:
        self.provider.sandbox.rules.replace(rules)

    async def message(self, key: str, model: str, prefix: str = "/team", **more: Any) -> httpx.Response:
        """By Anthropic's protocol."""
        return await self.ask(key, model, prefix + PATHS["anthropic"], **{"max_tokens": 64, **more})

    async def post(
        self, key: str, path: str, body: Any, *, prefix: str = "", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """`body`: bytes go as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"x-api-key": key, "content-type": "application/json", "anthropic-version": "2023-06-01"}
        given |= headers or {}
        return await self.site.http.post(prefix + path, headers=given, content=content)

    async def said(self, protocol: str, key: str, body: Any, *, stream: bool = False, **more: Any) -> httpx.Response:
        """The body of a generation, as this protocol sends it: the model of Gemini's is in the path."""
        body, path = dict(body), PATHS[protocol]
        if protocol == "gemini":
            action = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path = path.format(model=body.pop("model"), action=action)
        else:
            body["stream"] = stream
        answer = await self.post(key, path, body, **more)
        assert answer.status_code == 200, answer.text
        return answer

    async def row_of(self, answer: httpx.Response) -> m.Request:
        return await self.site.row(answer.headers["x-request-id"])

    @property
    def heard(self) -> Request:
        """What came to the provider last."""
        return self.provider.requests[-1]

    @property
    def spoken(self) -> str:
        """The protocol in which the provider was asked last."""
        path = self.heard.path
        return next(name for name, end in _ENDS.items() if path.endswith(end) or (name == "gemini" and end in path))

    @property
    def model(self) -> str:
        """Which model the provider was asked for last."""
        _, found, rest = self.heard.path.partition("/models/")
        return rest.rpartition(":")[0] if found else json.loads(self.heard.body)["model"]


def simple(protocol: str, model: str) -> dict[str, Any]:
    """The least that is sent in this protocol."""
    match protocol:
        case "gemini":
            return {"model": model, "contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
        case "openai_responses":
            return {"model": model, "input": "Hello"}
        case _:
            limit = {"max_tokens": 64} if protocol == "anthropic" else {}
            return {"model": model, **limit, "messages": [{"role": "user", "content": "Hello"}]}
