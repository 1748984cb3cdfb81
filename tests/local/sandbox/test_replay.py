import base64
import hashlib
import json
import os
from pathlib import Path

import httpx2
import pytest

from gateway.local.sandbox import running
from gateway.local.sandbox.replay import load

JSON = {"path": "/v1/a", "status": 200, "content_type": "application/json", "stream": False}
SSE = {"status": 200, "content_type": "text/event-stream", "stream": True}
BINARY = {"status": None, "content_type": "application/vnd.amazon.eventstream", "stream": True}
RECORDINGS = [
    {"id": "a", "protocol": "x", **JSON, "response": '{"ü": 1}'},
    {"id": "b", **JSON, "status": 529, "content_type": None, "response": "{}", "request": {"any": 1}},
    {"id": "c", **SSE, "response": "data: 1\n\n" * 300},
    {"id": "d", **BINARY, "response_b64": base64.b64encode(bytes(range(256))).decode()},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in (("a.jsonl", RECORDINGS[:2]), ("b.jsonl", RECORDINGS[2:])):
        (tmp_path / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return tmp_path


@pytest.mark.parametrize("cut", ["", "/cut-1", "/cut-100"])
async def test_answers_are_served_as_recorded(folder: Path, cut: str) -> None:
    recordings = load(folder)
    async with running(replay=folder) as sandbox, httpx2.AsyncClient(base_url=sandbox.url) as http:
        for k, recording in enumerate(recordings):
            answer = await http.post(f"/fx/{k}{cut}/v1/any/path?x=1", content=b"{}")
            assert answer.content == recording.data
            assert answer.status_code == (recording.status or 200)
            assert answer.headers["content-type"] == (recording.content_type or "application/json")
        assert (await http.get("/fx/4/x")).status_code == 404
        assert [row["id"] for row in (await http.get("/_fixtures")).json()] == ["a", "b", "c", "d"]
        assert not sandbox.bill().rows
        assert len(sandbox.requests()) == 5


async def test_a_single_file(folder: Path) -> None:
    assert [r.id for r in load(folder / "b.jsonl")] == ["c", "d"]


async def test_all_recorded_answers_of_real_providers() -> None:
    place = Path(os.environ.get("POOLGATE_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures"))
    if not place.is_dir():
        pytest.skip("the recorded answers are not on this machine (POOLGATE_FIXTURES)")
    recordings = load(place)
    assert len(recordings) > 1000
    async with running(replay=place) as sandbox, httpx2.AsyncClient(base_url=sandbox.url) as http:
        for k in range(0, len(recordings), 13):
            answer = await http.post(f"/fx/{k}/v1", content=b"{}")
            assert hashlib.sha256(answer.content).digest() == hashlib.sha256(recordings[k].data).digest(), k
