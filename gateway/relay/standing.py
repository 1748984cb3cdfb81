"""The key's tightest limits in the headers of a client's own dialect. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from gateway.relay.admit import Standing
from gateway.routing.call import Header

_SHOWN: Mapping[str, bytes] = {
    "requests": b"requests",
    "tokens": b"tokens",
    "input_tokens": b"tokens",
    "output_tokens": b"tokens",
}
"""What the dialects have a word for, by the type of the limit."""


def tightest(standings: Sequence[Standing]) -> dict[bytes, Standing]:
    """Of requests and of tokens, the one with the least left; of two alike, the one that resets last."""
    found: dict[bytes, Standing] = {}
    for one in standings:
        word = _SHOWN.get(one.counter.limit.type)
        if word is None:
            continue
        held = found.get(word)
        if held is None or (one.remaining, -one.reset) < (held.remaining, -held.reset):
            found[word] = one
    return found


def limit_headers(dialect: str, standings: Sequence[Standing], now: float) -> list[Header]:
    """OpenAI's resets are durations (`6m0s`), Anthropic's are moments (RFC 3339); Gemini and Ollama have none. A limit
    for ever has no reset."""
    if not dialect or not standings:
        return []
    said: list[Header] = []
    for word, one in tightest(standings).items():
        limit, remaining = b"%d" % one.counter.limit.max, b"%d" % one.remaining
        if dialect == "openai":
            said += [(b"x-ratelimit-limit-" + word, limit), (b"x-ratelimit-remaining-" + word, remaining)]
            if not one.for_ever:
                said.append((b"x-ratelimit-reset-" + word, duration(one.reset).encode()))
        else:
            begin = b"anthropic-ratelimit-" + word
            said += [(begin + b"-limit", limit), (begin + b"-remaining", remaining)]
            if not one.for_ever:
                said.append((begin + b"-reset", _moment(_ends(one, now))))
    return said


def _ends(one: Standing, now: float) -> int:
    """The second of its reset. A calendar's window ends when it ends, however long the answer has taken."""
    return one.counter.span // 1000 if one.counter.kind == "D" else int(now + one.reset + 0.999)


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
