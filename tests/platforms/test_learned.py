"""Limit headers of the vendors, read; and whatever a strange upstream may send."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.learned import Window
from gateway.platforms.learned import windows

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC).timestamp()

ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-requests-reset": "2026-05-04T12:00:01Z",
    "anthropic-ratelimit-input-tokens-limit": "2000000",
    "anthropic-ratelimit-input-tokens-remaining": "50000",
    "anthropic-ratelimit-input-tokens-reset": "2026-05-04T12:00:58Z",
    "anthropic-ratelimit-output-tokens-limit": "400000",
    "anthropic-ratelimit-output-tokens-remaining": "400000",
    "anthropic-ratelimit-output-tokens-reset": "2026-05-04T12:00:00Z",
}
UNIFIED = {
    "anthropic-ratelimit-unified-status": "allowed_warning",
    "anthropic-ratelimit-unified-reset": str(int(NOW + 3600)),
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
    "anthropic-ratelimit-unified-fallback-percentage": "0.5",
    "anthropic-ratelimit-unified-5h-status": "allowed_warning",
    "anthropic-ratelimit-unified-5h-utilization": "0.91",
    "anthropic-ratelimit-unified-5h-reset": str(int(NOW + 3600)),
    "anthropic-ratelimit-unified-7d-status": "allowed",
    "anthropic-ratelimit-unified-7d-utilization": "0.3",
    "anthropic-ratelimit-unified-7d-reset": str(int(NOW + 86400)),
    "anthropic-ratelimit-unified-overage-status": "rejected",
    "anthropic-ratelimit-unified-overage-disabled-reason": "org_level_disabled",
}
OPENAI = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-remaining-tokens": "1600",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-reset-tokens": "6m0s",
}
AZURE = {
    "x-ratelimit-remaining-requests": "9",
    "x-ratelimit-remaining-tokens": "9990",
    "x-ratelimit-limit-requests": "10",
    "x-ratelimit-limit-tokens": "10000",
}
CODEX = {
    "x-codex-primary-used-percent": "96.5",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": str(int(NOW + 1800)),
    "x-codex-secondary-used-percent": "12",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-after-seconds": "1000",
    "x-codex-primary-over-secondary-limit-percent": "0",
    "x-codex-credits-balance": "0",
}


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            ANTHROPIC,
            [
                Window("requests", 1000, 999, pytest.approx(0.001), NOW + 1),
                Window("input-tokens", 2_000_000, 50_000, pytest.approx(0.975), NOW + 58),
                Window("output-tokens", 400_000, 400_000, 0.0, NOW),
            ],
        ),
        (
            UNIFIED,
            [
                Window("unified", resets_at=NOW + 3600, status="allowed_warning"),
                Window("5h", used=0.91, resets_at=NOW + 3600, status="allowed_warning"),
                Window("7d", used=0.3, resets_at=NOW + 86400, status="allowed"),
            ],
        ),
        (
            OPENAI,
            [
                Window("requests", 5000, 4999, pytest.approx(0.0002), NOW + 0.012),
                Window("tokens", 160_000, 1600, pytest.approx(0.99), NOW + 360),
            ],
        ),
        (
            AZURE,
            [
                Window("requests", 10, 9, pytest.approx(0.1)),
                Window("tokens", 10_000, 9990, pytest.approx(0.001)),
            ],
        ),
        (
            CODEX,
            [
                Window("primary", used=0.965, resets_at=NOW + 1800),
                Window("secondary", used=0.12, resets_at=NOW + 1000),
            ],
        ),
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW + 9) * 1000)},
            [Window("requests", 20, 0, 1.0, NOW + 9)],
        ),
        ({"x-ratelimit-limit-requests": "20"}, []),
        ({"x-ratelimit-reset": "9"}, []),
        ({"content-type": "text/plain", "retry-after": "7", "x-request-id": "r"}, []),
        ({"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}, [Window("requests", 0, 0)]),
        ({"x-ratelimit-limit-requests": "5", "x-ratelimit-remaining-requests": "9"}, [Window("requests", 5, 9, 0.0)]),
        ({"x-ratelimit-limit-requests": "-5", "x-ratelimit-remaining-requests": "nan"}, []),
        ({"anthropic-ratelimit-unified-5h-utilization": "1e9"}, []),
        ({"x-codex-primary-used-percent": "5", "x-codex-primary-reset-at": "soon"}, [Window("primary", used=0.05)]),
        ({f"x-ratelimit-remaining-w{at}": "1" for at in range(33)}, []),
    ],
)
def test_what_headers_say(headers: dict[str, str], found: list[Window]) -> None:
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert list(windows(given, NOW)) == found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [*ANTHROPIC, *UNIFIED, *OPENAI, *CODEX, "x-ratelimit-", "x-codex-", "anthropic-ratelimit-"]
            ),
            st.binary(max_size=80) | st.from_regex(r"[0-9.]{1,40}", fullmatch=True).map(str.encode),
        ),
        max_size=12,
    ),
    st.binary(max_size=20),
)
def test_nothing_raises(headers: list[tuple[str, bytes]], tail: bytes) -> None:
    for window in windows([(name.encode() + tail[at:], value) for at, (name, value) in enumerate(headers)], NOW):
        assert window.used is None or window.used >= 0
        assert window.resets_at is None or window.resets_at >= NOW
