"""The authorisation server: a code is good once, for who asked, with the proof."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.local.sandbox import Running
from gateway.platforms.authorisation import challenge

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
ASKED = {
    "response_type": "code",
    "client_id": "c",
    "redirect_uri": "http://localhost:1455/cb",
    "state": "st",
    "scope": "openid email",
    "code_challenge": challenge(VERIFIER),
    "code_challenge_method": "S256",
}


@pytest.fixture
async def http(sandbox: Running) -> Any:
    async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as client:
        yield client


async def code_of(http: httpx.AsyncClient, **more: str) -> str:
    answer = await http.get("/oauth/authorize", params={**ASKED, **more})
    assert answer.status_code == 302, answer.text
    url = urlsplit(answer.headers["location"])
    said = parse_qs(url.query)
    assert (f"{url.scheme}://{url.netloc}{url.path}", said["state"]) == (ASKED["redirect_uri"], ["st"])
    return said["code"][0]


def redemption(code: str, **more: str) -> dict[str, str]:
    proof = {"redirect_uri": ASKED["redirect_uri"], "client_id": "c", "code_verifier": VERIFIER}
    return {"grant_type": "authorization_code", "code": code, **proof, **more}


@pytest.mark.parametrize("form", ["data", "json"])
async def test_a_code_becomes_tokens_once(http: httpx.AsyncClient, form: str) -> None:
    sent: dict[str, Any] = {form: redemption(await code_of(http))}
    answer = await http.post("/v1/oauth/token", **sent)
    tokens = answer.json()
    assert (answer.status_code, tokens["expires_in"]) == (200, 3600)
    assert tokens["access_token"].count(".") == tokens["id_token"].count(".") == 2
    assert tokens["refresh_token"].startswith("sandbox-refresh-")
    again = await http.post("/v1/oauth/token", **sent)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "more",
    [
        {"code_verifier": "another"},
        {"code_verifier": ""},
        {"client_id": "d"},
        {"redirect_uri": "http://localhost/"},
        {"state": "other"},
        {"code": "code-made-up"},
    ],
)
async def test_without_the_proof_there_is_nothing(http: httpx.AsyncClient, more: dict[str, str]) -> None:
    answer = await http.post("/oauth/token", data={**redemption(await code_of(http)), **more})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_page_shows_the_code_where_it_is_asked_for(http: httpx.AsyncClient) -> None:
    page = await http.get("/oauth/authorize", params={**ASKED, "code": "true", "scope": "user:inference"})
    code, _, state = page.text.partition("#")
    assert (page.status_code, state) == (200, "st")
    tokens = (await http.post("/oauth/token", json=redemption(code, state="st"))).json()
    assert "id_token" not in tokens


@pytest.mark.parametrize(
    "more", [{"code_challenge": ""}, {"code_challenge_method": "plain"}, {"response_type": "token"}, {"state": ""}]
)
async def test_no_code_without_pkce(http: httpx.AsyncClient, more: dict[str, str]) -> None:
    assert (await http.get("/oauth/authorize", params={**ASKED, **more})).status_code == 400
