"""The key's tightest limit in the headers of a client's own dialect. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from gateway.relay.admit import Standing
from gateway.routing.call import Header


def tightest(standings: Sequence[Standing]) -> Standing | None:
    """Of the limits on requests, the one with the fewest places left; of two alike, the one that resets last."""
    counted = [standing for standing in standings if standing.counter.limit.type == "requests"]
    return min(counted, key=lambda standing: (standing.remaining, -standing.reset), default=None)


def limit_headers(dialect: str, standings: Sequence[Standing], now: float) -> list[Header]:
    """OpenAI's resets are durations (`6m0s`), Anthropic's are moments (RFC 3339); Gemini and Ollama have none."""
    standing = tightest(standings) if dialect else None
    if standing is None:
        return []
    limit, remaining = b"%d" % standing.counter.limit.max, b"%d" % standing.remaining
    if dialect == "openai":
        return [
            (b"x-ratelimit-limit-requests", limit),
            (b"x-ratelimit-remaining-requests", remaining),
            (b"x-ratelimit-reset-requests", duration(standing.reset).encode()),
        ]
    return [
        (b"anthropic-ratelimit-requests-limit", limit),
        (b"anthropic-ratelimit-requests-remaining", remaining),
        (b"anthropic-ratelimit-requests-reset", _moment(int(now + standing.reset + 0.999))),
    ]


@lru_cache(1024)
def _moment(second: int) -> bytes:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}".encode()


def duration(seconds: float) -> str:
    """As OpenAI writes them: `20ms`, `1s`, `6m0s`, `2h0m0s`."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = -int(-seconds // 1)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
