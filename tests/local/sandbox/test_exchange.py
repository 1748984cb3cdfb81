import asyncio
import json
import time
from itertools import pairwise

import httpx2
import pytest

HELLO = [{"role": "user", "content": "say hello"}]
ANTHROPIC = {"x-api-key": "sk-ant-1234", "anthropic-version": "2023-06-01"}


def body(model: str, **more) -> dict:
    return {"model": model, "max_tokens": 2000, "messages": HELLO, **more}


@pytest.fixture
async def http(sandbox):
    async with httpx2.AsyncClient(base_url=sandbox.url, headers={"user-agent": "test"}) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "query", "seen"),
    [
        ({"x-api-key": "secret-abcd"}, "", "abcd"),
        ({"authorization": "Bearer secret-abcd"}, "", "abcd"),
        ({"api-key": "secret-abcd"}, "", "abcd"),
        ({"x-goog-api-key": "secret-abcd"}, "", "abcd"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=AKIDabcd/20260101/x, Signature=1"}, "", "abcd"),
        ({}, "?key=secret-abcd", "abcd"),
        ({}, "", None),
        ({"x-api-key": ""}, "", None),
        ({"x-api-key": "sk-revoked-1"}, "", None),
    ],
)  # fmt: skip
async def test_a_credential_of_any_form_is_needed(sandbox, http, headers, query, seen) -> None:
    answer = await http.post(f"/v1/messages{query}", json=body("m"), headers=headers | {"anthropic-version": "x"})
    assert answer.status_code == (200 if seen else 401)
    if seen:
        assert sandbox.bill().rows[0].credential == seen
    else:
        assert answer.json()["error"]["type"] == "authentication_error"
    told = (await http.get("/_requests?last=1")).text
    assert "secret" not in told and "AKID" not in told


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/messages", "/v1//messages", "/v1/nothing", "/v2/messages"])
async def test_paths_that_no_provider_has(sandbox, http, path) -> None:
    assert (await http.post(path, json=body("m"), headers=ANTHROPIC)).status_code == 404
    assert not sandbox.bill().rows


@pytest.mark.parametrize("base", ["", "/anthropic", "/api/coding/paas"])
async def test_every_base_path_is_served(sandbox, http, base) -> None:
    assert (await http.post(f"{base}/v1/messages?beta=true", json=body("m"), headers=ANTHROPIC)).is_success


async def test_anthropic_needs_its_version(sandbox, http) -> None:
    answer = await http.post("/v1/messages", json=body("m"), headers={"x-api-key": "k"})
    assert (answer.status_code, "anthropic-version" in answer.text) == (400, True)


async def test_ollamas_form_of_it_needs_none(sandbox, http) -> None:
    answer = await http.post("/ollama/v1/messages", json=body("m"), headers={"authorization": "Bearer k"})
    assert (answer.status_code, answer.json()["type"]) == (200, "message")


async def test_websockets_are_not_offered(sandbox, http) -> None:
    headers = {"authorization": "Bearer k", "upgrade": "websocket", "connection": "upgrade"}
    answer = await http.get("/v1/responses", headers=headers)
    assert (answer.status_code, answer.headers["upgrade"], answer.headers["connection"]) == (426, "websocket", "close")


async def test_probes(sandbox, http) -> None:
    assert (await http.head("/")).status_code == (await http.head("/api/hello")).status_code == 200


async def test_the_bill_has_pages(sandbox, http) -> None:
    await http.post("/v1/messages", json=body("sandbox-tokens-50"), headers=ANTHROPIC | {"x-client-request-id": "mine"})
    await http.post("/v1/messages", json=body("sandbox-error-500"), headers=ANTHROPIC)
    bill = (await http.get("/_bill")).json()
    first, second = bill["requests"]
    assert (first["client_request_id"], first["output_tokens"], first["path"]) == ("mine", 50, "/v1/messages")
    assert first["started_at"] <= first["ended_at"] <= time.time()
    assert (second["outcome"], second["status"], second["input_tokens"], second["id"]) == ("error", 500, 0, "")
    totals = bill["totals"]
    assert (totals["requests"], totals["complete"], totals["error"], totals["output_tokens"]) == (2, 1, 1, 50)
    await http.delete("/_bill")
    assert (await http.get("/_bill")).json()["totals"]["requests"] == 0


async def test_received_requests_can_be_read(sandbox, http) -> None:
    await http.post("/v1/messages?beta=true", content=json.dumps(body("m")), headers=ANTHROPIC)
    (seen,) = (await http.get("/_requests")).json()
    assert (seen["method"], seen["target"]) == ("POST", "/v1/messages?beta=true")
    assert ["x-api-key", "…1234"] in seen["headers"]
    assert (seen["body_length"], len(seen["body_sha256"])) == (len(json.dumps(body("m"))), 64)


async def test_rules_can_be_put(sandbox, http) -> None:
    assert (await http.put("/_script", json=[{"match": "m*", "script": "error-529", "times": 1}])).status_code == 200
    codes = [(await http.post("/v1/messages", json=body("m1"), headers=ANTHROPIC)).status_code for _ in range(2)]
    assert codes == [529, 200]
    for wrong in ([{"script": "explode"}], [{"match": 1}], {}):
        assert (await http.put("/_script", json=wrong)).status_code == 400


