import json
from base64 import b64decode
from binascii import crc32
from struct import unpack

import httpx2
import pytest

from gateway.local.sandbox.bedrock import frame

BODY = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 900,
    "messages": [{"role": "user", "content": "one two"}],
}
SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/bedrock/aws4_request, x"}


def messages(data: bytes):
    """The messages of an event stream, both checksums verified: headers and payload."""
    while data:
        total, size, prelude = unpack(">III", data[:12])
        assert crc32(data[:8]) == prelude
        assert crc32(data[: total - 4]) == unpack(">I", data[total - 4 : total])[0]
        headers, at = {}, 12
        while at < 12 + size:
            name_end = at + 1 + data[at]
            assert data[name_end] == 7
            length = unpack(">H", data[name_end + 1 : name_end + 3])[0]
            headers[data[at + 1 : name_end].decode()] = data[name_end + 3 : name_end + 3 + length].decode()
            at = name_end + 3 + length
        yield headers, data[12 + size : total - 4]
        data = data[total:]


@pytest.fixture
async def http(sandbox):
    async with httpx2.AsyncClient(base_url=sandbox.url, headers=SIGNED) as client:
        yield client


def test_a_frame_of_the_published_form() -> None:
    # The example of the event stream's description: empty headers and payload are 16 bytes.
    assert frame({}, b"").hex() == "000000100000000005c248eb7d98c8ff"


async def test_stream_and_whole_say_the_same(sandbox, http) -> None:
    whole = (await http.post("/model/sandbox-echo/invoke", json=BODY)).json()
    answer = await http.post("/model/sandbox-echo/invoke-with-response-stream", json=BODY)
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    events = []
    for headers, payload in messages(answer.content):
        assert (headers[":message-type"], headers[":event-type"]) == ("event", "chunk")
        events.append(json.loads(b64decode(json.loads(payload)["bytes"])))
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"] == "one two"
    metrics = events[-1]["amazon-bedrock-invocationMetrics"]
    rows = sandbox.bill().rows
    assert (
        metrics["outputTokenCount"] == whole["usage"]["output_tokens"] == rows[0].output_tokens == rows[1].output_tokens
    )
    assert (rows[0].credential, rows[0].protocol) == ("MPLE", "bedrock")


@pytest.mark.parametrize("name", ["model", "stream"])
async def test_members_that_bedrock_refuses(http, name) -> None:
    answer = await http.post("/model/m/invoke", json=BODY | {name: True})
    assert (answer.status_code, name in answer.json()["message"]) == (400, True)
    assert answer.headers["x-amzn-errortype"] == "ValidationException"


async def test_errors(sandbox, http) -> None:
    answer = await http.post("/model/sandbox-error-429/invoke", json=BODY)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (429, "ThrottlingException")
    late = await http.post("/model/sandbox-late-error-429/invoke-with-response-stream", json=BODY)
    *_, (headers, payload) = messages(late.content)
    assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "throttlingException")
    assert json.loads(payload)["message"]
