"""Any client, any account, through a whole gateway: every recorded answer of the providers, and every kind of request
to the sandbox, by the vendors' own SDKs. What a client is sent obeys the grammar of its protocol and the types of its
vendor; what an upstream is sent, the types of its own.

`python -m tests.conformance.matrix` prints which test proves what.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack

import ollama
import pytest
import pytest_asyncio
from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import target
from gateway.platforms.platform import Platform, Speech
from gateway.relay import exchange
from gateway.routing import speaking
from gateway.translation.losses import TABLES
from tests.conformance.matrix import clients, kept, recorded, wires
from tests.conformance.matrix.cells import Collector
from tests.conformance.matrix.clients import Client
from tests.conformance.matrix.provider import Provider, providing
from tests.conformance.matrix.recorded import FILES, needs_fixtures
from tests.conformance.matrix.said import PROTOCOLS, Protocol, Said, Talk
from tests.conformance.matrix.scripts import NAMES, SCRIPTS, Run
from tests.support.installation import Site, installation
from tests.translation import grammar_gemini, grammar_ollama

ACCOUNTS = {
    "anthropic": ("claude-console", "", {}),
    "openai_chat": ("openai", "", {"protocols": ["openai_chat"]}),
    "openai_responses": ("openai-responses", "/v1", {}),
    "gemini": ("gemini", "", {}),
    "ollama": ("ollama", "/ollama", {}),
}
"""Of each upstream's protocol the platform, the base below the provider's address, the options."""
ERRORS = frozenset({"anthropic.messages", "openai.chat", "openai.responses"})
"""Files with recorded errors."""
QUICK = {"stream_idle": 0.4}
"""Seconds."""
WIDTH = 6
"""Requests at once."""


class Scene(Struct):
    site: Site
    provider: Provider
    read: dict[str, Said] = {}
    """What its own client read of a recording, by its id."""

    keys: dict[str, str] = {}

    async def key(self, upstream: str, quick: bool = False) -> str:
        """Of a new account."""
        platform, below, options = ACCOUNTS[upstream]
        given = {"base_url": self.provider.url + below, "options": options, "timeouts": QUICK if quick else {}}
        account = await self.site.account(platform, **given)
        return await self.site.key(account_id=account)

    async def shared(self, upstream: str) -> str:
        if upstream not in self.keys:
            self.keys[upstream] = await self.key(upstream)
        return self.keys[upstream]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    """What fails is told at once: trying again has tests of its own."""
    async with installation(database_url, redis_url, environ={"POOLGATE_MAX_ATTEMPTS": "1"}) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(site: Site) -> AsyncGenerator[Scene]:
    async with providing() as provider:
        yield Scene(site, provider)


async def everyone(jobs: Iterable[Callable[[Client], Awaitable[list[str]]]], clients: list[Client]) -> list[str]:
    """Each by one of the clients, as they are free; the faults of all."""
    waiting, faults = list(reversed(list(jobs))), []

    async def work(client: Client) -> None:
        while waiting:
            faults.extend(await waiting.pop()(client))

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(work(client))
    return faults


async def several(stack: AsyncExitStack, protocol: Protocol, url: str, key: str, strict: bool) -> list[Client]:
    how = {"strict": strict} if protocol.startswith("openai") else {}
    return [await stack.enter_async_context(clients.speaking(protocol, url, key, **how)) for _ in range(WIDTH)]


# ---------------------------------------------------------------- recorded answers


@needs_fixtures
@pytest.mark.parametrize(
    ("file", "client"), [(file, client) for file, spoken in FILES.items() for client in PROTOCOLS if client != spoken]
)
async def test_every_recorded_answer(scene: Scene, file: str, client: Protocol) -> None:
    upstream = FILES[file]
    key = await scene.shared(upstream)
    models = {one.id: scene.provider.tell(one) for one in recorded.recordings(file)}

    def compared(one: recorded.Recording) -> Callable[[Client], Awaitable[list[str]]]:
        async def work(reader: Client) -> list[str]:
            try:
                said = await reader.ask(Talk(models[one.id]), one.stream)
                expected = kept.told(recorded.original(one, scene.read[one.id], said), client)
                found = [str(each) for each in expected.differing(said).items()]
                found += wires.faults(client, reader.wire)
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            return [f"{one.id}: {fault}" for fault in found]

        return work

    async with AsyncExitStack() as stack:
        own = await several(stack, upstream, scene.provider.url, "k", strict=False)
        await everyone([_read(scene, one, models[one.id]) for one in recorded.recordings(file)], own)
        others = await several(stack, client, scene.site.url, key, strict=True)
        faults = await everyone([compared(one) for one in recorded.recordings(file)], others)
    assert not faults, "\n".join(faults[:20])
    assert len(models) > 15


def _read(scene: Scene, one: recorded.Recording, model: str) -> Callable[[Client], Awaitable[list[str]]]:
    async def work(reader: Client) -> list[str]:
        if one.id not in scene.read:
            scene.read[one.id] = await reader.ask(Talk(model), one.stream)
        return []

    return work


@needs_fixtures
@pytest.mark.parametrize(
    ("file", "client"),
    [(file, client) for file, spoken in FILES.items() for client in PROTOCOLS if client != spoken and file in ERRORS],
)
async def test_every_recorded_error(scene: Scene, file: str, client: Protocol) -> None:
    """It is the client's own exception, with what the upstream said, unless that was of the account."""
    found = recorded.errors(file)
    assert found
    for one in found:
        key = await scene.key(FILES[file])
        async with clients.speaking(client, scene.site.url, key) as sdk:
            with pytest.raises(sdk.fault) as caught:
                await sdk.ask(Talk(scene.provider.tell(one)), one.stream)
            assert wires.faults(client, sdk.wire) == [], one.id
            said = json.loads(one.response).get("error", {}).get("message") if not one.stream else None
            if not one.stream:
                assert sdk.wire.status == (503 if "quota" in one.response else one.status), one.id
            if said and sdk.wire.status == 400:
                assert said[:60] in str(caught.value), one.id


