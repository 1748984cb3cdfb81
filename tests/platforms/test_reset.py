"""Every way of saying when a limit ends, and the texts that say nothing."""

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.platforms import reset

NOW = 1_790_000_000.0
IN_AN_HOUR = datetime.fromtimestamp(NOW + 3600, UTC)
JUNK = ["", " ", "soon", "-5", "-5s", "1e9999", "nan", "inf", "٣", "6m0", "s", "5 s", "1.2.3s", "9" * 400, "\r\n"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("34s", 34),
        ("34.074824224s", 34.074824224),
        ("1d", 86_400),
        ("500us", 0.0005),
        ("12", 12),
        ("0.5", 0.5),
        (" 7 ", 7),
        (0, 0),
        (15, 15),
        (2.5, 2.5),
        *[(junk, None) for junk in JUNK],
        (-1, None),
        (math.nan, None),
        (10**400, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_delay(text, seconds):
    assert reset.delay(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("value", "ahead"),
    [
        (IN_AN_HOUR.isoformat(), 3600),
        (IN_AN_HOUR.strftime("%Y-%m-%dT%H:%M:%SZ"), 3600),
        (IN_AN_HOUR.replace(tzinfo=None).isoformat(), 3600),
        (str(int(NOW) + 3600), 3600),
        (int(NOW) + 3600, 3600),
        (int(NOW) * 1000 + 3_600_000, 3600),
        ("6m0s", 360),
        ("30", 30),
        (0, 0),
        ("2020-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        (int(NOW) - 3600, None),
        (int(NOW) + 86_400 * 36, None),
        ("900h", None),
        (2.0**900, None),
        *[(junk, None) for junk in JUNK],
    ],
)
def test_moment(value, ahead):
    assert reset.moment(value, NOW) == (None if ahead is None else pytest.approx(NOW + ahead))


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17),
        ({"retry-after": "0"}, 0),
        ({"retry-after": format_datetime(IN_AN_HOUR.replace(minute=0), usegmt=True)}, None),
        ({"retry-after": format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True)}, 90),
        ({"retry-after": "259200"}, 1800),
        ({"retry-after": "99999999999"}, 1800),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        *[({"retry-after": junk}, None) for junk in JUNK],
    ],
)
def test_a_bare_retry_after_is_cut_to_half_an_hour(headers, ahead):
    found = reset.retry_after(headers, NOW)
    if "GMT" in headers.get("retry-after", "") and ahead is None:
        assert found is not None
        assert found <= NOW + 1800
    else:
        assert found == (None if ahead is None else pytest.approx(NOW + ahead))


ANTHROPIC = "anthropic-ratelimit-"


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({}, None),
        # A ChatGPT plan's window counts when it is used up, and the latest of those.
        ({"x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "60", "retry-after": "5"}, 60),
        ({"x-codex-primary-used-percent": "99.9", "x-codex-primary-reset-after-seconds": "60"}, None),
        ({"x-codex-secondary-used-percent": "101", "x-codex-secondary-reset-at": str(int(NOW) + 90)}, 90),
        ({"x-codex-primary-used-percent": "100", "x-codex-primary-reset-at": "never", "retry-after": "5"}, 5),
        ({ANTHROPIC + "requests-reset": IN_AN_HOUR.isoformat()}, 3600),
        # What refused is the window with nothing left, not the one that ends last.
        (
            {
                ANTHROPIC + "requests-remaining": "49",
                ANTHROPIC + "requests-reset": IN_AN_HOUR.isoformat(),
                ANTHROPIC + "input-tokens-remaining": "0",
                ANTHROPIC + "input-tokens-reset": datetime.fromtimestamp(NOW + 20, UTC).isoformat(),
                "retry-after": "15",
            },
            20,
        ),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "8.64s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1m2.5s",
            },
            62.5,
        ),
        # Both have something left: the request asked for more. A day's window must not keep the account out.
        (
            {
                "x-ratelimit-remaining-requests": "150",
                "x-ratelimit-reset-requests": "23h59m0s",
                "x-ratelimit-remaining-tokens": "300",
                "x-ratelimit-reset-tokens": "59s",
            },
            59,
        ),
        (
            {"x-ratelimit-remaining-tokens": "300", "x-ratelimit-reset-tokens": "59s", "retry-after": "3"},
            3,
        ),
        # Kept in full where a reset is given, cut where a retry-after stands alone.
        ({"x-ratelimit-reset-requests": "9h0m0s", "retry-after": "32400"}, 32_400),
        ({"retry-after": "32400"}, 1800),
        ({"x-ratelimit-reset": "34"}, 34),
        ({ANTHROPIC + "unified-5h-reset": str(int(NOW) + 99)}, None),
        ({ANTHROPIC + "requests-reset": "soon", "retry-after": "5"}, 5),
    ],
)
def test_of_headers(headers, ahead):
    assert reset.of_headers(headers, NOW) == (None if ahead is None else pytest.approx(NOW + ahead))


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans() | st.from_regex(r"[0-9hms.:TZ+-]*"))
@example("0001-01-01T00:00:00+23:59")
@example("Mon, 99 Foo 99999 99:99:99 GMT")
@example(10**5000)
def test_never_raises_and_never_gives_an_absurd_date(value):
    ends = [reset.moment(value, NOW), reset.after(value, NOW)]
    if isinstance(value, str):
        ends += [reset.retry_after({"retry-after": value}, NOW), reset.retry_after({"retry-after-ms": value}, NOW)]
        ends += [reset.of_headers({"x-ratelimit-reset-tokens": value, "x-ratelimit-remaining-tokens": value}, NOW)]
    for end in ends:
        assert end is None or NOW <= end <= NOW + reset.FURTHEST


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_900_000_000, 1_900_000_000),
        ("1900000000.5", 1_900_000_000.5),
        (1_900_000_000_000, 1_900_000_000),
        ("2030-03-17T17:46:40Z", 1_900_000_000),
        ("2030-03-17T18:46:40+01:00", 1_900_000_000),
        (5, 5),
        *[(junk, None) for junk in ("", "soon", None, True, -1, [], "2030-13-01T00:00:00Z")],
    ],
)
def test_an_instant_may_be_past_or_far(value, expected):
    assert reset.instant(value) == expected
