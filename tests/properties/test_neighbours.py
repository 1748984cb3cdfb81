"""One key's traffic can never take an account away from another key.

Whatever trouble a key's own requests meet, the next request of another key to the same account is served, if the
upstream would serve it. The exceptions are those of the contract and no more: words about the account itself, real
limits of the model's family, refusals by 401 and 403, overload where another account is left; and faults that two keys
met, or that one met while nobody else was served.
"""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.scripts import FAULT
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Kind, Scope
from tests.core.lua.scene import Scene
from tests.core.lua.scene import scene as make_scene
from tests.relay.world import CHAT, MESSAGES, OK, Raw, Said, World, answer, anthropic_error, drop, raw_upstream, silence
from tests.support.installation import Site, installation

SECRETS = ("sk-near-0001", "sk-near-0002", "sk-near-0003")
SONNET, OPUS, UNKNOWN = "claude-sonnet-x", "claude-opus-x", "claude-sonnet-nonesuch"
_numbers = itertools.count()
TIMEOUTS = {"connect": 5, "first_event": 0.15, "stream_idle": 0.15, "total": 0.15}


def error(status: int, kind: str = "api_error", message: str = "no") -> bytes:
    return answer(status, anthropic_error(kind, message))


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The head of a good answer, then the connection ends."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")
    await writer.drain()
    raise ConnectionResetError


FIRST_ERROR = answer(200, b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"no"}}\n\n', content_type="text/event-stream")  # fmt: skip  # noqa: E501

#: What a request can bring upon itself: none of it says anything of the account.
OWN_TROUBLE: dict[str, Said] = {
    "400": error(400, "invalid_request_error", "messages: at least one message is required"),
    "400 that quotes": error(400, "invalid_request_error", "Invalid value: 'your credit balance is too low'"),
    "404 of another model": error(404, "not_found_error", f"model: {UNKNOWN}"),
    "409": error(409),
    "413": error(413, "request_too_large"),
    "422": error(422),
    "content": answer(403, {"error": {"code": "content_filter", "message": "the account is fine, the text is not"}}),
    "unmet": error(429, "rate_limit_error", "Extra usage is required for long context requests."),
    "500": error(500),
    "502": answer(502, b"<html>bad gateway</html>", content_type="text/html"),
    "504": error(504, "timeout_error"),
    "408": error(408),
    "501": error(501),
    "redirect": answer(302, b"", "location: https://elsewhere.example/"),
    "not http": b"SSH-2.0-x\r\n\r\n",
    "error in the first event": FIRST_ERROR,
    "reset": drop,
    "reset halfway": half,
    "silence": silence,
}
"""By name, so that a failing sequence can be read. What is asked for is UNKNOWN where the answer is of that model."""
ONLY_STREAMS = {"error in the first event"}


# ---------------------------------------------------------------- what answers mean, and what counts


USERS_WORDS = (
    "your credit balance is too low",
    "This organization has been disabled.",
    "insufficient_quota",
    "API key not valid",
    "organization_disabled: your account has been suspended",
    "model not found in your account",
)
#: How upstreams repeat parts of a request.
ECHOES = (
    "Invalid value: '{}'. Supported values are: 'auto'.",
    'messages.0.content.0.text: "{}" is not allowed',
    "Unknown parameter: '{}'.",
    "tools.0.name: `{}` must match a pattern",
    "Error code: 400 - '{}'",
    "The model `{}` does not exist",
    "model: {}",
)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(PLATFORMS)),
    st.sampled_from((400, 403, 404, 408, 409, 413, 415, 422, 424, 429, 500, 501, 502, 503, 504, 529)),
    st.sampled_from(ECHOES),
    st.sampled_from(USERS_WORDS),
    st.sampled_from(("type", "code", "param")),
)
def test_nobodys_words_speak_of_the_account(platform: str, status: int, echo: str, words: str, field: str) -> None:
    said = {"message": echo.format(words), "type": "invalid_request_error", field: field}
    verdict = PLATFORMS[platform].judge(status, {}, json.dumps({"error": said}).encode(), 1000.0)
    if status in {400, 404, 409, 413, 415, 422}:
        mine = verdict.kind is Kind.CALLER or verdict.kind is Kind.ELSEWHERE or verdict.scope is Scope.MODEL
        assert mine, verdict
    assert verdict.kind is not Kind.DISABLE
    assert verdict.scope is not Scope.ACCOUNT or verdict.kind in {Kind.CALLER, Kind.ELSEWHERE}, verdict


