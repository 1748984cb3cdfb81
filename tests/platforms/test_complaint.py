"""Error bodies of every dialect, and bodies that are none."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms import complaint
from gateway.platforms.complaint import Complaint

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("body", "words", "message"),
    [
        (
            '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
            {"overloaded_error"},
            "overloaded",
        ),
        (
            '{"error":{"message":"You exceeded  your\\ncurrent quota","type":"insufficient_quota"}}',
            {"insufficient_quota"},
            "you exceeded your current quota",
        ),
        (
            '[{"error":{"code":400,"message":"No","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]',
            {"400", "invalid_argument", "api_key_invalid"},
            "no",
        ),
        (
            '{"type":"response.failed","response":{"error":{"code":"server_error","message":"Oops"}}}',
            {"server_error"},
            "oops",
        ),
        ('{"type":"error","code":"rate_limit_exceeded","message":"Slow"}', {"error", "rate_limit_exceeded"}, "slow"),
        ('{"error":"model not found"}', set(), "model not found"),
        ('{"error":"No","code":"arrearage"}', {"arrearage"}, "no"),
        ('{"detail":"Unauthorized"}', set(), "unauthorized"),
        ('{"Message":"Authentication failed"}', set(), "authentication failed"),
        ('{"detail":{"code":"deactivated_workspace","message":"Gone."}}', {"deactivated_workspace"}, "gone."),
        ('{"error":{"message":"Error: Nope","code":402}}', {"402"}, "nope"),
        ('{"error":{"message":17,"type":["x"],"code":{},"details":{"reason":"x"}}}', set(), ""),
        ("", set(), ""),
        ("[]", set(), ""),
        ("17", set(), ""),
        ("<html>Bad gateway</html>", set(), ""),
        ("[" * 100_000, set(), ""),
        ('"' + "x" * 300_000 + '"', set(), ""),
    ],
)
def test_read(body, words, message):
    assert complaint.read(body.encode(), NOW) == Complaint(frozenset(words), message)


@pytest.mark.parametrize(
    ("error", "ahead"),
    [
        ({"type": "usage_limit_reached", "resets_in_seconds": 7200}, 7200),
        ({"type": "usage_limit_reached", "resets_at": int(NOW) + 99, "resets_in_seconds": 7200}, 99),
        ({"resets_at": -1, "resets_in_seconds": 5}, 5),
        ({"details": [{"reason": "x"}, {"retryDelay": "34s"}, {"retryDelay": "12.5s"}]}, 34),
        ({"details": [{"retryDelay": "a while"}, 7, None]}, None),
        ({"resets_in_seconds": 10**300}, None),
        ({"resets_at": "tomorrow"}, None),
        (
            {"message": "usage limit exceeded, 5-hour limit reached (0/0), resets at 2026-09-21T14:14:59Z (2056)"},
            99,
        ),
        ({"message": "usage limit exceeded, weekly limit reached, resets at 2999-01-01T00:00:00Z (2056)"}, None),
        ({"message": "usage limit exceeded, 'resets at 2026-09-21T14:14:59Z'"}, None),
        ({"message": "No tool 'usage limit exceeded, x resets at 2026-09-21T14:14:59Z'"}, None),
        ({}, None),
    ],
)
def test_until(error, ahead):
    found = complaint.read(msgspec.json.encode({"error": error}), NOW).until
    assert found == (None if ahead is None else NOW + ahead)


NAMES = ["error", "type", "code", "status", "message", "details", "reason", "retryDelay", "response"]
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trees: st.SearchStrategy[object] = st.deferred(
    lambda: leaves | st.lists(trees, max_size=4) | st.dictionaries(st.sampled_from(NAMES), trees, max_size=4)
)


@given(st.binary(max_size=200) | trees.map(lambda tree: json.dumps(tree).encode()))
def test_never_raises(body):
    assert isinstance(complaint.read(body, NOW), Complaint)
