"""OAuth accounts in a whole installation: one renewal for all who need it, and what it means when there is none."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core import models as m
from gateway.core.sealing import Sealer
from gateway.core.services import proxies
from gateway.core.state import FOR_EVER
from gateway.jobs import renewals
from gateway.local.sandbox import Rule
from gateway.local.sandbox.oauth import MODEL
from tests.relay.world import World, code_of
from tests.support.installation import Site, installation
from tests.support.outbound import outbound

pytestmark = pytest.mark.asyncio(loop_scope="session")
EXPIRED = 1_000_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    """The jobs renew nothing here: it is the gateways' turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renewals, "EVERY", 3600.0)
        async with installation(database_url, redis_url) as made:
            yield made


@pytest.fixture(autouse=True)
def no_rules(site: Site) -> None:
    site.sandbox.rules([])


async def oauth(world: World, name: str, *, ends: float | None = EXPIRED, **fields: Any) -> str:
    """An account whose tokens are named after it."""
    held: dict[str, Any] = {"access_token": f"at-{name}", "refresh_token": f"rt-{name}"}
    if ends is not None:
        held["expires_at"] = ends
    options = {"token_url": world.site.sandbox.url + "/v1/oauth/token", "client_id": "c"}
    return await world.account("claude-official", credentials=held, options=options, **fields)


def asked(world: World) -> int:
    """How often the token endpoint has been asked."""
    return sum(one.target == "/v1/oauth/token" for one in world.site.sandbox.requests())


async def held(world: World, account_id: str) -> dict[str, str]:
    async with world.site.sessions() as session:
        row = await session.get_one(m.Account, account_id)
    sealer = Sealer(world.site.settings.master_key_bytes)
    return {name: secret.reveal() for name, secret in sealer.open_renewed(row.renewed, row.id).items()}


async def attempts(world: World, answer: Any) -> list[tuple[str, int, str]]:
    row = await world.site.row(answer.headers["x-request-id"])
    return [(one["account_id"], one["status"], one["outcome"]) for one in row.attempts]


async def test_an_ended_token_is_renewed_before_the_request(world: World) -> None:
    account_id = await oauth(world, "ended")
    key = await world.key()
    before = asked(world)
    answer = await world.ask(key)
    assert answer.status_code == 200
    assert await attempts(world, answer) == [(account_id, 200, "ok")]
    got = await held(world, account_id)
    assert set(got) == {"access_token", "expires_at", "refresh_token"}
    assert got["refresh_token"] != "rt-ended"
    assert abs(float(got["expires_at"]) - time.time() - 3600) < 60
    # The next one finds it in the snapshot.
    assert (await world.ask(key)).status_code == 200
    assert asked(world) == before + 1
    seen = [one for one in world.site.sandbox.requests() if one.target == "/v1/messages"][-2:]
    tails = {dict(one.headers)["authorization"] for one in seen}
    assert tails == {"…" + got["access_token"][-4:]}


