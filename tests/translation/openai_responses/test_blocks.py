"""Blocks of an answer, of which some things are said twice and some never."""

import pytest

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Logprobs, Opened, Sealing
from gateway.translation.openai_responses.blocks import Blocks, failed
from gateway.translation.prompt import Sealed

TEXT = {"type": "output_text", "text": "abc"}
MESSAGE = {"type": "message", "id": "msg_1", "content": [TEXT]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
FIGURES = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}
USAGE = Usage(5, 4, 1, output_tokens=7, reasoning_tokens=3)


def of_items(*items):
    blocks = Blocks()
    for index, item in enumerate(items):
        blocks.item(index, item)
    return list(blocks.taken())


ITEMS = [
    (MESSAGE, [Opened(0, "text"), Delta(0, "abc"), Closed(0)]),
    ({**MESSAGE, "content": [{"type": "refusal", "refusal": "no"}]}, [Opened(0, "text"), Delta(0, "no"), Closed(0)]),
    ({**MESSAGE, "content": [{"type": "output_text", "text": ""}]}, []),
    ({**MESSAGE, "content": None}, []),
    (CALL, [Opened(0, "call", "c1", "f"), Delta(0, '{"a":1}'), Closed(0)]),
    ({**CALL, "arguments": ""}, [Opened(0, "call", "c1", "f"), Closed(0)]),
    ({**CALL, "namespace": "ns"}, [Opened(0, "call", "c1", "ns_-_f"), Delta(0, '{"a":1}'), Closed(0)]),
    ({**CALL, "call_id": None}, [Opened(0, "call", "fc_1", "f"), Delta(0, '{"a":1}'), Closed(0)]),
    (
        {"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": "free"},
        [Opened(0, "call", "c1", "p", custom=True), Delta(0, "free"), Closed(0)],
    ),
    (
        {"type": "reasoning", "id": "rs_1", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "gA"},
        [
            Opened(0, "thinking", "rs_1"),
            Delta(0, "a\n\nb"),
            Sealing(0, Sealed("openai", "gA", "rs_1")),
            Closed(0),
        ],
    ),
    (
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"},
        [Opened(0, "thinking", "rs_1"), Sealing(0, Sealed("openai", "gA", "rs_1")), Closed(0)],
    ),
    ({"type": "reasoning", "id": "rs_1", "summary": []}, []),
    ({"type": "web_search_call", "id": "ws_1"}, []),
    ({"type": 1}, []),
]


@pytest.mark.parametrize(("item", "events"), ITEMS)
def test_items(item, events):
    found = of_items(item)
    assert found[1:] == events
    assert found[:1] == ([Begun()] if events else [])


def test_what_is_done_twice_is_said_once():
    blocks = Blocks()
    blocks.item(0, CALL)
    blocks.item(0, CALL)
    blocks.end({"output": [CALL]})
    assert [type(event) for event in blocks.taken()] == [Begun, Opened, Delta, Closed, Ended]


def test_what_has_come_is_not_said_again():
    blocks = Blocks()
    block = blocks.text((0, 0))
    blocks.add(block, "a")
    blocks.complete(block, "ab")
    blocks.complete(block, "abc")
    blocks.item(0, MESSAGE)
    assert [event.text for event in blocks.taken() if isinstance(event, Delta)] == ["a", "b", "c"]


def test_what_came_cannot_be_taken_back():
    blocks = Blocks()
    block = blocks.text((0, 0))
    blocks.add(block, "xyz.")
    blocks.complete(block, "abcdefgh")
    assert [event.text for event in blocks.taken() if isinstance(event, Delta)] == ["xyz."]


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["\ud83d", "x"], "\ufffdx"),
        (["\ude00"], "\ufffd"),
        (["a\ud83d"], "a\ufffd"),
        (["é", "\ud83d", "\ud83d", "\ude00"], "é\ufffd😀"),
    ],
)
def test_halves_of_characters(pieces, said):
    blocks = Blocks()
    block = blocks.text((0, 0))
    for piece in pieces:
        blocks.add(block, piece)
    blocks.close((0, 0))
    text = "".join(event.text for event in blocks.taken() if isinstance(event, Delta))
    assert text == said
    assert text.encode()


def test_log_probabilities_are_in_the_form_of_chat():
    top = [{"token": "b", "logprob": -1.5, "bytes": [98], "x": 1}]
    part = {**TEXT, "logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": top}]}
    found = of_items({**MESSAGE, "content": [part]})
    said = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1.5, "bytes": [98]}],
    }
    assert found[2] == Logprobs(0, (said,))


ENDS = [
    ({"output": [MESSAGE]}, Ended("end")),
    ({"output": [MESSAGE, CALL]}, Ended("tool_use")),
    ({"output": [{**MESSAGE, "content": [{"type": "refusal", "refusal": "no"}]}]}, Ended("refusal")),
    ({"incomplete_details": {"reason": "max_output_tokens"}, "output": [CALL]}, Ended("length")),
    ({"incomplete_details": {"reason": "content_filter"}}, Ended("refusal")),
    ({"incomplete_details": {"reason": "steered"}}, Ended("end")),
    ({"status": "complete", "usage": FIGURES}, Ended("end", usage=USAGE)),
    ({"usage": {"input_tokens": -1}}, Ended("end")),
    ({"usage": 7}, Ended("end")),
    ({"status": "failed"}, Failed(500, "The upstream failed.")),
    (
        {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slowly"}},
        Failed(429, "slowly", "rate_limit_exceeded"),
    ),
]


@pytest.mark.parametrize(("response", "event"), ENDS)
def test_ends(response, event):
    blocks = Blocks()
    blocks.end({"id": "resp_1", "model": "m", **response})
    events = list(blocks.taken())
    assert events[0] == Begun("resp_1", "m")
    assert events[-1] == event
    assert blocks.over
    blocks.fail(502, "later")
    assert blocks.taken() == []


@pytest.mark.parametrize(
    ("about", "event"),
    [
        ({"message": "no", "code": "insufficient_quota"}, (429, "no", "insufficient_quota")),
        ({"message": "no", "type": "server_error"}, (500, "no", "server_error")),
        ({"message": "no", "code": 503}, (503, "no", "503")),
        ("overloaded", (500, "overloaded", None)),
        (None, (500, "The upstream failed.", None)),
        ({"message": 1}, (500, "The upstream failed.", None)),
    ],
)
def test_failures(about, event):
    assert failed(about) == event
