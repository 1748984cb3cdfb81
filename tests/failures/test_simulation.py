"""The simulation, short: what needs an hour to be measured well is only bounded here."""

from tests.failures.simulation import HEALTHY, simulate


async def test_trouble_with_five_accounts_is_not_the_clients():
    report = await simulate(minutes=0.5, rate=12, seed=3)
    said = str(report)
    assert not report.mixed.failures, said
    assert report.held == 0, said
    assert report.mixed.asked > 150, said
    # A p99 of some hundred requests is nearly the slowest one; an hour's is within 1.2 (see the README).
    assert report.mixed.wait(0.9) < 1.3 * report.alone.wait(0.9), said
    healthy = [count for name, count in report.served.items() if name.startswith("healthy")]
    assert len(healthy) == HEALTHY, said
    assert report.served["slow"] < sum(healthy) / HEALTHY, said
    assert sum(report.statuses["revoked"].values()) <= 4, said
