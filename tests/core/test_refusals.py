"""The line that carries counts of refusals."""

import pytest
from msgspec import MsgspecError

from gateway.core.ids import new_id
from gateway.core.ledger import Row, encode
from gateway.core.refusals import NO_KEY, NO_TENANT, Refused, decode
from gateway.core.refusals import encode as encode_refused

LINE = [
    Refused(new_id("ten"), new_id("key"), "rate_limited", 429, 490_000, 7),
    Refused(NO_TENANT, NO_KEY, "key_invalid", 401, 490_000, 2**40),
]


def test_a_line_is_read_back():
    line = encode_refused(LINE)
    assert decode(line) == decode(line.decode()) == LINE
    assert b"\n" not in line


def test_a_row_is_no_such_line():
    row = Row("req_1", 1.0, "ten", "key", "anthropic", '{"refused"', '{"refused": []}', False)
    assert decode(encode(row)) is None
    assert decode(b"junk") is None
    assert decode(b'{"other":"\\"refused\\""}') is None


@pytest.mark.parametrize(
    "line",
    [
        '{"refused"',
        '{"refused":1}',
        '{"refused":[["t","k","c",429,1]]}',
        '{"refused":[["t","k","c",429,1,0]]}',
        '{"refused":[["t","k","c",200,1,1]]}',
        '{"refused":[["t","k","c",429,-1,1]]}',
        '{"refused":[["t","k",5,429,1,1]]}',
    ],
)
def test_a_spoilt_line_is_refused(line: str):
    with pytest.raises(MsgspecError):
        decode(line)
