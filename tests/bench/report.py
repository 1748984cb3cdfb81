"""Medians of the rounds as one table, and the figures that must be reached."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from tests.bench.measure import HELD, SLOW, Sample

#: What the first slice must reach, on one core of a small machine.
MOST_CPU = 300.0
MOST_LIMITED = 1.1
MOST_CPU_OF_CHUNK = 60.0
MOST_MEMORY = 30.0
MOST_ADDED = 5.0
#: A stream has stalled when an event of its one a second is a second late.
LATEST = 1_000.0


class Figures(Struct, frozen=True):
    """One target; microseconds and kilobytes. None: not measured."""

    rps: float | None = None
    used: float | None = None
    """Share of its core that the gateway used while all connections asked; below 0.9 the load was the limit."""
    cpu: float | None = None
    cpu_least: float | None = None
    cpu_limited: float | None = None
    """With four limits and a budget on the key."""
    limited: float | None = None
    """That, by what the other key's requests of the same round cost: the median of the rounds."""
    p50: float | None = None
    p99: float | None = None
    added_p50: float | None = None
    added_p99: float | None = None
    cpu_of_chunk: float | None = None
    cpu_of_chunk_least: float | None = None
    delay_p50: float | None = None
    delay_p99: float | None = None
    memory: float | None = None
    slow_streams: float | None = None
    slow_delay: float | None = None
    """Milliseconds that the latest event of all was late."""
    slow_gap: float | None = None
    """Milliseconds between two events of one stream, at most; the upstream writes one a second."""
    background: float | None = None
    errors: int = 0


class Gate(Struct, frozen=True):
    name: str
    found: float | None
    limit: float
    ok: bool | None
    """None: it cannot be told."""


def figures(samples: Sequence[Sample], target: str) -> Figures:
    """Medians over the rounds; memory and stalls are the worst of them."""
    direct = _by_round(samples, "direct", "lone")
    busy, lone = _by_round(samples, target, "busy"), _by_round(samples, target, "lone")
    streams, held = _by_round(samples, target, "streams"), _by_round(samples, target, "held")
    slow = _by_round(samples, target, "slow").values()
    limited = _by_round(samples, target, "limited")
    ratios = [
        _ratio(sum(_cpu({number: limited[number]}, "requests")), sum(_cpu({number: busy[number]}, "requests")))
        for number in sorted(limited.keys() & busy.keys())
    ]
    proxied = target != "direct"
    both = sorted(lone.keys() & direct.keys()) if proxied else []
    return Figures(
        rps=_median(sample.load["rps"] for sample in busy.values()),
        used=_median(sample.cpu / sample.load["seconds"] for sample in busy.values()) if proxied else None,
        cpu=_median(_cpu(busy, "requests")) if proxied else None,
        cpu_least=min(_cpu(busy, "requests"), default=None) if proxied else None,
        cpu_limited=_median(_cpu(limited, "requests")),
        limited=_median(ratio for ratio in ratios if ratio is not None),
        p50=_median(sample.load["p50"] for sample in lone.values()),
        p99=_median(sample.load["p99"] for sample in lone.values()),
        added_p50=_median(lone[number].load["p50"] - direct[number].load["p50"] for number in both),
        added_p99=_median(lone[number].load["p99"] - direct[number].load["p99"] for number in both),
        cpu_of_chunk=_median(_cpu(streams, "chunks")) if proxied else None,
        cpu_of_chunk_least=min(_cpu(streams, "chunks"), default=None) if proxied else None,
        delay_p50=_median(sample.load["delay_p50"] for sample in streams.values()),
        delay_p99=_median(sample.load["delay_p99"] for sample in streams.values()),
        memory=max((sample.memory / 1024 / HELD for sample in held.values()), default=None),
        slow_streams=min((sample.load["opened"] for sample in slow), default=None),
        slow_delay=max((sample.load["delay_max"] / 1000 for sample in slow), default=None),
        slow_gap=max((sample.load["gap_max"] / 1000 for sample in slow), default=None),
        background=_median(_background(busy)),
        errors=sum(sample.load["errors"] for sample in samples if sample.target == target),
    )