async def test_a_stall_comes_before_the_first_byte(sandbox, http) -> None:
    for stream in (False, True):
        began = time.monotonic()
        asked = body("sandbox-stall-60ms", stream=stream)
        async with http.stream("POST", "/v1/messages", json=asked, headers=ANTHROPIC) as answer:
            assert time.monotonic() - began >= 0.055
            assert (await answer.aread()).strip()
    assert [row.outcome for row in sandbox.bill().rows] == ["complete", "complete"]


async def test_a_stall_in_the_middle_and_gaps(sandbox, http) -> None:
    times = []
    asked = body("sandbox-stall-after-3-60ms-gap-1", stream=True)
    async with http.stream("POST", "/v1/messages", json=asked, headers=ANTHROPIC) as answer:
        times.extend([time.monotonic() async for line in answer.aiter_lines() if line.startswith("event:")])
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps.index(max(gaps)) == 2
    assert max(gaps) >= 0.055


@pytest.mark.parametrize("events", [0, 1, 10])
async def test_a_cut_stream_is_reset_after_so_many_events(sandbox, http, events) -> None:
    seen = []
    with pytest.raises(httpx2.TransportError):
        asked = body(f"sandbox-tokens-50-cut-{events}", stream=True)
        async with http.stream("POST", "/v1/messages", json=asked, headers=ANTHROPIC) as answer:
            async for line in answer.aiter_lines():
                seen.extend([line] if line.startswith("event:") else [])
    assert len(seen) == events
    (row,) = sandbox.bill().rows
    assert (row.outcome, row.status) == ("cut", 200)
    assert row.input_tokens > 0
    # message_start, block start and ping say nothing yet.
    assert row.output_tokens == max(0, events - 3)


async def test_a_whole_answer_is_cut_in_its_body(sandbox, http) -> None:
    with pytest.raises(httpx2.TransportError):
        await http.post("/v1/messages", json=body("sandbox-cut-1"), headers=ANTHROPIC)
    (row,) = sandbox.bill().rows
    assert (row.outcome, row.output_tokens > 0) == ("cut", True)


async def test_a_drop_sends_nothing(sandbox, http) -> None:
    with pytest.raises(httpx2.TransportError):
        await http.post("/v1/messages", json=body("sandbox-drop"), headers=ANTHROPIC)
    (row,) = sandbox.bill().rows
    assert (row.outcome, row.status, row.input_tokens) == ("error", 0, 0)


async def test_a_client_that_leaves_pays_for_what_it_got(sandbox, http) -> None:
    asked = body("sandbox-tokens-1000-gap-5", stream=True)
    async with http.stream("POST", "/v1/messages", json=asked, headers=ANTHROPIC) as answer:
        lines = answer.aiter_lines()
        for _ in range(30):
            await anext(lines)
    for _ in range(100):
        if sandbox.bill().rows:
            break
        await asyncio.sleep(0.01)
    (row,) = sandbox.bill().rows
    assert row.outcome == "client_gone"
    assert row.input_tokens > 0
    assert 5 <= row.output_tokens < 100


async def test_a_client_that_leaves_a_stall_pays_for_its_prompt(sandbox, http) -> None:
    for stream in (False, True):
        with pytest.raises(httpx2.TimeoutException):
            asked = body("sandbox-stall-30", stream=stream)
            await http.post("/v1/messages", json=asked, headers=ANTHROPIC, timeout=0.05)
    for _ in range(100):
        if len(sandbox.bill().rows) == 2:
            break
        await asyncio.sleep(0.01)
    assert [(r.outcome, r.output_tokens) for r in sandbox.bill().rows] == [("client_gone", 0)] * 2
    assert all(r.input_tokens for r in sandbox.bill().rows)


async def test_answers_carry_what_a_relay_must_drop(sandbox, http) -> None:
    claude = (await http.post("/v1/messages", json=body("m"), headers=ANTHROPIC)).headers
    assert claude["request-id"].startswith("req_sandbox")
    for name in (
        "set-cookie",
        "via",
        "server",
        "cf-ray",
        "anthropic-organization-id",
        "date",
        "strict-transport-security",
    ):
        assert name in claude, name
    assert "anthropic-ratelimit-requests-remaining" in claude
    gpt = (await http.post("/v1/chat/completions", json=body("m"), headers={"authorization": "Bearer k"})).headers
    assert gpt["x-request-id"].startswith("req_sandbox")
    for name in ("set-cookie", "openai-organization", "openai-project", "alt-svc", "x-ratelimit-remaining-tokens"):
        assert name in gpt, name


async def test_the_same_request_gets_the_same_words(sandbox, http) -> None:
    answers = [(await http.post("/v1/messages", json=body("m"), headers=ANTHROPIC)).json() for _ in range(2)]
    assert answers[0]["content"] == answers[1]["content"]
    assert answers[0]["usage"] == answers[1]["usage"]
    assert answers[0]["id"] != answers[1]["id"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
async def test_bad_json_is_400(sandbox, http, content) -> None:
    for path in ("/v1/messages", "/v1/chat/completions", "/v1beta/models/m:generateContent", "/v1/embeddings"):
        answer = await http.post(path, content=content, headers=ANTHROPIC)
        assert answer.status_code == 400
        assert "error" in answer.json()
