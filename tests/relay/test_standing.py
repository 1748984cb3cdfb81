"""The tightest limit in a client's dialect."""

from datetime import UTC, datetime

import pytest

from gateway.core.counters import counter
from gateway.core.limits import parse
from gateway.relay.admit import Standing, limit_reached
from gateway.relay.standing import duration, limit_headers, tightest


def standing(
    most: int, used: int, reset: float, kind: str = "requests", per: str = "minute", at: float = 0
) -> Standing:
    period = {} if kind == "concurrency" else {"per": per}
    return Standing(counter(parse([{"type": kind, "max": most, **period}])[0], at), used, reset)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.02, "20ms"),
        (1, "1s"),
        (59.1, "1m0s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (7265, "2h1m5s"),
        (-1, "0ms"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_tightest() -> None:
    few, many, late = standing(10, 9, 5), standing(100, 20, 9), standing(5, 4, 50)
    tokens, output = standing(1000, 100, 3, "tokens"), standing(500, 499, 2, "output_tokens")
    others = [standing(1, 1, 1, "concurrency"), standing(1, 1, 1, "budget")]
    assert tightest([many, few, late, *others]) == {b"requests": late}
    assert tightest([tokens, few, output, many]) == {b"tokens": output, b"requests": few}
    assert tightest(others) == {}


def test_dialects() -> None:
    held = [standing(10, 12, 61.2)]
    assert limit_headers("openai", held, 0) == [
        (b"x-ratelimit-limit-requests", b"10"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-ratelimit-reset-requests", b"1m2s"),
    ]
    assert limit_headers("anthropic", held, 0) == [
        (b"anthropic-ratelimit-requests-limit", b"10"),
        (b"anthropic-ratelimit-requests-remaining", b"0"),
        (b"anthropic-ratelimit-requests-reset", b"1970-01-01T00:01:02Z"),
    ]
    both = [standing(1000, 400, 0.5, "tokens"), *held]
    assert limit_headers("openai", both, 0)[:3] == [
        (b"x-ratelimit-limit-tokens", b"1000"),
        (b"x-ratelimit-remaining-tokens", b"600"),
        (b"x-ratelimit-reset-tokens", b"500ms"),
    ]
    assert limit_headers("anthropic", both, 0)[:3] == [
        (b"anthropic-ratelimit-tokens-limit", b"1000"),
        (b"anthropic-ratelimit-tokens-remaining", b"600"),
        (b"anthropic-ratelimit-tokens-reset", b"1970-01-01T00:00:01Z"),
    ]
    assert limit_headers("", held, 0) == limit_headers("openai", [], 0) == []


@pytest.mark.parametrize("late", [0, 0.001, 0.4, 1.7])
def test_a_calendars_window_ends_when_it_ends(late: float) -> None:
    """However long the answer took since Redis said how far away that is."""
    now = 1_790_000_000.3
    end = 1_790_035_200
    held = [standing(10, 3, end - now, per="day", at=now)]
    assert dict(limit_headers("anthropic", held, now + late))[b"anthropic-ratelimit-requests-reset"] == (
        f"{datetime.fromtimestamp(end, UTC):%Y-%m-%dT%H:%M:%SZ}".encode()
    )


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_what_is_counted_for_ever_has_no_reset(dialect: str) -> None:
    for kind, word in (("requests", b"requests"), ("tokens", b"tokens")):
        said = dict(limit_headers(dialect, [standing(10, 3, 86400, kind, "total")], 0))
        assert len(said) == 2
        assert not [name for name in said if b"reset" in name]
        assert {value for name, value in said.items() if word in name} == {b"10", b"7"}


def test_a_limit_for_ever_is_not_asked_for_again() -> None:
    for per, wait, retries in (("total", 86400, False), ("minute", 20, True)):
        error = limit_reached(standing(10, 10, wait, per=per), wait, ())
        assert error.headers["retry-after"] == str(wait)
        assert (error.headers.get("x-should-retry") != "false") is retries
