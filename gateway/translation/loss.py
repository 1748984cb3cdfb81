"""What cannot cross between the protocols: one row of the reference's loss table. Each package lists its own in its
module `losses`, and drops, clamps and refuses by the names there. Pure."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Way = Literal["from its clients", "to its accounts", "from its accounts", "to its clients"]
"""Of requests and of answers, seen from the protocol whose row it is."""
Fate = Literal["dropped", "clamped", "400"]
"""`dropped`: left out, for what is answered stays the same or nobody else can do it; `clamped`: carried in another form
or range; `400`: refused, the field by its name, for leaving it out would change what is answered."""


class Loss(Struct, frozen=True):
    """`name`: the member, as `Prompt.dropped` and `Built.adjusted` name it where they do. `why` has no full stop."""

    way: Way
    name: str
    fate: Fate
    why: str


Row = tuple[str, Fate, str]
"""Name, fate and why."""


def losses(way: Way, *rows: Row) -> tuple[Loss, ...]:
    return tuple(Loss(way, *row) for row in rows)


def alike(names: Iterable[str], fate: Fate, why: str) -> list[Row]:
    """Rows that differ by name alone."""
    return [(name, fate, why) for name in names]
