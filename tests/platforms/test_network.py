import pytest

from gateway.platforms.network import NetworkFault, network_verdict
from gateway.platforms.platform import Kind, Scope, Verdict

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("fault", "in_a_row", "expected"),
    [
        (NetworkFault.CONNECT, 1, Verdict(Kind.ELSEWHERE, "network")),
        (NetworkFault.CONNECT, 2, Verdict(Kind.COOL_DOWN, "network", NOW + 30, Scope.ACCOUNT)),
        (NetworkFault.TLS, 3, Verdict(Kind.COOL_DOWN, "network", NOW + 60, Scope.ACCOUNT)),
        (NetworkFault.TLS, 4, Verdict(Kind.COOL_DOWN, "network", NOW + 120, Scope.ACCOUNT)),
        (NetworkFault.CONNECT, 5, Verdict(Kind.COOL_DOWN, "network", NOW + 240, Scope.ACCOUNT)),
        (NetworkFault.CONNECT, 6, Verdict(Kind.COOL_DOWN, "network", NOW + 300, Scope.ACCOUNT)),
        (NetworkFault.CONNECT, 10**9, Verdict(Kind.COOL_DOWN, "network", NOW + 300, Scope.ACCOUNT)),
        (NetworkFault.RESET, 1, Verdict(Kind.ELSEWHERE, "network", transient=True)),
        (NetworkFault.RESET, 2, Verdict(Kind.COOL_DOWN, "network", NOW + 30, Scope.FAMILY, transient=True)),
        (NetworkFault.PROXY, 1, Verdict(Kind.ELSEWHERE, "proxy")),
        (NetworkFault.PROXY, 2, Verdict(Kind.COOL_DOWN, "proxy", NOW + 30, Scope.ACCOUNT)),
        (NetworkFault.PROXY, 9, Verdict(Kind.COOL_DOWN, "proxy", NOW + 300, Scope.ACCOUNT)),
        (NetworkFault.UNSENDABLE, 9, Verdict(Kind.ELSEWHERE, "unmet")),
        (NetworkFault.SLOW, 9, Verdict(Kind.ELSEWHERE, "slow", counts=True)),
        (NetworkFault.GARBLED, 9, Verdict(Kind.ELSEWHERE, "fault", counts=True)),
        (NetworkFault.CONNECT, 0, Verdict(Kind.ELSEWHERE, "network")),
    ],
)
def test_network_verdict(fault, in_a_row, expected):
    assert network_verdict(fault, in_a_row, NOW) == expected
