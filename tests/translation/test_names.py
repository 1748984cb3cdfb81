"""Names in an alphabet that all take, and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.names import legal, original

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.from_regex(r"(_u[0-9a-f]{0,7}_?|\.|a)+")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("toolu_01AbC-9", "toolu_01AbC-9"),
        ("functions.bash:0", "functions_u2e_bash_u3a_0"),
        ("wetter für 😀", "wetter_u20_f_ufc_r_u20__u1f600_"),
        ("my_u2e_name", "my_u5f_u2e_name"),
        ("my_u_name", "my_u_name"),
        ("_use_it", "_use_it"),
        ("", "_"),
    ],
)
def test_what_is_legal_stays_and_the_rest_is_written_readably(text, written):
    assert legal(text) == written
    assert original(written) == (text or "_")


@given(TEXTS)
def test_every_text_becomes_legal_and_comes_back(text):
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", legal(text))
    assert original(legal(text)) == text


@given(st.lists(TEXTS, min_size=2, max_size=2, unique=True))
def test_two_never_become_one(texts):
    assert legal(texts[0]) != legal(texts[1])


def test_what_was_never_written_here_is_not_read_as_a_letter():
    assert original("a_uffffff_b") == "a_uffffff_b"
