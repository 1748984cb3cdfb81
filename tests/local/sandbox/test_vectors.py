import pytest

from gateway.local.sandbox.vectors import vector


def test_vectors_are_fixed_by_their_text_and_of_length_one() -> None:
    one = vector("a", 64)
    assert (len(one), one == vector("a", 64), one == vector("b", 64)) == (64, True, False)
    assert sum(v * v for v in one) == pytest.approx(1, abs=1e-5)
