"""Numbers that can be said in every form, figures that can be believed, and a vector for each text."""

import pytest

from gateway.translation.embeddings import EMBEDDINGS, Texts, Unreadable, Vectors
from gateway.translation.embeddings.vectors import checked, figure, paired, tokens

MOST = 3.4028234663852886e38


def test_numbers():
    assert checked([[MOST, -MOST], [], [0.0]]) == ([MOST, -MOST], [], [0.0])
    for bad in (float("nan"), float("inf"), -float("inf"), MOST * 1.001, -1e300):
        with pytest.raises(Unreadable):
            checked([[0.0], [0.0, bad, 1.0]])
    with pytest.raises(Unreadable):
        checked([[float("inf"), -float("inf")]])


@pytest.mark.parametrize(("value", "expected"), [(None, None), (0, 0), (7, 7), (-1, None), (True, None), ("7", None)])
def test_figures(value, expected):
    assert figure(value) == expected


def test_figures_that_are_not_said_are_estimated():
    texts = Texts("m", ("a" * 40, "漢字"))
    assert tokens(texts, Vectors(([], []), 3)) == 3
    assert tokens(texts, Vectors(([], []), 0)) == 0
    assert tokens(texts, Vectors(([], []))) == 12
    assert tokens(Texts("m", ("",)), Vectors(([],))) == 1


@pytest.mark.parametrize("protocol", EMBEDDINGS)
@pytest.mark.parametrize("given", [0, 1, 3])
def test_no_vector_is_taken_for_that_of_another_text(protocol, given):
    found = Vectors(([1.0],) * given)
    with pytest.raises(Unreadable):
        EMBEDDINGS[protocol].write(Texts("m", ("a", "b")), found)
    with pytest.raises(Unreadable):
        paired(Texts("m", ("a", "b")), found)
