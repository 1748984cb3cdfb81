"""Lists of models and providers, in the shapes of three protocols."""

import re
from typing import Any

import pytest
import pytest_asyncio

from tests.support.installation import Site

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def listed(site: Site) -> str:
    """A key that may use two models, of two platforms."""
    await site.account("openai", provider="acme", models=["zeta", "alpha", "wild-*", "hidden"], name="a")
    await site.account("gemini", provider="goo", models=["alpha", "middle"], model_map={"mapped": "real"}, name="b")
    return await site.key(models=["alpha", "middle", "zeta", "mapped", "wild-*"], platforms=["openai", "gemini"])


async def get(site: Site, path: str, key: str, **headers: str) -> Any:
    got = await site.http.get(path, headers={"x-api-key": key, **headers})
    assert got.status_code == 200, got.text
    assert got.headers["x-request-id"].startswith("req_")
    assert got.headers["content-type"] == "application/json"
    return got.json()


@pytest.mark.parametrize("prefix", ["", "/claude", "/openai", "/gemini", "/compat"])
async def test_the_union_list(site: Site, listed: str, prefix: str) -> None:
    page = await get(site, f"{prefix}/v1/models", listed)
    names = [one["id"] for one in page["data"]]
    assert names == ["alpha", "mapped", "middle", "zeta"]
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", "alpha", "zeta", False)
    first = page["data"][0]
    assert set(first) == {
        "id", "object", "type", "created", "created_at", "display_name", "owned_by", "provider"
    }  # fmt: skip
    assert (first["object"], first["type"], first["provider"]) == ("model", "model", "acme")
    assert MOMENT.fullmatch(first["created_at"])


async def test_the_anthropic_pages(site: Site, listed: str) -> None:
    version = {"anthropic-version": "2023-06-01"}
    page = await get(site, "/v1/models?limit=3", listed, **version)
    assert "object" not in page
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (["alpha", "mapped", "middle"], True)
    page = await get(site, f"/v1/models?limit=3&after_id={page['last_id']}", listed, **version)
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (["zeta"], False)
    got = await site.http.get("/v1/models", headers={"x-api-key": listed, "x-request-id": "mine", **version})
    assert got.headers["request-id"] == got.headers["x-request-id"]
    assert got.headers["x-client-request-id"] == "mine"


async def test_the_gemini_pages(site: Site, listed: str) -> None:
    for path, headers in (
        ("/v1beta/models?pageSize=3", {"x-api-key": listed}),
        ("/v1/models?pageSize=3", {"x-goog-api-key": listed}),
        (f"/v1/models?pageSize=3&key={listed}", {}),
    ):
        page = (await site.http.get(path, headers=headers)).json()
        assert [one["name"] for one in page["models"]] == ["models/alpha", "models/mapped", "models/middle"]
        assert page["nextPageToken"]
    token = page["nextPageToken"]
    page = await get(site, f"/v1beta/models?pageToken={token}", listed)
    assert [one["name"] for one in page["models"]] == ["models/zeta"]
    assert "nextPageToken" not in page
    union = (await site.http.get("/v1/models?monkey=1", headers={"x-api-key": listed})).json()
    assert union["object"] == "list"


async def test_one_model(site: Site, listed: str) -> None:
    assert (await get(site, "/v1/models/alpha", listed))["id"] == "alpha"
    assert (await get(site, "/v1beta/models/alpha", listed))["name"] == "models/alpha"
    for path in ("/v1/models/hidden", "/v1/models/wild-*", "/v1/models/nothing"):
        got = await site.http.get(path, headers={"x-api-key": listed})
        assert (got.status_code, got.json()["error"]["code"]) == (404, "model_not_found")


async def test_groups(site: Site, listed: str) -> None:
    got = await site.http.get("/nobodys/v1/models", headers={"x-api-key": listed})
    assert (got.status_code, got.json()["error"]["code"]) == (404, "not_found")
    key = await site.key(groups=["other"])
    got = await site.http.get("/nobodys/v1/models", headers={"x-api-key": key})
    assert (got.status_code, got.json()["error"]["code"]) == (403, "group_forbidden")


async def test_providers(site: Site, listed: str) -> None:
    page = await get(site, "/v1/providers", listed)
    found = {one["name"]: one for one in page["data"] if one["name"] in {"acme", "goo"}}
    assert found["acme"] == {"name": "acme", "type": "openai", "models": ["alpha", "zeta"], "active": True}
    assert found["goo"]["models"] == ["alpha", "mapped", "middle"]
    debug = await site.key(debug=True)
    shown = {one["name"]: one for one in (await get(site, "/v1/providers", debug))["data"]}
    assert shown["acme"]["base_url"] == site.sandbox.url
