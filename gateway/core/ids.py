"""Ids: a type prefix and a UUIDv7 (RFC 9562), so that they sort by time and say what they name."""

import os
import time
from uuid import UUID

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def uuid7(milliseconds: int | None = None) -> UUID:
    """A UUIDv7 of now, or of the given millisecond since the epoch."""
    moment = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    noise = int.from_bytes(os.urandom(10), "big")
    high = (moment & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | noise >> 68
    low = 0x8000_0000_0000_0000 | noise & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=high << 64 | low)


def text7(milliseconds: int) -> str:
    """The same as text, without the object between: every request has one."""
    noise = os.urandom(10).hex()
    moment = "%012x" % (milliseconds & 0xFFFF_FFFF_FFFF)
    return f"{moment[:8]}-{moment[8:]}-7{noise[:3]}-{_VARIANT[noise[3]]}{noise[4:7]}-{noise[7:19]}"


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid7()}"


def milliseconds_of(value: UUID) -> int:
    """The millisecond since the epoch that is inside a UUIDv7."""
    return value.int >> 80


def uuid_of(public_id: str, prefix: str) -> UUID:
    """The UUID inside a public id. Raises ValueError when it is not one of this kind."""
    head, separator, rest = public_id.partition("_")
    if head != prefix or not separator or len(rest) != 36:
        raise ValueError(f"not a {prefix}_… id")
    return UUID(rest)
