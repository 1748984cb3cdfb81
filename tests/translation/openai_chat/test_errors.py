import pytest

from gateway.protocols.codec import Problem
from gateway.translation.openai_chat import SPEECH

ROWS = [
    (
        b'{"error":{"message":"too long","type":"invalid","param":"messages","code":"context_length_exceeded"}}',
        Problem(400, "context_length_exceeded", "too long", "messages"),
    ),
    (
        b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}',
        Problem(400, "invalid_request_error", "no"),
    ),
    (b'{"error":{"code":429,"message":"slow"}}', Problem(400, "upstream_error", "slow")),
    (b'{"error":"model not loaded"}', Problem(400, "upstream_error", "model not loaded")),
    (b'{"object":"error","message":"bad","type":"BadRequestError","code":400}', Problem(400, "BadRequestError", "bad")),
    (b'{"detail":"Unauthorised"}', Problem(400, "upstream_error", "Unauthorised")),
    (b'[{"error":{"message":"m","status":"X"}}]', Problem(400, "upstream_error", "m")),
    (b'{"error":{}}', Problem(400, "upstream_error", "The upstream failed.")),
    (b'{"error":{"message":{"a":1}}}', Problem(400, "upstream_error", "The upstream failed.")),
    (b"upstream connect error", Problem(400, "upstream_error", "upstream connect error")),
    (
        b"<html><body>Bad Gateway</body></html>",
        Problem(400, "upstream_error", "The upstream answered with status 400."),
    ),
    (b"", Problem(400, "upstream_error", "The upstream answered with status 400.")),
    (b"\xff" * 5000, Problem(400, "upstream_error", "\ufffd" * 2000)),
    (b"[]", Problem(400, "upstream_error", "[]")),
]


@pytest.mark.parametrize(("body", "problem"), ROWS)
def test_the_upstreams_own_words(body, problem):
    assert SPEECH.failure(400, body) == problem
