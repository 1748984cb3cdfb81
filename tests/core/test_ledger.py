"""A row on its way: nothing is lost in its JSON, and its moment is the one in its id."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ids import milliseconds_of, uuid_of
from gateway.core.ledger import Attempt, Row, decode, encode, new_request, shown

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 1 << 40)
attempts = st.builds(Attempt, texts, texts, texts, st.floats(0, 4e9), status=st.integers(0, 599), output_tokens=counts)
rows = st.builds(
    Row,
    request_id=texts,
    received_at=st.floats(0, 4e9),
    tenant_id=texts,
    key_id=texts,
    protocol=texts,
    path=texts,
    model_asked=texts,
    stream=st.booleans(),
    user_id=st.none() | texts,
    input_tokens=counts,
    cost=st.none() | st.integers(0, 1 << 60),
    attempts=st.lists(attempts, max_size=3),
)


@given(rows)
def test_a_row_comes_back(row: Row) -> None:
    data = encode(row)
    assert b"\n" not in data  # a line of the journal
    assert decode(data) == row


def test_without_an_end_it_is_lost() -> None:
    row = decode(b'{"request_id":"r","received_at":1,"tenant_id":"t","key_id":"k","protocol":"p","path":"/",'
                 b'"model_asked":"m","stream":false}')  # fmt: skip
    assert (row.ending, row.usage_source, row.attempts, row.cost) == ("gateway_lost", "none", [], None)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"request_id":1}', b"\xff"])
def test_what_is_no_row(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(data)


def test_a_request_is_received_at_the_millisecond_of_its_id() -> None:
    for _ in range(2000):
        identity, at = new_request()
        assert round(at * 1000) == milliseconds_of(uuid_of(identity, "req"))


def test_an_attempt_is_shown_whole() -> None:
    made = shown(Attempt("acct_1", "openai", "m", 1_700_000_000.25))
    assert made["started_at"] == "2023-11-14T22:13:20.250Z"
    assert made["ended_at"] is None
    assert set(made) == {
        "account_id", "platform", "model", "status", "outcome", "error_code", "input_tokens", "output_tokens",
        "usage_source", "upstream_request_id", "started_at", "ended_at",
    }  # fmt: skip
