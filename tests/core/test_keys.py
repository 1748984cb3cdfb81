"""The form of keys, their check digits, and the digests by which they are found."""

import hashlib
import hmac
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.keys import KEY_LENGTH, KEY_PREFIX, TOKEN_PREFIX, Peppers, new_key, new_token, well_formed

BASE62 = string.digits + string.ascii_letters


def test_a_new_key_is_well_formed_and_never_twice_the_same() -> None:
    made = {new_key() for _ in range(200)}
    assert len(made) == 200
    assert all(well_formed(key) and len(key) == KEY_LENGTH and key.startswith(KEY_PREFIX) for key in made)


def test_the_check() -> None:
    # The check is base62, most significant digit first, of the CRC-32 of all that precedes.
    assert well_formed("sk-" + "0" * 45 + _check("sk-" + "0" * 45))


def _check(stem: str) -> str:
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number, text = zlib.crc32(stem.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        text = alphabet[digit] + text
    return text


@given(st.integers(0, KEY_LENGTH - 1), st.sampled_from(BASE62))
def test_one_wrong_character_is_seen(at: int, other: str) -> None:
    key = new_key()
    changed = key[:at] + other + key[at + 1 :]
    assert well_formed(changed) is (changed == key)


@pytest.mark.parametrize(
    "text",
    ["", "sk-", "sk-" + "a" * 51, "SK-" + "a" * 51, "ü" * KEY_LENGTH, "sk-ant-api03-" + "x" * 41, "a" * 100_000],
)
def test_junk_is_refused_without_a_look_up(text: str) -> None:
    assert not well_formed(text)


@given(st.text(max_size=80))
def test_no_text_breaks_the_check(text: str) -> None:
    well_formed(text)


def test_a_character_outside_the_alphabet_is_refused_even_with_the_right_check() -> None:
    stem = "sk-" + "-" * 45
    assert not well_formed(stem + _check(stem))


def test_a_token() -> None:
    token = new_token()
    assert token.startswith(TOKEN_PREFIX)
    assert len(token) == len(TOKEN_PREFIX) + 45
    assert set(token[len(TOKEN_PREFIX) :]) <= set(BASE62)


def test_digests_are_keyed_newest_first() -> None:
    peppers = Peppers((b"new" * 11, b"old" * 11))
    expected = [hmac.new(pepper, b"sk-x", hashlib.sha256).digest() for pepper in (b"new" * 11, b"old" * 11)]
    assert list(peppers.digests("sk-x")) == expected
    assert peppers.digest("sk-x") == expected[0]
    assert peppers.newest_id() == hashlib.sha256(b"new" * 11).hexdigest()[:8]
