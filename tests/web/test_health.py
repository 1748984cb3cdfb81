"""Health, and what a load balancer may ask of it."""

import pytest

from tests.support.installation import Site


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
async def test_well(site: Site, path: str) -> None:
    got = await site.http.get(path)
    assert (got.status_code, got.json()["status"]) == (200, "ok")
    head = await site.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for one in (got, head):
        assert one.headers["x-request-id"].startswith("req_")
    assert got.headers["x-request-id"] != head.headers["x-request-id"]
    mine = await site.http.get(path, headers={"x-request-id": "mine"})
    assert mine.headers["x-client-request-id"] == "mine" != mine.headers["x-request-id"]
    post = await site.http.post(path)
    assert post.headers["x-request-id"].startswith("req_")
    assert (post.status_code, post.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in post.headers["allow"]


async def test_leaving(site: Site) -> None:
    site.gate.leaving = True
    try:
        got = await site.http.get("/readyz")
        assert (got.status_code, got.json()) == (503, {"status": "unready", "reasons": ["draining"]})
        assert (await site.http.get("/health")).status_code == 200
    finally:
        site.gate.leaving = False
