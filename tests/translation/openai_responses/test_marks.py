"""Names, seals and ids that come back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.openai_responses.marks import (
    LONGEST_ID,
    Piece,
    apart,
    decrypted,
    encrypted,
    flat,
    separable,
    short,
)
from gateway.translation.prompt import Sealed

names = st.text("abc_-", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("namespace", "name", "plain"),
    [
        (None, "exec", "exec"),
        ("mcp__files", "read", "mcp__files_-_read"),
        ("mcp__files", "a_-_b", "mcp__files_-_a_-_b"),
        (None, "a_-_b", "_-_a_-_b"),
    ],
)
def test_names(namespace, name, plain):
    assert flat(namespace, name) == plain
    assert apart(plain) == (namespace, name)


@pytest.mark.parametrize("name", ["_-_", "a_-_", "_-_a", "_-_-_", "exec"])
def test_a_name_is_never_taken_away(name):
    assert apart(name) == (None, name)
    assert flat(None, name) == name


@given(st.none() | names.filter(separable), names)
def test_every_name_comes_back(namespace, name):
    assert apart(flat(namespace, name)) == (namespace, name)


@given(names)
def test_every_name_of_another_protocol_comes_back(name):
    assert flat(*apart(name)) == name


@pytest.mark.parametrize("namespace", ["", "_-_", "a_-_b", "a_-", "_-"])
def test_spaces_that_cannot_be_told_from_their_names(namespace):
    assert not separable(namespace)


@pytest.mark.parametrize(
    "piece",
    [
        Piece(Sealed("openai", "gAAAA=", "rs_1")),
        Piece(Sealed("anthropic", "EqQB+/=")),
        Piece(Sealed("anthropic", "EqQB"), redacted=True),
        Piece(Sealed("gemini", 'a"b\n', "x"), call="call_1"),
    ],
)
def test_seals(piece):
    written = encrypted(piece)
    assert '"' not in written
    assert decrypted(written, piece.sealed.id) == piece


def test_what_openai_sealed_is_not_marked():
    assert encrypted(Piece(Sealed("openai", "gAAAA", "rs_1"))) == "gAAAA"


@pytest.mark.parametrize(
    "content", ["poolgate.", "poolgate.!!", "poolgate.e30=", "poolgate.é", "poolgate.W10=", "gAAAA"]
)
def test_what_is_no_mark_is_openais(content):
    assert decrypted(content, "rs_1") == Piece(Sealed("openai", content, "rs_1"))


def test_ids():
    assert short("call_1", "call_") == "call_1"
    long = "x" * (LONGEST_ID + 1)
    assert short(long, "call_") == short(long, "call_") != short(long + "x", "call_")
    assert len(short(long, "call_")) <= LONGEST_ID