async def test_refresh_tokens_rotate(world: World) -> None:
    """The second renewal uses what the first has got: the sandbox takes each refresh token once."""
    account_id = await oauth(world, "rotated")
    key = await world.key()
    assert (await world.ask(key)).status_code == 200
    first = await held(world, account_id)
    world.site.sandbox.rules([Rule(script="error-401", credential=first["access_token"], times=1)])
    answer = await world.ask(key)
    assert answer.status_code == 200
    second = await held(world, account_id)
    assert len({first["refresh_token"], second["refresh_token"], "rt-rotated"}) == 3
    assert await attempts(world, answer) == [(account_id, 401, "credentials"), (account_id, 200, "ok")]
    assert (await world.state(account_id))["usable"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_token_is_renewed_once_and_the_request_is_answered(world: World, stream) -> None:
    """Nobody had said when it ends."""
    account_id = await oauth(world, f"refused-{stream}", ends=None)
    key = await world.key()
    world.site.sandbox.rules([Rule(script="error-401", credential=f"at-refused-{stream}")])
    answer = await world.ask(key, stream=stream)
    assert answer.status_code == 200
    assert [one[1] for one in await attempts(world, answer)] == [401, 200]
    assert (await world.state(account_id))["recent"] == []


async def test_what_is_refused_again_is_not_renewed_again(world: World) -> None:
    account_id = await oauth(world, "twice", ends=None)
    key = await world.key()
    world.site.sandbox.rules([Rule(script="error-401", match="sandbox-*")])
    before = asked(world)
    answer = await world.ask(key)
    assert (answer.status_code, code_of(answer)) == (502, "upstream_auth_failed")
    assert [one[1] for one in await attempts(world, answer)] == [401, 401]
    state = await world.state(account_id)
    assert state["reason"] == "credentials"
    await world.heal()
    assert (await world.ask(key)).status_code == 502
    assert asked(world) == before + 1


async def test_a_token_that_cannot_be_renewed_is_not(world: World) -> None:
    """Without a refresh token the end that was named means nothing: the upstream decides."""
    credentials = {"access_token": "at-alone", "expires_at": EXPIRED}
    account_id = await world.account("claude-official", credentials=credentials)
    key = await world.key()
    before = asked(world)
    assert (await world.ask(key)).status_code == 200
    world.site.sandbox.rules([Rule(script="error-401", credential="at-alone")])
    assert (await world.ask(key)).status_code == 502
    assert asked(world) == before
    assert (await world.state(account_id))["reason"] == "credentials"


async def test_a_key_that_was_just_replaced_is_found_before_the_account_is_blamed(world: World) -> None:
    """The gateway has not heard of the change yet: it reads the account's row, and the request is answered."""
    account_id = await world.account("claude-official", credentials={"api_key": "sk-old"})
    key = await world.key()
    assert (await world.ask(key)).status_code == 200
    sealer = Sealer(world.site.settings.master_key_bytes)
    async with world.site.sessions.begin() as session:
        row = await session.get_one(m.Account, account_id)
        row.credentials = sealer.seal_credentials({"api_key": "sk-new"}, account_id)
    world.site.sandbox.rules([Rule(script="error-401", credential="sk-old")])
    answer = await world.ask(key)
    assert answer.status_code == 200
    assert [one[1] for one in await attempts(world, answer)] == [401, 200]
    assert (await world.state(account_id))["recent"] == []


async def test_two_gateways_and_fifty_requests_ask_once(world: World) -> None:
    other = await world.site.start_gateway()
    account_id = await oauth(world, "fifty")
    key = await world.key()
    world.site.sandbox.rules([Rule(script="stall-300ms", match=MODEL, credential="rt-fifty")])
    before = asked(world)
    urls = [world.site.url, other.url]
    answers = await asyncio.gather(*(world.ask(key, url=urls[number % 2]) for number in range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert asked(world) == before + 1
    assert (await held(world, account_id))["access_token"].startswith("at-")


async def test_a_client_that_leaves_does_not_cut_a_renewal(world: World) -> None:
    account_id = await oauth(world, "left")
    key = await world.key()
    world.site.sandbox.rules([Rule(script="stall-300ms", match=MODEL, credential="rt-left")])
    asking = asyncio.get_running_loop().create_task(world.ask(key))
    await asyncio.sleep(0.15)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(5):
        while not await held(world, account_id):
            await asyncio.sleep(0.05)
        while await world.slots(account_id):
            await asyncio.sleep(0.02)


async def test_a_revoked_authorisation_disables_the_account_and_the_next_serves(world: World) -> None:
    revoked = await oauth(world, "revoked", priority=1)
    good = await world.account("claude-console", priority=2)
    key = await world.key()
    answer = await world.ask(key)
    assert answer.status_code == 200
    assert await attempts(world, answer) == [(revoked, 0, "re-authorise"), (good, 200, "ok")]
    async with asyncio.timeout(5):
        while not (state := await world.state(revoked))["reason"]:
            await asyncio.sleep(0.02)
    assert (state["usable"], state["reason"]) == (False, "re-authorise")
    assert state["recent"][0]["reason"] == "re-authorise"
    prefix = world.site.gate.prefix_of(world.tenant_id)
    text = await world.site.gate.redis.hget(prefix + "state", f"{revoked}|account")
    assert msgspec.json.decode(text)["until"] == FOR_EVER
    # It is not asked for again.
    before = asked(world)
    assert (await world.ask(key)).status_code == 200
    assert asked(world) == before


async def test_a_revoked_authorisation_alone_says_what_is_wrong(world: World) -> None:
    await oauth(world, "revoked-alone")
    answer = await world.ask(await world.key())
    assert (answer.status_code, code_of(answer)) == (502, "upstream_auth_failed")


@pytest.mark.parametrize("trouble", ["error-500", "error-503", "error-429", "drop"])
async def test_an_endpoint_in_trouble_has_revoked_nothing(world: World, trouble) -> None:
    account_id = await oauth(world, f"down-{trouble}", priority=1)
    good = await world.account("claude-console", priority=2)
    key = await world.key()
    world.site.sandbox.rules([Rule(script=trouble, match=MODEL, credential=f"rt-down-{trouble}")])
    answer = await world.ask(key)
    assert answer.status_code == 200
    assert await attempts(world, answer) == [(account_id, 0, "not_renewed"), (good, 200, "ok")]
    state = await world.state(account_id)
    assert state["reason"] == "not_renewed"
    world.site.sandbox.rules([])
    await world.heal()
    answer = await world.ask(key)
    assert await attempts(world, answer) == [(account_id, 200, "ok")]


async def test_an_endpoint_that_is_not_there_has_revoked_nothing(world: World) -> None:
    held = {"access_token": "at-gone", "refresh_token": "rt-gone", "expires_at": EXPIRED}
    options = {"token_url": "http://127.0.0.1:9/oauth/token"}
    account_id = await world.account("claude-official", credentials=held, options=options)
    assert (await world.ask(await world.key())).status_code == 502
    assert (await world.state(account_id))["reason"] == "not_renewed"


async def test_a_renewal_goes_through_the_accounts_proxy(world: World) -> None:
    async with outbound("http") as proxy:
        proxy_id = await proxied(world, proxy.port)
        await oauth(world, "proxied", proxy_id=proxy_id)
        assert (await world.ask(await world.key())).status_code == 200
        port = int(world.site.sandbox.url.rpartition(":")[2])
        # To the token endpoint and to the API: two origins would be two connections, one origin is kept.
        assert proxy.asked == [("127.0.0.1", port)]


async def test_a_proxys_failure_is_not_the_accounts(world: World) -> None:
    proxy_id = await proxied(world, 9)
    account_id = await oauth(world, "no-proxy", proxy_id=proxy_id)
    answer = await world.ask(await world.key())
    assert answer.status_code == 502
    assert {one[2] for one in await attempts(world, answer)} == {"proxy"}
    assert (await world.state(account_id))["reason"] != "not_renewed"


async def proxied(world: World, port: int) -> str:
    async with world.site.sessions.begin() as session:
        values = {"name": f"p{port}", "url": f"http://127.0.0.1:{port}"}
        sealer = Sealer(world.site.settings.master_key_bytes)
        proxy = await proxies.create(session, sealer, world.tenant_id, values)
    await world.site.reload()
    return proxy.id


@pytest.fixture(scope="module")
def key_file(site: Site) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": "a@my-project.example",
        "token_uri": site.sandbox.url + "/v1/oauth/token",
    }


async def test_gemini_and_claude_on_vertex(world: World, key_file: dict[str, Any]) -> None:
    """One service account, one token, both protocols."""
    account_id = await world.account("gemini", credentials={"service_account": key_file})
    key = await world.key()
    before = asked(world)
    for stream in (False, True):
        said = await world.ask(key, "claude-sandbox-echo", stream=stream)
        assert said.status_code == 200
        assert "Hello" in said.text
    counted = await world.ask(key, "claude-sandbox-echo", "/v1/messages/count_tokens")
    assert counted.json()["input_tokens"] > 0
    contents = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    path = "/v1beta/models/gemini-sandbox-echo:generateContent"
    answer = await world.site.http.post(path, headers={"x-goog-api-key": key}, json=contents)
    assert answer.json()["candidates"][0]["content"]["parts"][0]["text"] == "Hello"
    assert asked(world) == before + 1
    targets = [one.target for one in world.site.sandbox.requests()][-4:]
    place = "/v1/projects/my-project/locations/global/publishers/"
    assert targets == [
        place + "anthropic/models/claude-sandbox-echo:rawPredict",
        place + "anthropic/models/claude-sandbox-echo:streamRawPredict",
        place + "anthropic/models/count-tokens:rawPredict",
        place + "google/models/gemini-sandbox-echo:generateContent",
    ]
    assert set(await held(world, account_id)) == {"access_token", "expires_at"}


async def test_a_service_account_that_is_gone_disables_its_account(world: World, key_file: dict[str, Any]) -> None:
    account_id = await world.account("gemini", credentials={"service_account": key_file})
    world.site.sandbox.rules([Rule(script="error-400", match=MODEL, credential="a@my-project.example")])
    assert (await world.ask(await world.key(), "claude-x")).status_code == 502
    assert (await world.state(account_id))["reason"] == "re-authorise"
