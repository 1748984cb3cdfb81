"""Ids that Anthropic takes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.anthropic.names import LONGEST_ID, short
from gateway.translation.names import legal
from tests.translation.test_names import TEXTS


@given(TEXTS)
def test_a_short_id_is_short(text):
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", short(text))
    assert short(text) == legal(text) or len(legal(text)) > LONGEST_ID


@given(st.lists(TEXTS, min_size=2, max_size=2, unique=True))
def test_two_never_become_one(texts):
    assert short(texts[0]) != short(texts[1])
