"""How long accounts take to the first byte, as gateways tell it: what operators are shown is what requests meet. Pure.

In Redis it is one hash for each kind of request and hour (`names.pace_name`): gateway → its paces as JSON,
`{"ACCOUNT": [mean, at, slow], …}`. Each gateway has means of its own; who has asked an account last is believed.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

REMEMBERED = 3600.0
"""Seconds for which a mean is believed that nothing is added to."""
MOST = 500
"""Accounts that a gateway tells of, the last that were asked."""


class Pace(Struct, frozen=True, array_like=True):
    """Of one account, for one kind of request. `mean` in seconds; `at`: when it was asked last, of the epoch."""

    mean: float
    at: float
    slow: bool = False
    """Against its peers."""


_decoder = msgspec.json.Decoder(dict[str, Pace])


def encode(paces: Mapping[str, Pace]) -> bytes:
    newest = sorted(paces.items(), key=lambda one: one[1].at, reverse=True)[:MOST]
    return msgspec.json.encode(dict(newest))


def merged(told: Iterable[str | bytes], now: float) -> dict[str, Pace]:
    """Of several gateways; without what another version wrote in another form."""
    found: dict[str, Pace] = {}
    for text in told:
        try:
            paces = _decoder.decode(text)
        except msgspec.MsgspecError:
            continue
        for account_id, pace in paces.items():
            known = found.get(account_id)
            if now - pace.at < REMEMBERED and (known is None or known.at < pace.at):
                found[account_id] = pace
    return found
