import time

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.local.sandbox import Rule
from gateway.local.sandbox.oauth import LIFETIME, MODEL
from gateway.platforms import grants

PATH = "/v1/oauth/token"
REFRESH = {"grant_type": "refresh_token", "refresh_token": "rt-1"}
CLIENT = {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s", "scope": "x"}
JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
async def http(sandbox):
    sandbox.rules([])
    async with httpx2.AsyncClient(base_url=sandbox.url) as client:
        yield client


@pytest.mark.parametrize("form", ["json", "data"])
async def test_a_refresh_token_is_good_once(http, form) -> None:
    sent = {**REFRESH, "refresh_token": f"rt-{form}"}
    first = await http.post(PATH, **{form: sent})
    assert (first.status_code, first.json()["expires_in"]) == (200, LIFETIME)
    again = await http.post(PATH, **{form: sent})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    next_one = await http.post(PATH, **{form: {**sent, "refresh_token": first.json()["refresh_token"]}})
    assert next_one.status_code == 200
    assert next_one.json()["access_token"] != first.json()["access_token"]


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({**REFRESH, "refresh_token": "revoked"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
        ({**CLIENT, "client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": JWT, "assertion": "a.b.c"}, 400, "invalid_grant"),
    ],
)
async def test_refusals(http, sent, status, error) -> None:
    answer = await http.post(PATH, data=sent)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_clients_and_service_accounts_get_no_refresh_token(http) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    made = grants.assertion({"client_email": "a", "private_key": pem}, "s", "https://x.example" + PATH, time.time())
    for sent in (CLIENT, {"grant_type": JWT, "assertion": made}):
        answer = await http.post(PATH, data=sent)
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "expires_in", "token_type"}
    elsewhere = await http.post("/oauth/token", data={"grant_type": JWT, "assertion": made})
    assert elsewhere.status_code == 200
    other = grants.assertion({"client_email": "a", "private_key": pem}, "s", "https://x.example/other", time.time())
    assert (await http.post(PATH, data={"grant_type": JWT, "assertion": other})).status_code == 400


@pytest.mark.parametrize(
    ("script", "status", "error"),
    [
        ("error-400", 400, "invalid_grant"),
        ("error-401", 401, "invalid_client"),
        ("error-500", 500, "server_error"),
        ("error-429", 429, "slow_down"),
    ],
)
async def test_rules_say_what_it_answers_and_use_nothing_up(http, sandbox, script, status, error) -> None:
    sent = {**REFRESH, "refresh_token": f"rt-{script}"}
    sandbox.rules([Rule(script=script, match=MODEL, credential=f"rt-{script}", times=1)])
    answer = await http.post(PATH, data=sent)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert (await http.post(PATH, data=sent)).status_code == 200


async def test_it_can_be_slow_or_silent(http, sandbox) -> None:
    sandbox.rules([Rule(script="stall-100ms", match=MODEL, times=1), Rule(script="drop", match=MODEL)])
    began = time.monotonic()
    assert (await http.post(PATH, data={**REFRESH, "refresh_token": "rt-slow"})).status_code == 200
    assert time.monotonic() - began >= 0.09
    with pytest.raises(httpx2.TransportError):
        await http.post(PATH, data=REFRESH)
