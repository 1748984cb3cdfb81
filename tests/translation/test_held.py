"""Bytes that are kept until all are there."""

import pytest

from gateway.translation import held
from gateway.translation.held import Held


def test_all_pieces_are_one() -> None:
    kept = Held()
    assert [kept.add(piece) for piece in (b"a", b"", b"bc")] == [True] * 3
    assert kept.taken() == b"abc"
    assert kept.taken() == b""


def test_of_too_many_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_ANSWER", 3)
    kept = Held()
    assert [kept.add(piece) for piece in (b"ab", b"c", b"d", b"")] == [True, True, False, False]
    assert kept.taken() is None
