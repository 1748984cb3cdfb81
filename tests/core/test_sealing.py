"""Sealed values open in their own row, under a master key that is here, unaltered; nowhere else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sealing import SealBroken, Sealer

OLD, NEW = os.urandom(32), os.urandom(32)


@given(st.binary(max_size=300), st.text(max_size=30))
def test_it_opens_again(value: bytes, context: str) -> None:
    sealer = Sealer((NEW,))
    assert sealer.open(sealer.seal(value, context), context) == value


def test_two_seals_of_one_value_differ() -> None:
    sealer = Sealer((NEW,))
    assert len({sealer.seal(b"x", "row") for _ in range(100)}) == 100


def test_not_in_another_row() -> None:
    sealer = Sealer((NEW,))
    with pytest.raises(SealBroken, match="row"):
        sealer.open(sealer.seal(b"x", "accounts/1/credentials"), "accounts/2/credentials")


def test_any_altered_byte_is_seen() -> None:
    sealer = Sealer((NEW,))
    sealed = sealer.seal(b"secret", "row")
    for at in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], "row")


def test_any_cut_is_seen() -> None:
    sealer = Sealer((NEW,))
    sealed = sealer.seal(b"secret", "row")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open(sealed[:length], "row")


def test_rotation() -> None:
    sealed = Sealer((OLD,)).seal(b"x", "row")
    both = Sealer((NEW, OLD))
    assert both.open(sealed, "row") == b"x"
    with pytest.raises(SealBroken, match="master key"):
        Sealer((OLD,)).open(both.seal(b"x", "row"), "row")
    with pytest.raises(SealBroken, match="master key"):
        Sealer((NEW,)).open(sealed, "row")


def test_without_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Sealer(())


def test_credentials_come_back_as_secrets() -> None:
    sealer = Sealer((NEW,))
    sealed = sealer.seal_credentials({"api_key": "sk-1", "service_account": {"a": 1}}, "acct_1")
    opened = sealer.open_credentials(sealed, "acct_1")
    assert opened["api_key"].reveal() == "sk-1"
    assert opened["service_account"].reveal() == '{"a":1}'
    assert "sk-1" not in repr(opened)
    assert b"sk-1" not in sealed