def test_what_clients_are_not_told_is_named_in_the_table() -> None:
    for client, changes in kept.LOST.items():
        assert set(changes) <= {row.name for row in TABLES[client][1] if row.way == "to its clients"}, client


# ---------------------------------------------------------------- the sandbox's scripts

DIRECTIONS = [
    (client, upstream, name, stream)
    for name, script in SCRIPTS.items()
    for upstream in PROTOCOLS
    for client in PROTOCOLS
    for stream in script.forms
    if client in script.clients and upstream in script.upstreams and not (script.foreign and client == upstream)
]


@pytest.fixture(scope="module", autouse=True)
def old_ollama() -> Iterator[None]:
    """A server with its own API alone, as before 0.13: so that there are translations to it from all protocols."""

    def own(platform: Platform, account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
        if platform.name == "ollama" and protocol != "ollama":
            return Speech.NONE
        return target.speech(platform, account, model, protocol, operation, stream)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speaking, "speech", own)
        yield


@pytest.mark.parametrize(
    ("client", "upstream", "script", "stream"),
    DIRECTIONS,
    ids=["-".join((*row[:3], "stream" if row[3] else "whole")) for row in DIRECTIONS],
)
async def test_a_script(scene: Scene, client: Protocol, upstream: Protocol, script: str, stream: bool) -> None:
    chosen = SCRIPTS[script]
    key = await (scene.key(upstream, chosen.quick) if chosen.alone else scene.shared(upstream))
    how = {"strict": client != upstream} if client.startswith("openai") else {}
    async with clients.speaking(client, scene.site.url, key, **how) as sdk:
        await chosen.run(Run(sdk, upstream, scene.provider, stream))


# ---------------------------------------------------------------- further forms of a protocol

FOREIGN = [(upstream, script) for upstream in PROTOCOLS for script in ("echo", "tokens-30-late-error-500")]


@pytest.mark.parametrize(("upstream", "script"), [row for row in FOREIGN if row[0] != "gemini"])
async def test_a_json_array_to_geminis_clients(scene: Scene, upstream: Protocol, script: str) -> None:
    """A stream without `alt=sse`; no client of the vendor's asks for one."""
    asked = {"contents": [{"role": "user", "parts": [{"text": "one two thrée"}]}]}
    path = f"/v1beta/models/{NAMES[upstream]}-sandbox-{script}:streamGenerateContent"
    key = await scene.key(upstream)
    got = await scene.site.http.post(path, headers={"x-goog-api-key": key}, json=asked)
    assert (got.status_code, got.headers["content-type"]) == (200, "application/json; charset=UTF-8")
    assert grammar_gemini.check(got.content) == []
    answers = got.json()
    if "error" in script:
        assert answers[-1]["error"]["code"] == 500
        return
    parts = [part for one in answers for part in one["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts) == "one two thrée"
    assert answers[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("upstream", [each for each in PROTOCOLS if each != "ollama"])
async def test_generate_to_ollamas_clients(scene: Scene, upstream: Protocol, stream: bool) -> None:
    kept_wires: list[wires.Wire] = []
    header = {"authorization": f"Bearer {await scene.shared(upstream)}"}
    way = wires.Transport(kept_wires)
    model = f"{NAMES[upstream]}-sandbox-echo"
    async with ollama.AsyncClient(scene.site.url, headers=header, transport=way, trust_env=False) as client:
        if stream:
            answers = [one async for one in await client.generate(model, "one two thrée", system="s", stream=True)]
        else:
            answers = [await client.generate(model, "one two thrée", system="s")]
    assert "".join(one.response for one in answers) == "one two thrée"
    assert (answers[-1].done, answers[-1].done_reason, answers[-1].eval_count) == (True, "stop", 3)
    body = kept_wires[-1].body
    assert grammar_ollama.check(body if stream else body + b"\n", "generate") == []


PINGS = {"anthropic": b"event: ping", "openai_chat": b": ping", "openai_responses": b": ping", "gemini": b"\n\n\n"}


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_silence(scene: Scene, client: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps a stream alive is read over by the client."""
    monkeypatch.setattr(exchange, "PING_SECONDS", 0.05)
    upstream: Protocol = "gemini" if client == "anthropic" else "anthropic"
    async with clients.speaking(client, scene.site.url, await scene.shared(upstream)) as sdk:
        said = await sdk.ask(Talk(f"{NAMES[upstream]}-sandbox-tokens-8-stall-after-5-300ms"), True)
        assert (len(said.text.split()), said.stop) == (8, "end")
        assert wires.faults(client, sdk.wire) == []
        assert PINGS.get(client, b"") in sdk.wire.body


def test_every_cell_of_the_matrix_has_its_test(request: pytest.FixtureRequest) -> None:
    """By what is collected here, not by what anybody says of it."""
    found = Collector()
    found.pytest_collection_modifyitems([item for item in request.session.items if item.path == request.path])
    if len(found.cells) > 1:  # not where some of the tests are chosen
        assert found.missing() == []
