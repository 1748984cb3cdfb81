"""Event streams and JSON arrays, cut anywhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.framing import ArraySplitter, BlockSplitter, Event, EventSplitter
from tests.protocols.cuts import at, pieces, places


def events(parts, limit: int = 1 << 20) -> list[Event]:
    splitter = EventSplitter(limit)
    return [event for part in parts for event in splitter.feed(part)] + splitter.close()


STREAMS = [
    (b"data: a\n\n", [(b"", b"a")]),
    (b"data:a\n\ndata:  b\n\n", [(b"", b"a"), (b"", b" b")]),
    (b"event: x\ndata: a\n\n", [(b"x", b"a")]),
    (b"data: a\nevent:x\nid: 7\nretry: 1\n\n", [(b"x", b"a")]),
    (b"data: a\ndata: b\ndata\ndata:\n\n", [(b"", b"a\nb\n\n")]),
    (b": ping\n\n: ping\n\ndata: a\n\n", [(b"", b"a")]),
    (b": ping\ndata: a\n: pong\n\n", [(b"", b"a")]),
    (b"event: x\n\ndata: a\n\n", [(b"", b"a")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a"), (b"", b"b")]),
    (b"data: a\r\rdata: b\rdata: c\r\r", [(b"", b"a"), (b"", b"b\nc")]),
    (b"data: a\n\r\ndata: b\r\n\ndata: c\r\n\rdata: d\n\r", [(b"", b"a"), (b"", b"b"), (b"", b"c"), (b"", b"d")]),
    (b"\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
    (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"", b"a")]),
    (b"data: a\n\ndata: end", [(b"", b"a"), (b"", b"end")]),
    (b"data: a\n\ndata: end\n", [(b"", b"a"), (b"", b"end")]),
    ("data: é😀\n\n".encode(), [(b"", "é😀".encode())]),
    (b"junk\ndatax: 1\n\n", []),
    (b"", []),
]


@pytest.mark.parametrize(("stream", "expected"), STREAMS)
def test_events_whole_and_byte_by_byte_and_at_every_cut(stream, expected):
    assert events([stream]) == expected
    assert events(pieces(stream, 1)) == expected
    for cut in range(len(stream)):
        assert events([stream[:cut], stream[cut:]]) == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"data:", b"event: e", b":c", b"y"])), places)
def test_any_stream_reads_the_same_however_it_is_cut(parts, cuts):
    stream = b"".join(parts)
    assert events(at(stream, cuts)) == events([stream]) == events(pieces(stream, 1))


def test_an_event_is_out_with_its_last_byte():
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
        splitter = EventSplitter()
        stream = b"data: a" + end
        found = [splitter.feed(stream[at : at + 1]) for at in range(len(stream))]
        first = next(at for at, each in enumerate(found) if each)
        assert stream[first:] in (b"\n", b"\r", b"\r\n")  # CRLF: the CR is a line end already


def test_an_event_that_is_too_long_is_passed_over():
    stream = b"data: a\n\ndata: " + b"x" * 500 + b"\ndata: y\n\ndata: b\n\n"
    for size in (1, 7, 64, 1000):
        splitter = EventSplitter(limit=100)
        found = [event for part in pieces(stream, size) for event in splitter.feed(part)] + splitter.close()
        wanted = [(b"", b"a"), (b"", b"b")]
        if size == 1000:  # it came whole: nothing had to be kept
            assert len(found) == 3
        else:
            assert found == wanted
            assert splitter.lost


def test_a_long_event_that_never_ends_is_lost_at_the_end():
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"data: " + b"x" * 100) == []
    assert splitter.feed(b"data: z\n") == []
    assert splitter.close() == []
    assert splitter.lost


class _Blocks(BlockSplitter):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.out = b""

    def _block(self, block: bytes) -> None:
        self.out += block

    def _piece(self, piece: bytes) -> None:
        self.out += piece

    def _line_feed(self) -> None:
        self.out += b"\n"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"yyyyyyyyyyyyyyyy"])), places, st.integers(2, 40))
def test_every_byte_is_handed_over_once(parts, cuts, limit):
    stream = b"".join(parts)
    splitter = _Blocks(limit)
    for part in at(stream, cuts):
        splitter._cut(part)
    assert splitter.out + splitter._rest() == stream


ARRAYS = [
    b"[]",
    b'[{"a":1}]',
    b'[{"a":1}\n,\r\n{"b":[{"c":"]}"},[]]}\n]\n',
    b'[ {} , {"x":"\\"]\\\\"} , {"y":"\\u007d{["} ]',
    '[{"é":"😀\\\\"},{"z":{}}]'.encode(),
]


@pytest.mark.parametrize("array", ARRAYS)
def test_elements_of_an_array_at_every_cut(array):
    expected = json.loads(array)
    for parts in ([array], pieces(array, 1), *([array[:cut], array[cut:]] for cut in range(len(array)))):
        splitter = ArraySplitter()
        found = [element for part in parts for element in splitter.feed(part)]
        assert [json.loads(element) for element in found] == expected
        assert splitter.ended
        assert not splitter.lost


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(), values), max_size=4), st.booleans(), places, st.sampled_from([None, 1, 4]))
def test_any_array_reads_the_same_however_it_is_cut(expected, escape, cuts, indent):
    array = json.dumps(expected, ensure_ascii=escape, indent=indent).encode(errors="surrogatepass")
    splitter = ArraySplitter()
    found = [element for part in at(array, cuts) for element in splitter.feed(part)]
    assert [json.loads(element.decode(errors="surrogatepass")) for element in found] == expected
    assert splitter.ended


def test_an_array_that_is_cut_has_not_ended():
    splitter = ArraySplitter()
    assert splitter.feed(b'[{"a":"x"},{"b":"]') == [b'{"a":"x"}']
    assert not splitter.ended


def test_an_element_that_is_too_long_is_passed_over():
    splitter = ArraySplitter(limit=50)
    array = b'[{"a":1},{"b":"' + b"x" * 200 + b'","c":{}},{"d":2}]'
    found = [element for part in pieces(array, 9) for element in splitter.feed(part)]
    assert found == [b'{"a":1}', b'{"d":2}']
    assert splitter.lost
    assert splitter.ended


def test_one_object_instead_of_an_array_is_read_too():
    assert ArraySplitter().feed(b'{"error":{"code":400}}') == [b'{"error":{"code":400}}']


@pytest.mark.parametrize("junk", [b"]]]]", b'"', b"}{", b"\\\\", b'["\\"'])
def test_junk_instead_of_an_array(junk):
    splitter = ArraySplitter()
    for part in pieces(junk, 1):
        splitter.feed(part)
