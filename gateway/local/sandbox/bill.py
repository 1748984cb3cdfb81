"""The bill: what the simulated provider charges for, to be compared with a ledger.

A finished answer is billed in full. One that was cut, by the script or by a client that left, is billed for its input
and for the output generated until then. Errors and token counting cost nothing.
"""

from collections import deque
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.protocols.codec import Usage

Outcome = Literal["complete", "cut", "client_gone", "error"]


class Row(Struct, frozen=True):
    """One request that ended. Times are seconds since the epoch; `input_tokens` leaves caches out."""

    id: str
    """The answer's own id as the client read it (`msg_…`, `chatcmpl-…`, `resp_…`); empty for errors."""
    request_id: str
    """The id in the answer's headers (`request-id`, `x-request-id`)."""
    protocol: str
    operation: str
    model: str
    credential: str
    """Last four characters."""
    path: str
    stream: bool
    status: int
    outcome: Outcome
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    client_request_id: str | None
    started_at: float
    ended_at: float


class Bill:
    """Rows in the order in which requests ended. The newest `keep` rows are held; the totals count all."""

    def __init__(self, keep: int = 200_000) -> None:
        self.rows: deque[Row] = deque(maxlen=keep)
        self.clear()

    def clear(self) -> None:
        self.rows.clear()
        self._requests = 0
        self._outcomes = dict.fromkeys(("complete", "cut", "client_gone", "error"), 0)
        self._tokens = dict.fromkeys(Usage.__struct_fields__, 0)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self._requests += 1
        self._outcomes[row.outcome] += 1
        if row.outcome != "error":
            tokens = self._tokens
            tokens["input_tokens"] += row.input_tokens
            tokens["cache_read_tokens"] += row.cache_read_tokens
            tokens["cache_write_5m_tokens"] += row.cache_write_5m_tokens
            tokens["cache_write_1h_tokens"] += row.cache_write_1h_tokens
            tokens["output_tokens"] += row.output_tokens
            tokens["reasoning_tokens"] += row.reasoning_tokens

    @property
    def totals(self) -> dict[str, int]:
        """Requests, requests by outcome, and tokens by class."""
        return {"requests": self._requests, **self._outcomes, **self._tokens}

    def as_dict(self) -> dict[str, Any]:
        return {"requests": msgspec.to_builtins(list(self.rows)), "totals": self.totals}
