import httpx2
import pytest

PLACE = "/v1/projects/p/locations/global/publishers/anthropic/models/"
BODY = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def http(sandbox):
    async with httpx2.AsyncClient(base_url=sandbox.url, headers={"authorization": "Bearer at"}) as client:
        yield client


async def test_a_message(http) -> None:
    answer = await http.post(PLACE + "claude-sandbox-echo-5@2026:rawPredict", json=BODY)
    assert answer.status_code == 200
    assert answer.json()["content"][0]["text"] == "Hi"
    assert answer.json()["model"] == "claude-sandbox-echo-5@2026"


async def test_a_stream(http) -> None:
    answer = await http.post(PLACE + "claude-sandbox-echo:streamRawPredict", json={**BODY, "stream": True})
    assert answer.text.startswith("event: message_start")


async def test_a_count(http) -> None:
    answer = await http.post(PLACE + "count-tokens:rawPredict", json={**BODY, "model": "claude-x"})
    assert answer.json()["input_tokens"] > 0


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("rawPredict", {"anthropic_version": "2023-06-01"}),
        ("rawPredict", {"model": "m"}),
        ("rawPredict", {"stream": True}),
        ("streamRawPredict", {}),
    ],
)
async def test_what_is_not_vertex_is_refused(http, method, changed) -> None:
    answer = await http.post(f"{PLACE}claude-x:{method}", json={**BODY, **changed})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_googles_models_are_beside_them(http) -> None:
    path = PLACE.replace("anthropic", "google") + "gemini-sandbox-echo:generateContent"
    answer = await http.post(path, json={"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]})
    assert answer.json()["candidates"][0]["content"]["parts"][0]["text"] == "Hi"
