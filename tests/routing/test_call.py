"""What was asked, as it came in: the key's forms and their order, the query string."""

import pytest

from gateway.routing.call import presented_key, without

FORMS = [b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_word_bearer_in_any_case(scheme: str) -> None:
    assert presented_key({b"authorization": f"{scheme} sk-1".encode()}, b"") == "sk-1"


@pytest.mark.parametrize("at", range(5))
def test_the_first_form_that_is_present_wins_even_when_it_holds_none(at: int) -> None:
    header = {name: b"Bearer late" if name == b"authorization" else b"late" for name in FORMS[at + 1 :]}
    if at == 4:
        assert presented_key(header, b"a=1&key=") == ""
        return
    assert presented_key({FORMS[at]: b"", **header}, b"key=late") == ""
    assert presented_key({FORMS[at]: b"Bearer first" if at == 0 else b"first", **header}, b"key=late") == "first"


@pytest.mark.parametrize("value", [b"Basic c2stMQ==", b"basic", b"Digest a=b", b"sk-1", b"Bearersk-1"])
def test_another_scheme_is_not_presented(value: bytes) -> None:
    assert presented_key({b"authorization": value, b"x-api-key": b"sk-2"}, b"key=sk-3") == "sk-2"
    assert presented_key({b"authorization": value}, b"key=sk-3") == "sk-3"
    assert presented_key({b"authorization": value}, b"") is None


@pytest.mark.parametrize("value", [b"", b" ", b"Bearer", b"Bearer ", b"bearer  "])
def test_a_bearer_without_a_token_is_presented(value: bytes) -> None:
    assert presented_key({b"authorization": value, b"x-api-key": b"sk-2"}, b"key=sk-3") == ""


def test_the_query_comes_last() -> None:
    assert presented_key({}, b"alt=sse&key=sk-1&x=2") == "sk-1"
    assert presented_key({}, b"monkey=sk-1") is None
    assert presented_key({}, b"a=key&b=%6bey") is None
    assert presented_key({}, b"key") == ""
    assert presented_key({}, b"key=sk-1&key=sk-2") == "sk-1"


@pytest.mark.parametrize("query", [b"key=sk%2D1", b"k%65y=sk-1", b"a=%zz&%6b%65%79=%73k-1&x"])
def test_escapes_of_the_query_are_read(query: bytes) -> None:
    assert presented_key({}, query) == "sk-1"
    assert presented_key({}, b"") is None


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"", b""),
        (b"key=sk-1", b""),
        (b"alt=sse&key=sk-1", b"alt=sse"),
        (b"key=sk-1&a=%20+&b", b"a=%20+&b"),
        (b"key=1&key=2&keys=3&a=key=4", b"keys=3&a=key=4"),
        (b"%6bey=sk-1&k%65y=2&a=%6bey", b"a=%6bey"),
        (b"beta=true&x=%zz", b"beta=true&x=%zz"),
        (b"key&a=1", b"a=1"),
    ],
)
def test_the_key_leaves_the_query_and_all_else_stays(query: bytes, left: bytes) -> None:
    assert without(query, b"key") == left
