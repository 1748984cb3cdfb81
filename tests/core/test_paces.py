"""How long accounts take, as several gateways tell it."""

import msgspec

from gateway.core.paces import MOST, REMEMBERED, Pace, encode, merged

NOW = 1_000_000.0


def test_who_has_asked_an_account_last_is_believed() -> None:
    one = {"a": Pace(0.5, NOW - 9), "b": Pace(4.0, NOW - 1, True)}
    two = {"a": Pace(0.25, NOW - 2), "b": Pace(0.5, NOW - 3), "c": Pace(1.0, NOW)}
    expected = {"a": two["a"], "b": one["b"], "c": two["c"]}
    for told in ([one, two], [two, one], [one, two, one]):
        assert merged([encode(paces) for paces in told], NOW) == expected
    assert merged([], NOW) == {}


def test_what_is_old_or_of_another_form_counts_for_nothing() -> None:
    old = encode({"a": Pace(0.5, NOW - REMEMBERED), "b": Pace(0.5, NOW - REMEMBERED + 1)})
    assert list(merged([b"nonsense", '{"a": 7}', '{"a": ["x", 1, 2]}', old], NOW)) == ["b"]


def test_the_last_that_were_asked_are_told() -> None:
    many = {f"a{at}": Pace(0.1, NOW - at) for at in range(MOST + 50)}
    told = msgspec.json.decode(encode(many))
    assert list(told) == [f"a{at}" for at in range(MOST)]
