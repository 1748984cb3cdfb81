"""Verdicts on attempts that got no answer, so that the relay speaks of networks and answers in one vocabulary."""

from enum import StrEnum

from gateway.platforms.platform import Kind, Scope, Verdict

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 300.0


class NetworkFault(StrEnum):
    UNSENDABLE = "unsendable"
    """The URL or a header cannot be written: nothing left this process, and nobody upstream is at fault."""
    PROXY = "proxy"
    """The way out failed before the upstream was reached: the state is the proxy's, whose accounts may be many."""
    CONNECT = "connect"
    """Name not resolved, refused, unreachable, or not connected in time."""
    TLS = "tls"
    RESET = "reset"
    """The connection ended before the first byte of an answer (also a kept one that had gone stale)."""
    GARBLED = "garbled"
    """What came was not HTTP."""
    SLOW = "slow"
    """The first event, or the whole of an answer in one piece, was too late."""


def network_verdict(fault: NetworkFault, in_a_row: int, now: float) -> Verdict:
    """`in_a_row`: failures of this kind without an answer between, this one included; those that only one key met,
    while others were served, are none (see `gateway.relay.breaker`).

    The second in a row puts it out for 30 s, each further one for twice as long, at most 5 min. What happens before
    a request is written is the account's, or its proxy's; afterwards the request may have a part in it, so only its
    family is out.
    """
    match fault:
        case NetworkFault.SLOW:
            return Verdict(Kind.ELSEWHERE, "slow", counts=True)
        case NetworkFault.GARBLED:
            return Verdict(Kind.ELSEWHERE, "fault", counts=True)
        case NetworkFault.UNSENDABLE:
            return Verdict(Kind.ELSEWHERE, "unmet")
        case _:
            pass
    reason = "proxy" if fault is NetworkFault.PROXY else "network"
    transient = fault is NetworkFault.RESET
    if in_a_row < 2:
        return Verdict(Kind.ELSEWHERE, reason, transient=transient)
    pause = min(FIRST_PAUSE * 2 ** min(in_a_row - 2, 8), LONGEST_PAUSE)
    scope = Scope.FAMILY if transient else Scope.ACCOUNT
    return Verdict(Kind.COOL_DOWN, reason, now + pause, scope, transient=transient)
