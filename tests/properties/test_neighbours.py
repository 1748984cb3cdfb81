"""One key's traffic can never take an account away from another key.

Whatever trouble a key's own requests meet, the next request of another key to the same account is served, if the upstream
would serve it. The exceptions are those of the contract and no more: words about the account itself, real limits of the
model's family, refusals by 401 and 403, overload where another account is left; and faults that two keys met, or that
one met while nobody else was served.
"""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from tests.relay.world import OK, Raw, Said, World, answer, anthropic_error, drop, raw_upstream, silence
from tests.support.installation import Site, installation

SECRETS = ("sk-near-0001", "sk-near-0002", "sk-near-0003")
SONNET, OPUS, UNKNOWN = "claude-sonnet-x", "claude-opus-x", "claude-sonnet-nonesuch"
TIMEOUTS = {"connect": 5, "first_event": 0.3, "stream_idle": 0.3, "total": 0.3}


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
        """Requests that bring trouble upon themselves; whatever they are told, it is no answer."""
        self.says(OWN_TROUBLE[name])
        model = UNKNOWN if name == "404 of another model" else SONNET
        for _ in range(many):
            said = await self.ask(who, model, gateway, stream=stream)
            assert said.status_code >= 400 or name in {"reset halfway"}, (name, said.status_code)


@pytest.mark.parametrize("many", [1, 3], ids=["one account", "a pool of three"])
@pytest.mark.parametrize("name", OWN_TROUBLE)
async def test_trouble_of_its_own_is_nobody_elses(world: World, raw: Raw, name: str, many: int) -> None:
    street = await Street(world, raw, many).build()
    slow = name == "silence"
    for gateway in (0, 1):
        assert (await street.good(1, gateway=gateway)).status_code == 200
    for stream in (False, True):
        for gateway in (0, 1):
            await street.bad(0, name, gateway, stream=stream, many=2 if slow else 7)
            for other in (0, 1):
                served = await street.good(1, gateway=other)
                assert served.status_code == 200, (name, stream, served.text)


@pytest.mark.parametrize("name", ["500", "reset", "not http", "error in the first event", "504"])
async def test_whoever_is_served_at_one_gateway_is_no_less_so_at_the_other(world: World, raw: Raw, name: str) -> None:
    """The troubled key and the other never meet in one process."""
    street = await Street(world, raw, 1).build()
    assert (await street.good(1, gateway=1)).status_code == 200
    await world.site.settled()
    await street.bad(0, name, 0, stream=True, many=8)
    for gateway in (1, 0, 1, 0):
        assert (await street.good(1, gateway=gateway)).status_code == 200
