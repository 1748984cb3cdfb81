"""The rows are of the kinds that the reference knows, and each member once."""

from gateway.translation.openai_responses import LOSSES


def test_rows():
    members = [member for member, _, _ in LOSSES]
    assert len(set(members)) == len(members)
    for member, fate, why in LOSSES:
        assert fate in ("dropped", "400", "clamped"), member
        assert why.endswith("."), member