WHO = st.sampled_from(("key_a", "key_a", "key_a", "key_b", "key_c"))
WHAT = st.sampled_from((200, 400, 413, 429, 500, 500, 500, 502, 504))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WHO, WHAT, st.integers(1, 3)), min_size=4, max_size=40))
async def test_a_breaker_opens_by_two_keys_or_where_nobody_else_is_served(
    scene: Scene, events: list[tuple[str, int, int]]
) -> None:
    """By the verdicts of the rules and the scripts of the store, event for event as it is restated here."""
    field = f"acct_{next(_numbers)}|family:sonnet"
    served: set[str] = set()
    faults: set[tuple[str, str]] = set()
    for number, (who, status, tries) in enumerate(events):
        request = f"req_{number}"
        verdict = PLATFORMS["claude-official"].judge(status, {}, b"{}", 1000.0)
        assert verdict.counts == (status in {500, 502, 504})
        if status == 200:
            await scene.settle(request, "acct", served=(field, who))
            served.add(who)
        for _ in range(tries if verdict.counts else 0):
            faults.add((who, request))
            opened = await scene.run(FAULT, field, request, who, time.time(), "0")
            two = len({key for key, _ in faults}) > 1
            opens = len(faults) >= 5 and (two or not served - {who})
            assert (opened is not None) is opens
            if opens:
                assert opened == [30, len(faults), int(two)]
                faults.clear()


async def test_thousands_in_a_row_of_one_key(scene: Scene) -> None:
    field = "acct_row|family:sonnet"
    await scene.settle("req", "acct", served=(field, "key_b"))
    found = await asyncio.gather(
        *(scene.run(FAULT, field, f"req_{at}", "key_a", time.time(), "0") for at in range(3000))
    )
    assert set(found) == {None}
    assert scene.redis.zcard(scene.name("faults:" + field)) <= 200, "what is kept of them is bounded"


# ---------------------------------------------------------------- end to end


@pytest_asyncio.fixture(loop_scope="session")
async def scene(redis_url: str) -> AsyncGenerator[Scene]:
    async with make_scene(redis_url) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url, jobs=False) as made:
        await made.start_gateway()
        await made.start_jobs()
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def world(site: Site) -> World:
    return await World.make(site)


@pytest_asyncio.fixture(loop_scope="session")
async def raw() -> AsyncGenerator[Raw]:
    async with raw_upstream() as made:
        yield made


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.001)


class Street:
    """Accounts that two keys share, on two gateways."""

    def __init__(self, world: World, raw: Raw, many: int) -> None:
        self.world, self.raw, self.secrets = world, raw, SECRETS[:many]
        self.accounts: list[str] = []
        self.keys: list[str] = []

    async def build(self) -> "Street":
        for secret in self.secrets:
            made = await self.world.account(
                secret=secret, base_url=self.raw.url, models=["claude-*"], timeouts=TIMEOUTS
            )
            self.accounts.append(made)
        self.keys = [await self.world.key(), await self.world.key()]
        return self

    def says(self, said: Said) -> None:
        for secret in self.secrets:
            self.raw.say(secret, said)

    async def ask(self, who: int, model: str, gateway: int, **more: object) -> httpx.Response:
        url = self.world.site.gateways[gateway].url
        return await self.world.ask(self.keys[who], model, url=url, **more)

    async def good(self, who: int, model: str = SONNET, gateway: int = 0) -> httpx.Response:
        self.says(OK)
        return await self.ask(who, model, gateway)

    async def bad(self, who: int, name: str, gateway: int = 0, *, stream: bool = False, many: int = 1) -> None:
        """Requests that bring trouble upon themselves, at once: whatever they are told, it is no answer."""
        self.says(OWN_TROUBLE[name])
        model = UNKNOWN if name == "404 of another model" else SONNET
        asking = (self.ask(who, model, gateway, stream=stream) for _ in range(many))
        for said in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(said, BaseException):
                assert isinstance(said, httpx.RemoteProtocolError), said
            else:
                assert said.status_code >= 400, (name, said.text)


COUNTED = ("500", "504", "reset", "not http")
CASES = [*((name, 1) for name in OWN_TROUBLE), *((name, 3) for name in COUNTED)]


