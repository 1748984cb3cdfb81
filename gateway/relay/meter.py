"""Listens to one exchange and writes its row: what was asked, who answered, the tokens, the price, how it ended."""

import time
import zlib
from typing import Protocol

from gateway.core.ledger import Attempt, Row, encode
from gateway.core.prices import Table, priced
from gateway.protocols.codec import Peek, Reader, Sampled, Usage
from gateway.relay.estimate import prompt_tokens
from gateway.routing.authorise import Route
from gateway.routing.call import Call

_CHARACTERS_A_TOKEN = 4


def opening(call: Call, route: Route, peek: Peek) -> Row:
    """The row as far as it is known when the request is admitted: what a killed gateway leaves behind. The counting of
    tokens uses none itself."""
    caller, counts = route.caller, route.endpoint.operation == "count"
    agent = call.header.get(b"user-agent")
    return Row(
        request_id=call.request_id,
        received_at=call.received_at,
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        protocol=route.endpoint.protocol,
        path=call.path,
        model_asked=route.model,
        stream=peek.stream,
        client_request_id=call.client_request_id,
        user_id=caller.user_id,
        usage_source="none" if counts else "estimated",
        input_tokens=0 if counts else prompt_tokens(call.body),
        client_ip=call.client_ip,
        user_agent=agent[:256].decode("latin-1") if agent else None,
        session_id=route.session[:256] if route.session else None,
    )


def reservation(row: Row) -> bytes:
    """What is kept in Redis while the request runs: the row's beginning."""
    return encode(row)


class Decoder(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class Listener(Protocol):
    @property
    def begun(self) -> bool: ...

    @begun.setter
    def begun(self, begun: bool) -> None: ...

    def feed(self, data: bytes) -> None: ...


class Tap:
    """Feeds a reader with a copy of the answer, decoded when the upstream compressed it in spite of our asking.

    In an encoding that is not known here, or broken, nothing is read: what it used is estimated from the prompt.
    """

    __slots__ = ("_decoder", "_lost", "reader")

    def __init__(self, reader: Listener, encoding: bytes) -> None:
        self.reader = reader
        self._decoder: Decoder | None = None
        if encoding in {b"gzip", b"x-gzip"}:
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif encoding == b"deflate":
            self._decoder = zlib.decompressobj()
        self._lost = self._decoder is None and encoding not in {b"", b"identity"}

    def feed(self, data: bytes) -> bytes:
        """The bytes as they were before they were compressed; none any more once they cannot be read."""
        if self._decoder is not None and not self._lost:
            try:
                data = self._decoder.decompress(data)
            except zlib.error:
                self._lost = True
        if self._lost:
            self.reader.begun = True  # it has, though nobody can say with what: the client must not wait for its end
            return b""
        self.reader.feed(data)
        return data


def measured(reader: Reader, row: Row) -> tuple[Usage, str]:
    """The tokens of an answer and their source. What the provider did not say is estimated from the characters.

    Figures that cannot be true are not believed, and the attempt's `error_code` says so.
    """
    if reader.doubt and row.attempts:
        row.attempts[-1].error_code = reader.doubt
    if reader.usage is not None and reader.usage_final:
        return reader.usage, "provider"
    known = reader.usage or Usage(input_tokens=row.input_tokens)
    written = max(known.output_tokens, -(-reader.characters // _CHARACTERS_A_TOKEN))
    return (
        Usage(
            input_tokens=known.input_tokens,
            cache_read_tokens=known.cache_read_tokens,
            cache_write_5m_tokens=known.cache_write_5m_tokens,
            cache_write_1h_tokens=known.cache_write_1h_tokens,
            output_tokens=written,
            reasoning_tokens=known.reasoning_tokens,
            audio_tokens=known.audio_tokens,
            image_tokens=known.image_tokens,
            server_tool_calls=known.server_tool_calls,
        ),
        "estimated",
    )


def finish(row: Row, usage: Usage, source: str, table: Table, multiplier: str, *, billed: bool = True) -> None:
    """Puts tokens and price into the row and into its last attempt. `billed`: by the provider, as all but the counting
    of tokens is."""
    row.usage_source = source
    row.input_tokens = usage.input_tokens
    row.cache_read_tokens = usage.cache_read_tokens
    row.cache_write_5m_tokens = usage.cache_write_5m_tokens
    row.cache_write_1h_tokens = usage.cache_write_1h_tokens
    row.output_tokens = usage.output_tokens
    row.reasoning_tokens = usage.reasoning_tokens
    row.audio_tokens = usage.audio_tokens
    row.image_tokens = usage.image_tokens
    row.server_tool_calls = usage.server_tool_calls
    row.ended_at = time.time()
    if source != "none" and row.platform and row.model_used:
        row.currency = table.currency
        if billed:
            found = _price(row, row.platform, row.model_used, usage, table, multiplier)
            base = _price(row, row.platform, row.model_used, usage, table, "1") if multiplier != "1" else None
            row.cost, row.price_version = found or (None, None)
            row.base_cost, row.unpriced = base[0] if base else None, found is None
        else:
            row.cost = 0
    if row.attempts:
        last: Attempt = row.attempts[-1]
        last.input_tokens = usage.input_tokens
        last.output_tokens = usage.output_tokens
        last.usage_source = source


def _price(row: Row, platform: str, model: str, usage: Usage, table: Table, multiplier: str) -> tuple[int, str] | None:
    """The cost and the version that says so. Each sampling costs what its own model does, in the tier of its prompt."""
    # A deployment has a name of the operator's own: then what the client asked for says what it costs.
    names = (model, row.model_asked)
    if not isinstance(usage, Sampled):
        return priced(table, platform, names, row.received_at, usage, multiplier)
    total, version = 0, ""
    for share in usage.shares:
        found = priced(
            table, platform, (share.model,) if share.model else names, row.received_at, share.usage, multiplier
        )
        if found is None:
            return None
        total, version = total + found[0], version or found[1]
    return total, version
