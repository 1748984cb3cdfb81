"""The only package that speaks HTTP to upstreams: one choke point for where connections may go, one pool, one parser.

The relay uses `Upstream.open` and pushes an `Answer` into a `Sink`; probes, tests and renewals use httpx over
`Transport`, which goes through the same pool and the same policy.
"""

from gateway.upstream.answer import Answer, Sink
from gateway.upstream.client import Upstream
from gateway.upstream.egress import Allowed, Egress
from gateway.upstream.failures import BadAnswer, ConnectionBroken, DialFailed, Failure, TimedOut, Truncated
from gateway.upstream.pool import tls_context
from gateway.upstream.request import Origin
from gateway.upstream.transport import Transport

__all__ = [
    "Allowed",
    "Answer",
    "BadAnswer",
    "ConnectionBroken",
    "DialFailed",
    "Egress",
    "Failure",
    "Origin",
    "Sink",
    "TimedOut",
    "Transport",
    "Truncated",
    "Upstream",
    "tls_context",
]
