"""Feeding readers: every way of cutting the bytes must leave the same state."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import strategies as st

from gateway.protocols.codec import Reader

FIXTURES = Path(os.environ.get("POOLGATE_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"the recorded answers of providers are not at {FIXTURES} (set POOLGATE_FIXTURES)"
)

State = tuple[object, ...]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def at(data: bytes, places: list[int]) -> list[bytes]:
    """The data cut at these places (taken modulo its length)."""
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[low:high] for low, high in pairwise(marks)]


places = st.lists(st.integers(0, 1 << 20), max_size=12)


def state(reader: Reader) -> State:
    return (
        reader.begun,
        reader.failure,
        reader.complete,
        reader.usage,
        reader.usage_final,
        reader.response_id,
        reader.characters,
    )


def listen(reader: Reader, parts: Iterator[bytes] | list[bytes]) -> Reader:
    for part in parts:
        reader.feed(part)
    reader.close()
    return reader