def gates(found: dict[str, Figures], rows: int, asked: int) -> list[Gate]:
    mine, nginx = found["poolgate"], found.get("nginx")
    ratio = None if nginx is None else _ratio(mine.added_p50, nginx.added_p50)
    return [
        _at_most("CPU µs per request", mine.cpu, MOST_CPU),
        _at_most("CPU with four limits and a budget ÷ without", mine.limited, MOST_LIMITED),
        _at_most("CPU µs per SSE chunk", mine.cpu_of_chunk, MOST_CPU_OF_CHUNK),
        _at_most("KB memory per idle stream", mine.memory, MOST_MEMORY),
        Gate("slow streams at once", mine.slow_streams, SLOW, (mine.slow_streams or 0) >= SLOW),
        _at_most("ms the latest of their chunks was late", mine.slow_delay, LATEST),
        Gate(
            "added p50 at one connection ÷ nginx's", ratio, MOST_ADDED, None if ratio is None else ratio <= MOST_ADDED
        ),
        Gate("errors", mine.errors, 0, mine.errors == 0),
        Gate("rows in the ledger, one for each request", rows, asked, rows == asked),
    ]


def table(found: dict[str, Figures]) -> list[str]:
    names = [name for name in ("direct", "nginx", "poolgate") if name in found]
    compared = "nginx" in found and "poolgate" in found
    head = f"{'':<46}" + "".join(f"{name:>12}" for name in names) + (f"{'÷ nginx':>10}" if compared else "")
    lines = [head]
    for title, field, digits in _ROWS:
        values = [getattr(found[name], field) for name in names]
        if all(value is None for value in values):
            continue
        line = f"{title:<46}" + "".join(f"{_shown(value, digits):>12}" for value in values)
        if compared and field in _COMPARED:
            line += f"{_shown(_ratio(getattr(found['poolgate'], field), getattr(found['nginx'], field)), 1):>10}"
        lines.append(line.rstrip())
    return lines


def verdict(gate: Gate) -> str:
    said = {True: "ok", False: "MISSED", None: "not told (no nginx)"}[gate.ok]
    return f"{gate.name:<46}{_shown(gate.found, 1):>12}{_shown(gate.limit, 1):>12}  {said}"


_ROWS = (
    ("CPU µs per request, 16 connections, 1 KB", "cpu", 1),
    ("  least of the rounds", "cpu_least", 1),
    ("  with four limits and a budget on the key", "cpu_limited", 1),
    ("requests/s on one core", "rps", 0),
    ("  share of that core used", "used", 2),
    ("p50 µs at one connection", "p50", 0),
    ("p99 µs at one connection", "p99", 0),
    ("  added p50 µs", "added_p50", 0),
    ("  added p99 µs", "added_p99", 0),
    ("CPU µs per SSE chunk, 100 streams × 20 ms", "cpu_of_chunk", 1),
    ("  least of the rounds", "cpu_of_chunk_least", 1),
    ("  delay of a chunk p50 µs", "delay_p50", 0),
    ("  delay of a chunk p99 µs", "delay_p99", 0),
    ("memory KB per idle stream, 500 held", "memory", 1),
    ("slow streams at once, 1 chunk/s", "slow_streams", 0),
    ("  latest chunk of all, ms late", "slow_delay", 0),
    ("  longest gap in a stream, ms", "slow_gap", 0),
    ("beside: CPU µs of jobs per ledger row", "background", 1),
    ("errors", "errors", 0),
)
_COMPARED = {
    "cpu",
    "cpu_least",
    "cpu_of_chunk_least",
    "rps",
    "added_p50",
    "added_p99",
    "cpu_of_chunk",
    "delay_p50",
    "delay_p99",
    "memory",
}


def _by_round(samples: Sequence[Sample], target: str, phase: str) -> dict[int, Sample]:
    return {sample.round: sample for sample in samples if (sample.target, sample.phase) == (target, phase)}


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


def _cpu(samples: Mapping[int, Sample], what: str) -> list[float]:
    """Microseconds of the gateway for one of what was counted, round by round."""
    return [sample.cpu * 1e6 / sample.load[what] for sample in samples.values() if sample.load[what]]


def _background(samples: Mapping[int, Sample]) -> list[float]:
    found = (sample for sample in samples.values() if sample.background_cpu and sample.load["requests"])
    return [sample.background_cpu * 1e6 / sample.load["requests"] for sample in found]


def _ratio(mine: float | None, other: float | None) -> float | None:
    return None if mine is None or other is None or other <= 0 else mine / other


def _at_most(name: str, found: float | None, limit: float) -> Gate:
    return Gate(name, found, limit, found is not None and found <= limit)


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
