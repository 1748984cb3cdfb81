"""A secret shows itself nowhere but where it is asked to."""

import copy
import json
import pickle

import msgspec
import pytest
from msgspec import Struct

from gateway.core.secret import Secret

CANARY = "canary-5f1d"
SECRET = Secret(CANARY)


class Holder(Struct):
    key: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET!r:>40}", f"{SECRET:x>20}", f"{SECRET!s}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031
        f"{[SECRET]} { {'a': SECRET} }", repr(Holder(SECRET)), str(ValueError(SECRET)),
    ],
)  # fmt: skip
def test_it_prints_as_nothing(shown: str) -> None:
    assert CANARY not in shown
    assert "[secret]" in shown


@pytest.mark.parametrize("serialise", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, vars])
@pytest.mark.parametrize("value", [SECRET, Holder(SECRET)], ids=["bare", "held"])
def test_it_is_not_serialised(serialise, value) -> None:
    if serialise is copy.copy and isinstance(value, Holder):
        return  # shares the secret, shows nothing
    with pytest.raises(TypeError):
        serialise(value)


def test_it_is_a_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert bool(Secret("a"))
    assert not Secret("")
    assert SECRET.reveal() == CANARY
