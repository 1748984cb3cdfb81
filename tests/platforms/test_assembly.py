"""An answer put together from a stream: the same however it is fed, in the upstream's own bytes, never half."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.platforms.assembly import Assembler

CREATED = b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","error":null,"output":[]}}'
DELTA = b'{"type":"response.output_text.delta","output_index":0,"delta":"say \\"response.completed\\" \\ud83d"}'


def done(index: Any, item: bytes) -> bytes:
    return b'{"type":"response.output_item.done","output_index":%b,"item":%b}' % (json.dumps(index).encode(), item)


def end(response: bytes, kind: str = "response.completed") -> bytes:
    return b'{"type":"%b","sequence_number":9,"response":%b}' % (kind.encode(), response)


def stream(*events: bytes, named: bool = True) -> bytes:
    blocks = []
    for event in events:
        kind = json.loads(event).get("type", "x").encode()
        blocks.append((b"event: %b\n" % kind if named else b"") + b"data: " + event + b"\n\n")
    return b"".join(blocks)


def assembled(data: bytes, *cuts: int, **limits: int) -> bytes:
    made = Assembler(**limits)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    said = b"".join(made.feed(data[low:high]) for low, high in pairwise(places))
    assert said == b"", "nothing goes out before the end"
    return made.close()


FULL = b'{"id" : "resp_1", "output":[ {"a":1.0} ],"usage":{"x":1e2},"emoji":"\\ud83d"}'
FIRST, SECOND = b'{"type":"reasoning", "n":1.50}', b'{"type":"message","text":"\\ud83d \xc3\xa4"}'

TABLE = [
    pytest.param(stream(CREATED, DELTA, end(FULL)), FULL, id="verbatim"),
    pytest.param(stream(CREATED, end(FULL), named=False), FULL, id="events without names"),
    pytest.param(stream(CREATED, end(FULL)).replace(b"\n", b"\r\n"), FULL, id="CRLF"),
    pytest.param(stream(CREATED, end(FULL)).rstrip(b"\n"), FULL, id="without its blank line"),
    pytest.param(stream(end(FULL, "response.incomplete")), FULL, id="incomplete"),
    pytest.param(stream(end(FULL), end(b'{"output":[2]}'), done(0, b"1")), FULL, id="the first end is the end"),
    pytest.param(stream(done(0, FIRST), end(FULL)), FULL, id="an output that is there stays"),
    pytest.param(
        stream(CREATED, done(1, SECOND), done(0, FIRST), end(b'{"id":"r","output": [ ],"usage":null}')),
        b'{"id":"r","output": [' + FIRST + b"," + SECOND + b'],"usage":null}',
        id="an empty output is filled in order",
    ),
    pytest.param(
        stream(done(0, FIRST), end(b'{"id":"r"}')), b'{"output":[' + FIRST + b'],"id":"r"}', id="a missing output"
    ),
    pytest.param(
        stream(done(0, FIRST), end(b'{"id":"r","output":null}')), b'{"id":"r","output":[' + FIRST + b"]}", id="null"
    ),
    pytest.param(
        stream(done(None, FIRST), done("x", SECOND), end(b'{"output":[]}')),
        b'{"output":[' + FIRST + b"," + SECOND + b"]}",
        id="without an index, as they come",
    ),
    pytest.param(
        stream(done(0, FIRST), done(0, SECOND), end(b'{"output":[]}')),
        b'{"output":[' + SECOND + b"]}",
        id="an item said twice",
    ),
    pytest.param(stream(CREATED, end(b'{"id":"r","output":[]}')), b'{"id":"r","output":[]}', id="nothing was said"),
    pytest.param(
        stream(CREATED, b'{"type":"error","error":{"type":"usage_limit_reached","resets_in_seconds":60}}'),
        b'{"error":{"type":"usage_limit_reached","resets_in_seconds":60}}',
        id="an error",
    ),
    pytest.param(
        stream(b'{"type":"error","code":"server_error","message":"Sorry."}'),
        b'{"error":{"type":"error","code":"server_error","message":"Sorry."}}',
        id="a flat error",
    ),
    pytest.param(
        stream(done(0, FIRST), end(b'{"status":"failed","error":{"code": "rate_limit_exceeded"}}', "response.failed")),
        b'{"error":{"code": "rate_limit_exceeded"}}',
        id="a failure",
    ),
    pytest.param(
        stream(end(b'{"status":"failed","error":null}', "response.failed")),
        b'{"error":{"message":"The response failed.","type":"server_error","param":null,"code":"server_error"}}',
        id="a failure that says nothing",
    ),
    pytest.param(
        stream(b'{"type":"error","error":{"code":"x"}}', end(FULL)), b'{"error":{"code":"x"}}', id="then ends"
    ),
    pytest.param(stream(CREATED, DELTA, done(0, FIRST)), b"", id="cut"),
    pytest.param(stream(end(FULL))[:-20], b"", id="cut in the last event"),
    pytest.param(b"", b"", id="empty"),
    pytest.param(stream(end(b"null")), b"", id="no response in it"),
    pytest.param(b"data: [DONE]\n\ndata: {\n\n: response.completed\n\ndata: response.completed\n\n", b"", id="junk"),
]


@pytest.mark.parametrize(("data", "expected"), TABLE)
def test_what_comes_of_a_stream(data: bytes, expected: bytes) -> None:
    assert assembled(data) == expected
    assert assembled(data, *range(len(data))) == expected


@given(st.sampled_from([param.values for param in TABLE]), st.lists(st.integers(0, 10_000), max_size=12))
def test_cuts_make_no_difference(row: Any, cuts: list[int]) -> None:
    data, expected = row
    assert assembled(data, *cuts) == expected


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_is_raised(before: bytes, after: bytes) -> None:
    assembled(before + b'data: {"type":"response.completed","response":' + after + b"\n\n")


def test_it_is_bounded() -> None:
    item = b'{"text":"%b"}' % (b"x" * 400)
    empty, full = end(b'{"id":"r","output":[]}'), end(b'{"id":"r","output":[1]}')
    long = b'{"type":"response.completed","response":{"id":"r","output":[1],"text":"%b"}}' % (b"x" * 2_000)
    items = [done(at, item) for at in range(3)]
    assert assembled(stream(*items, empty), items=1_000) == b"", "half of the items would be half an answer"
    assert assembled(stream(*items, full), items=1_000) == b'{"id":"r","output":[1]}'
    pieces = range(0, 4_000, 100)
    assert assembled(stream(long), *pieces, limit=1_000) == b""
    assert assembled(stream(done(0, b'"%b"' % (b"x" * 2_000)), empty), *pieces, limit=1_000) == b""
    assert len(assembled(stream(*items, empty))) > 1_200
