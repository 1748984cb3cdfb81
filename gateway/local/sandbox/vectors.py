"""Embedding vectors: the same text gives the same unit vector."""

from array import array
from functools import lru_cache
from hashlib import shake_256
from math import sqrt
from struct import pack, unpack


@lru_cache(1024)
def vector(text: str, dimensions: int) -> list[float]:
    """A vector of length one, each value exact as a 32-bit float, so that base64 and JSON carry the same."""
    raw = array("h", shake_256(text.encode()).digest(2 * dimensions))
    length = sqrt(sum(v * v for v in raw)) or 1.0
    values = [v / length for v in raw]
    return list(unpack(f"<{dimensions}f", pack(f"<{dimensions}f", *values)))
