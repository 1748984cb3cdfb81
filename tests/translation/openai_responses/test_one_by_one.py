"""Interleaved blocks, one behind the other."""

from hypothesis import given

from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Opened
from gateway.translation.openai_responses.one_by_one import OneByOne
from tests.translation.generate import answers, content, faults


def ordered(events):
    order = OneByOne()
    return [each for event in events for each in order.put(event)]


def test_what_is_said_of_later_blocks_waits():
    first, second, third = Opened(0, "text"), Opened(1, "call", "c1", "f"), Opened(2, "call", "c2", "g")
    events = [
        *(Begun(), first, second, Delta(1, "{"), third, Delta(0, "a"), Delta(2, "x"), Delta(1, "}"), Closed(1)),
        *(Closed(0), Delta(2, "y"), Closed(2), Ended("tool_use")),
    ]
    assert ordered(events) == [
        *(Begun(), first, Delta(0, "a"), Closed(0), second, Delta(1, "{"), Delta(1, "}"), Closed(1)),
        *(third, Delta(2, "x"), Delta(2, "y"), Closed(2), Ended("tool_use")),
    ]


def test_what_can_be_said_is_said_at_once():
    order = OneByOne()
    for event in (Begun(), Opened(0, "text"), Delta(0, "a"), Closed(0), Opened(1, "text"), Delta(1, "b")):
        assert list(order.put(event)) == [event]


def test_a_failure_waits_for_nothing():
    failed = Failed(502, "gone")
    assert ordered([Begun(), Opened(0, "text"), Opened(1, "text"), Delta(1, "b"), failed])[-1] == failed


@given(answers())
def test_nothing_is_lost_and_one_is_open_at_a_time(events):
    found = ordered(events)
    assert len(found) == len(events)
    assert faults(found) == []
    assert content(found) == content(events)
    current = None
    for event in found:
        if isinstance(event, Opened):
            assert current is None
            current = event.block
        elif isinstance(event, Closed):
            assert event.block == current
            current = None
