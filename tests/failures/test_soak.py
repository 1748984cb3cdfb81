"""The soak, short: everything dies once at least."""

from tests.failures.soak import report, soak


async def test_every_billed_request_has_one_row_and_the_providers_usage_is_exact():
    verdict = await soak(400, seed=7)
    assert not verdict.faults, report(verdict)
    assert verdict.lost <= verdict.in_flight, report(verdict)
    assert verdict.exact > 300, report(verdict)
    assert verdict.rows >= verdict.billed
