"""The grammar that all streams are held against sees each of the faults that it is for."""

import json

import pytest

from gateway.protocols.codec import Usage
from gateway.translation.anthropic.writer import whole
from gateway.translation.events import Begun, Closed, Delta, Ended, Opened
from tests.translation.anthropic.sdk import ASKING, write
from tests.translation.grammar_anthropic import check, message_faults

EVENTS = [
    Begun(usage=Usage(1)),
    Opened(0, "text"),
    Delta(0, "a"),
    Closed(0),
    Opened(1, "call", "i", "t"),
    Delta(1, "{}"),
    Closed(1),
    Ended("tool_use", usage=Usage(1, output_tokens=2)),
]
PARTS = [part + b"\n\n" for part in write(EVENTS).split(b"\n\n")[:-1]]


def test_a_stream_and_an_answer_without_fault():
    assert check(b"".join(PARTS)) == []
    assert message_faults(json.loads(whole(ASKING, EVENTS))) == []


@pytest.mark.parametrize("missing", range(len(PARTS)))
def test_every_event_but_a_delta_is_missed(missing):
    found = check(b"".join(PARTS[:missing] + PARTS[missing + 1 :]))
    assert bool(found) is (b"content_block_delta" not in PARTS[missing])


@pytest.mark.parametrize("twice", range(len(PARTS)))
def test_every_event_but_a_delta_stands_once(twice):
    found = check(b"".join(PARTS[: twice + 1] + PARTS[twice:]))
    assert bool(found) is (b"content_block_delta" not in PARTS[twice])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"type":"text_delta","text"', b'"type":"thinking_delta","thinking"'),
        (b'"index":1', b'"index":2'),
        (b"event: content_block_stop", b"event: content_block_end"),
        (b'"container":null,', b""),
        (b'"cache_read_input_tokens":0,', b""),
        (b'"caller":{"type":"direct"}', b'"x":1'),
        (b'"id":"i"', b'"id":"a.b"'),
        (b'"stop_reason":"tool_use"', b'"stop_reason":"tool_calls"'),
        (b'"citations":null', b'"citations":null,"more":1'),
        (b'"text":""', b'"text":"x"'),
        (b'"partial_json":"{}"', b'"partial_json":{}'),
        (b"\n\n", b"\n"),
        (b"msg_", b"chatcmpl-"),
    ],
)
def test_every_change_is_seen(before, after):
    data = b"".join(PARTS)
    assert before in data
    assert check(data.replace(before, after))


@pytest.mark.parametrize(
    "change",
    [{"stop_reason": None}, {"container": ...}, {"content": [{"type": "text", "text": "", "citations": None}]}],
)
def test_every_change_of_an_answer_is_seen(change):
    message = json.loads(whole(ASKING, EVENTS)) | change
    assert message_faults({name: value for name, value in message.items() if value is not ...})
