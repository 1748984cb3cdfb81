"""The loss table: every row is one that happens, and nothing happens that is no row."""

from gateway.translation.converse import LOSSES
from tests.translation.converse import test_content, test_request


def test_every_row_happens_and_everything_that_happens_is_a_row():
    assert len({name for name, _, _ in LOSSES}) == len(LOSSES)
    assert all(why and not why.endswith(".") for _, _, why in LOSSES)
    adjusted = {name for name, verdict, _ in LOSSES if verdict in ("dropped", "clamped")}
    assert adjusted == {name for name, *_ in test_request.ADJUSTED}
    refused = {name for name, verdict, _ in LOSSES if verdict == "400"}
    assert refused == {name for name, _ in (*test_request.REFUSED, *test_content.REFUSED)}
    assert len(adjusted | refused) == len(LOSSES)
