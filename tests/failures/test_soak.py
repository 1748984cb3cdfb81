"""The soak, short: everything dies twice at least."""

from tests.failures.soak import report, soak


async def test_every_billed_request_has_one_row_and_all_sums_are_the_rows():
    verdict = await soak(1600, seed=7, kills=2)
    assert not verdict.faults, report(verdict)
    assert verdict.lost <= verdict.in_flight, report(verdict)
    assert verdict.exact > 1200, report(verdict)
    assert verdict.rows >= verdict.billed
    assert verdict.counters > 40, report(verdict)
    assert {name.partition("/")[0] for name in verdict.endings} >= {"client_abort_drained", "client_abort_cut"}
    assert sum(verdict.troubles.values()) == 9, report(verdict)
