"""Answers of our own: the key and its use."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.installation import Site
from tests.web.test_lists import MOMENT, get


async def test_the_key_itself(site: Site) -> None:
    limits = [{"type": "requests", "per": "day", "max": 9}, {"type": "concurrency", "max": 3}]
    ends = datetime.now(UTC) + timedelta(days=1)
    identity, secret = await site.new_key(name="mine", models=["sandbox*"], limits=limits, expires_at=ends)
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await site.http.post("/v1/chat/completions", headers={"api-key": secret}, json=asked)).status_code == 200
    about = await get(site, "/v1/key", secret)
    shown = {name: about[name] for name in ("id", "name", "tenant_id", "platforms", "models", "groups")}
    assert shown == {
        "id": identity, "name": "mine", "tenant_id": await site.tenant(), "platforms": ["*"],
        "models": ["sandbox*"], "groups": ["*"],
    }  # fmt: skip
    assert MOMENT.fullmatch(about["expires_at"])
    day = next(one for one in about["limits"] if one["type"] == "requests")
    assert (day["per"], day["max"], day["used"], day["remaining"], day["scope"]) == ("day", 9, 1, 8, "key")
    assert MOMENT.fullmatch(day["resets_at"])
    assert secret not in str(about)


async def test_usage(site: Site) -> None:
    secret = await site.key()
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]}
    rows: list[Any] = []
    for _ in range(2):
        got = await site.http.post("/v1/chat/completions", headers={"api-key": secret}, json=asked)
        rows.append(await site.row(got.headers["x-request-id"]))
    about = await get(site, "/v1/usage", secret)
    [day] = about["data"]
    assert (day["model"], day["requests"], day["day"]) == ("sandbox-echo", 2, f"{datetime.now(UTC):%Y-%m-%d}")
    assert (day["input_tokens"], day["output_tokens"]) == (
        sum(row.input_tokens for row in rows),
        sum(row.output_tokens for row in rows),
    )
    assert MOMENT.fullmatch(about["from"])
    assert (await get(site, "/v1/usage?from=2020-01-01T00:00:00Z&to=2020-01-02", secret))["data"] == []
    for wrong in ("from=yesterday", "to=12", "from=99999-01-01"):
        got = await site.http.get(f"/v1/usage?{wrong}", headers={"x-api-key": secret})
        assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request"), wrong
