"""A row of the ledger on its way from a gateway to PostgreSQL, as JSON in the journal and in the stream."""

import time
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.ids import text7
from gateway.core.state import rfc3339

LOST = "gateway_lost"
"""The ending of a request whose gateway was killed: its row says what was known when it began."""


class Attempt(Struct, omit_defaults=True):
    """One try at one account. Times are epoch seconds."""

    account_id: str
    platform: str
    model: str
    started_at: float
    status: int = 0
    outcome: str = ""
    error_code: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    usage_source: str = "none"
    upstream_request_id: str | None = None
    ended_at: float = 0.0


class Row(Struct, omit_defaults=True):
    """The ledger's fields (spec "Ledger"). Times are epoch seconds; `cost` is in 10⁻⁹ of the currency."""

    request_id: str
    received_at: float
    tenant_id: str
    key_id: str
    protocol: str
    path: str
    model_asked: str
    stream: bool
    client_request_id: str | None = None
    user_id: str | None = None
    account_id: str | None = None
    platform: str | None = None
    provider: str | None = None
    model_used: str | None = None
    status: int | None = None
    error_code: str | None = None
    ending: str = LOST
    usage_source: str = "none"
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    server_tool_calls: int = 0
    cost: int | None = None
    base_cost: int | None = None
    """What it costs before the multiplier of its key and tenant; None where that changes nothing."""
    currency: str = "USD"
    price_version: str | None = None
    unpriced: bool = False
    first_byte_at: float | None = None
    ended_at: float | None = None
    overhead_us: int | None = None
    attempts: list[Attempt] = []
    client_ip: str | None = None
    user_agent: str | None = None
    session_id: str | None = None
    charges: str = ""
    """What it counts under limits (gateway.core.counters.written). Not a column."""


def shown(attempt: Attempt) -> dict[str, Any]:
    """An attempt as the ledger's readers see it: every field, times as RFC 3339."""
    return {
        **msgspec.structs.asdict(attempt),
        "started_at": rfc3339(attempt.started_at),
        "ended_at": rfc3339(attempt.ended_at) if attempt.ended_at else None,
    }


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Row).decode


def new_request() -> tuple[str, float]:
    """A request's id, and the moment inside it: the ledger's `received_at` is exactly that millisecond."""
    milliseconds = time.time_ns() // 1_000_000
    return f"req_{text7(milliseconds)}", milliseconds / 1000
