"""The beginnings of a request and its answer, bounded, of the attempt that counts."""

import gzip

import pytest

from gateway.core.domain import Capture
from gateway.relay.meter import Tap
from gateway.relay.recording import Recording
from gateway.relay.redaction import Part


class Heard:
    def __init__(self) -> None:
        self.data = b""

    def feed(self, data: bytes) -> None:
        self.data += data


@pytest.mark.parametrize(
    ("size", "kept", "truncated"), [(0, 0, False), (9, 9, False), (10, 10, False), (11, 10, True), (99, 10, True)]
)
@pytest.mark.parametrize("cut", [1, 3, 10, 99])
def test_each_side_is_bounded(size: int, kept: int, truncated: bool, cut: int):
    data = bytes(range(100))[:size]
    recording, heard = Recording(Capture(True, redact=("x",), max_bytes=10), data), Heard()
    listening = recording.over(heard)
    for at in range(0, size, cut):
        listening.feed(data[at : at + cut])
    assert heard.data == data
    part = Part(data[:kept], truncated)
    assert recording.task().parts == (part, part)
    assert recording.task().patterns == ("x",)
    assert (recording.request_bytes, recording.answer_bytes) == (size, size)


def test_without_an_answer_there_is_one_part():
    assert Recording(Capture(True), b"asked").task().parts == (Part(b"asked"),)


def test_the_last_attempt_counts():
    recording = Recording(Capture(True), b"asked")
    recording.over(Heard()).feed(b"the first")
    recording.over(Heard()).feed(b"2")
    assert (recording.task().parts[1], recording.answer_bytes) == (Part(b"2"), 1)
    recording.instead(b"an error")
    assert (recording.task().parts[1], recording.answer_bytes) == (Part(b"an error"), 8)


def test_what_was_compressed_is_recorded_as_it_reads():
    recording, heard = Recording(Capture(True), b""), Heard()
    tap = Tap(recording.over(heard), b"gzip")
    for byte in gzip.compress(b"hello " * 50):
        tap.feed(bytes([byte]))
    assert recording.task().parts[1].data == heard.data == b"hello " * 50
