"""How an exchange with an upstream can fail, as the relay needs to know it: who to blame, and may it be tried again."""

import ssl
from typing import Literal

Phase = Literal["connect", "head", "first_event", "body", "idle", "total"]
DialReason = Literal["request", "egress", "dns", "refused", "unreachable", "tls", "timeout", "proxy"]


class Failure(Exception):
    """The base of the tree. The message is for logs: it names hosts, so no client may read it."""

    sent: bool
    """Whether any byte of the request was written, so that the upstream may have acted (and billed) on it."""
    phase: Phase

    def __init__(self, message: str, *, phase: Phase, sent: bool = True) -> None:
        super().__init__(message)
        self.phase = phase
        self.sent = sent


class DialFailed(Failure):
    """No connection was made, so nothing was sent.

    `reason`: `request` (the URL or a header cannot be written safely), `egress` (refused by policy), `dns`,
    `refused`, `unreachable`, `tls` (handshake or certificate), `timeout` (the account's `connect` seconds ran out),
    `proxy`: the account's proxy is at fault, not the account. What a working proxy says of the target is the target's.
    """

    def __init__(self, message: str, *, reason: DialReason) -> None:
        super().__init__(message, phase="connect", sent=False)
        self.reason: DialReason = reason


def dial_failed(where: str, error: OSError) -> DialFailed:
    """By what the operating system or the TLS library said of a dial."""
    if isinstance(error, ssl.SSLError):
        return DialFailed(f"{where}: {error}", reason="tls")
    if isinstance(error, ConnectionRefusedError):
        return DialFailed(f"{where}: refused", reason="refused")
    if isinstance(error, TimeoutError):
        return DialFailed(f"{where}: no answer", reason="timeout")
    return DialFailed(f"{where}: {error}", reason="unreachable")


class ConnectionBroken(Failure):
    """Reset or closed before the head of the answer was in.

    `stale`: a kept connection that broke before any byte of the answer, which is how a server's own idle limit
    looks from here; the request may be sent once more at once.
    """

    def __init__(self, message: str, *, stale: bool) -> None:
        super().__init__(message, phase="head")
        self.stale = stale


class Truncated(Failure):
    """Cut in the body: fewer bytes than the content-length, chunks without an end, or TLS without its closing alert."""

    def __init__(self, message: str) -> None:
        super().__init__(message, phase="body")


class BadAnswer(Failure):
    """Not an HTTP/1 answer that can be trusted: syntax, doubtful framing, too large a head."""


class TimedOut(Failure):
    """A limit of the account ran out: `phase` is `head` or `first_event` (streams), `idle` (streams) or `total`."""