@pytest.mark.parametrize(("name", "many"), CASES, ids=[f"{name}, of {many}" for name, many in CASES])
async def test_trouble_of_its_own_is_nobody_elses(world: World, raw: Raw, name: str, many: int) -> None:
    street = await Street(world, raw, many).build()
    for gateway in (0, 1):
        assert (await street.good(1, gateway=gateway)).status_code == 200
    await world.site.settled()
    for stream in (True,) if name in ONLY_STREAMS else (False, True):
        for gateway in (0, 1):
            for at_once in (1, 1, 7):
                await street.bad(0, name, gateway, stream=stream, many=at_once)
            served = await street.good(1, gateway=1 - gateway)
            assert served.status_code == 200, (name, stream, served.text)
    assert (await street.good(1, gateway=1)).status_code == 200


@pytest.mark.parametrize("name", ["500", "reset", "silence"])
async def test_whoever_is_served_at_one_gateway_is_no_less_so_at_the_other(world: World, raw: Raw, name: str) -> None:
    """The troubled key and the other never meet in one process."""
    street = await Street(world, raw, 1).build()
    assert (await street.good(1, gateway=1)).status_code == 200
    await world.site.settled()
    for at_once in (1, 1, 1, 7):
        await street.bad(0, name, 0, stream=True, many=at_once)
    for gateway in (1, 0, 1, 0):
        assert (await street.good(1, gateway=gateway)).status_code == 200


SENTENCES = (
    "Your credit balance is too low",
    "This organization has been disabled.",
    "API key not valid",
    "User location is not supported for the API use",
)


@pytest.mark.parametrize("sentence", SENTENCES)
async def test_a_name_is_no_verdict(world: World, raw: Raw, sentence: str) -> None:
    """Upstreams begin what they say with the name that they were asked for."""
    for platform, path in (("openai", CHAT), ("claude-console", MESSAGES)):
        await world.account(platform, secret=SECRETS[0], base_url=raw.url, models=["*"])
        bad, good = await world.key(), await world.key()
        for name in (sentence, sentence.replace(" ", "-"), f"models/{sentence}", f"claude,{sentence}", f"x/{sentence}"):
            said = {"error": {"message": f"{name.removeprefix('models/')} is not a valid model ID", "code": 400}}
            raw.say(SECRETS[0], answer(400, said))
            assert (await world.ask(bad, name, path)).status_code in {400, 404}
            raw.say(SECRETS[0], OK)
            assert (await world.ask(good, SONNET, path)).status_code == 200


async def test_clients_that_leave_take_nothing(world: World, raw: Raw) -> None:
    street = await Street(world, raw, 1).build()
    assert (await street.good(1)).status_code == 200
    street.says(silence)
    for stream in (True, False):
        for _ in range(8):
            asking = asyncio.ensure_future(street.ask(0, SONNET, 0, stream=stream))
            await asyncio.sleep(0.02)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert (await street.good(1)).status_code == 200


#: What may take an account from everybody, or a family of it: the contract's exceptions, each with the models that are
#: out afterwards where this was the only account.
EXCEPTIONS: dict[str, tuple[bytes, set[str]]] = {
    "credit": (error(400, "invalid_request_error", "Your credit balance is too low to access"), {SONNET, OPUS}),
    "disabled": (error(400, "invalid_request_error", "This organization has been disabled."), {SONNET, OPUS}),
    "401": (error(401, "authentication_error", "invalid x-api-key"), {SONNET, OPUS}),
    "402": (error(402), {SONNET, OPUS}),
    "403": (error(403, "permission_error", "not allowed"), {SONNET}),
    "429": (error(429, "rate_limit_error", "Too many requests"), {SONNET}),
    "429 of the account": (
        error(429, "rate_limit_error", "This would exceed your organization's limit"),
        {SONNET, OPUS},
    ),
    "404 of this model": (error(404, "not_found_error", f"model: {SONNET}"), {SONNET}),
    "529, of the last": (error(529, "overloaded_error"), set()),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
async def test_the_exceptions_are_these(world: World, raw: Raw, name: str) -> None:
    said, out = EXCEPTIONS[name]
    street = await Street(world, raw, 1).build()
    assert (await street.good(1)).status_code == 200
    street.says(said)
    assert (await street.ask(0, SONNET, 0)).status_code >= 400
    for model in (SONNET, OPUS):
        assert (await street.good(1, model)).status_code == (503 if model in out else 200)
