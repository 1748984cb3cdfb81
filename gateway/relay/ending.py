"""How an exchange has ended, and what it used: read off it when it is settled."""

from typing import TYPE_CHECKING

from gateway.protocols.codec import Usage
from gateway.relay.meter import measured

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange


def used(exchange: "Exchange") -> tuple[Usage, str]:
    """The tokens and their source. Of a request that was at the upstream when it was stopped, the prompt counts."""
    reader, row = exchange.reader, exchange.row
    if reader is not None and (reader.failure is None or row.first_byte_at is not None):
        return measured(reader, row)
    if exchange.stopped and row.attempts:
        return Usage(input_tokens=row.input_tokens), "estimated"
    return Usage(), "none"


def ending(exchange: "Exchange") -> str:
    """One of the ledger's endings, for a request whose client did not leave."""
    row, reader = exchange.row, exchange.reader
    if not row.attempts:
        return "refused"
    if row.error_code == "upstream_timeout":
        return "stalled"
    if row.error_code or row.status is None or row.status >= 400:
        return "upstream_error"
    if reader is not None and reader.failure is not None:
        return "upstream_error"
    if exchange.converter is not None and exchange.converter.failed is not None:
        return "upstream_error"
    if exchange.events and reader is not None and not reader.complete:
        return "upstream_error"
    return "complete"
