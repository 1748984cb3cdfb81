"""The process answers, whoever asks."""

import json

from tests.admin.conftest import raw


async def test_health_is_answered_to_whoever_probes(url: str):
    status, _, content = await raw(url, "GET /health HTTP/1.1", "host: 10.1.2.3")
    assert (status, json.loads(content)) == (200, {"status": "ok"})
