"""What all readers share: figures that cannot be true, answers in one piece, odd JSON."""

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols import CODECS
from gateway.protocols.codec import Usage
from gateway.protocols.reading import Absurd, WholeReader, count, openai_usage
from tests.protocols.cuts import listen, pieces, state


def generate(name: str, stream: bool):
    codec = CODECS[name]
    endpoint = next(
        each
        for each in codec.endpoints
        if each.action in ("", "streamGenerateContent" if stream else "generateContent")
    )
    return codec.reader(endpoint, stream)


def figures(name: str, value: object) -> tuple[bytes, bytes]:
    """An answer whose output count is this, in one piece and as a stream."""
    if name == "anthropic":
        usage = {"input_tokens": 3, "output_tokens": value}
        whole = {"type": "message", "usage": usage}
        events = [{"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": usage}, {"type": "message_stop"}]
    elif name == "openai_chat":
        whole = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": value}}
        events = [whole]
    elif name == "openai_responses":
        whole = {"id": "resp_1", "usage": {"input_tokens": 3, "output_tokens": value}}
        events = [{"type": "response.completed", "response": whole}]
    else:
        whole = {
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": value},
            "candidates": [{"finishReason": "STOP"}],
        }
        events = [whole]
    return json.dumps(whole).encode(), b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


ABSURD = [-1, 1.5, 12.0, "12", True, [], {}, 10**9 + 1, 10**30, float("nan")]


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("value", ABSURD, ids=str)
def test_absurd_figures_are_none_and_never_come_back(name, value):
    absurd, stream = figures(name, value)
    good = figures(name, 5)[1]
    assert listen(generate(name, False), [absurd]).usage is None
    reader = listen(generate(name, True), [stream, good])
    assert reader.usage is None
    assert not reader.usage_final
    assert reader.complete or name == "openai_chat"
    reader = listen(generate(name, True), [good, stream])
    assert reader.usage is None
    assert not reader.usage_final


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("value", [0, 5, None, 10**9])
def test_figures_in_range(name, value):
    whole, stream = figures(name, value)
    expected = Usage(input_tokens=3, output_tokens=value or 0)
    for streaming, data in ((False, whole), (True, stream)):
        for size in (1, 5, 4096):
            reader = listen(generate(name, streaming), pieces(data, size))
            assert (reader.usage, reader.usage_final) == (expected, True)


@pytest.mark.parametrize("name", CODECS)
def test_usage_that_is_no_object(name):
    member = "usageMetadata" if name == "gemini" else "usage"
    for value, believed in (([], False), (7, False), ("x", False), (None, True)):
        reader = listen(generate(name, False), [json.dumps({member: value, "type": "message"}).encode()])
        assert reader.usage is None
        assert reader.complete
        assert not reader.usage_final
        assert believed or reader.usage is None


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"7", b'{"a":', b"[" * 100_000, b'"\xff"', b'{"a":"\xff"}'])
def test_junk_is_no_answer(name, data):
    reader = listen(generate(name, False), [data])
    assert (reader.begun, reader.usage, reader.failure) == (bool(data), None, None)
    assert not reader.complete or data == b'{"a":"\xff"}'
    stream = b"data: " + data + b"\n\n"
    assert state(listen(generate(name, True), [stream]))[1:] == (None, False, None, False, None, 0)


@pytest.mark.parametrize("name", CODECS)
def test_lone_surrogates_do_not_hide_the_figures(name):
    whole, stream = figures(name, 5)
    odd = b'{"odd":"\\ud83d",'
    for streaming, data in ((False, whole.replace(b"{", odd, 1)), (True, stream.replace(b"data: {", b"data: " + odd))):
        assert listen(generate(name, streaming), [data]).usage == Usage(input_tokens=3, output_tokens=5)


@pytest.mark.parametrize("name", CODECS)
def test_comments_do_not_begin_a_stream(name):
    reader = generate(name, True)
    reader.feed(b": PROCESSING\n\n")
    assert not reader.begun
    reader.feed(b"data: {}\n\n")
    assert reader.begun


@pytest.mark.parametrize("name", CODECS)
def test_an_idle_reader_is_small(name):
    reader = generate(name, True)
    reader.feed(figures(name, 5)[1])
    seen, todo, size = set(), [reader], 0
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        size += sys.getsizeof(each)
        todo += [
            getattr(each, slot)
            for base in type(each).__mro__
            for slot in getattr(base, "__slots__", ())
            if hasattr(each, slot)
        ]
        todo += [*each.items()] if isinstance(each, dict) else [*each] if isinstance(each, list | tuple) else []
    assert size <= 2048


class Kept(WholeReader):
    got = b""

    def _answer(self, data: bytes) -> None:
        self.got = data


def test_an_answer_that_is_too_long_is_not_kept():
    reader = Kept(limit=100)
    listen(reader, pieces(b'{"a":"' + b"x" * 200 + b'"} \n', 50))
    assert reader.got == b""
    assert reader.complete
    assert reader.usage is None
    cut = Kept(limit=100)
    listen(cut, pieces(b'{"a":"' + b"x" * 200, 50))
    assert not cut.complete
    kept = Kept(limit=100)
    listen(kept, [b'{"a":', b"1}"])
    assert kept.got == b'{"a":1}'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((10, 0, 0, 5, 0, 15), Usage(10, 0, 0, 0, 5, 0)),
        ((10, 4, 0, 5, 3, 15), Usage(6, 4, 0, 0, 5, 3)),
        ((10, 4, 6, 5, 3, 15), Usage(0, 4, 6, 0, 5, 3)),
        ((12, 2, 0, 2, 320, 334), Usage(10, 2, 0, 0, 322, 320)),
        ((10, 11, 0, 5, 0, 15), None),
        ((10, 5, 6, 5, 0, 15), None),
        ((10, 0, 0, 5, 6, 15), None),
    ],
)
def test_openai_classes(given, expected):
    prompt, cached, written, output, reasoning, total = given
    named = {
        "prompt": prompt,
        "cached": cached,
        "written": written,
        "output": output,
        "reasoning": reasoning,
        "total": total,
    }
    if expected is not None:
        assert openai_usage(**named) == expected
        return
    with pytest.raises(Absurd):
        openai_usage(**named)


def test_count():
    assert [count(value) for value in (None, 0, 7)] == [0, 0, 7]


words = st.sampled_from(
    [
        *(
            "type",
            "delta",
            "message",
            "usage",
            "error",
            "response",
            "choices",
            "candidates",
            "content",
            "parts",
            "text",
        ),
        *("usageMetadata", "promptTokenCount", "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens"),
        *("message_start", "message_delta", "response.completed", "response.failed", "content_block_delta", "input"),
        *("status", "id", "code", "functionCall", "args", "tool_calls", "function", "arguments", "finishReason"),
        *("response.output_text.delta", "total_tokens", "cache_creation", "output", "summary", "promptFeedback"),
    ]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | words | st.sampled_from(["\ud83d", "é", "HUGE"])
shapes = st.recursive(leaves, lambda each: st.lists(each, max_size=3) | st.dictionaries(words, each, max_size=5))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(words, shapes, max_size=6), st.sampled_from(["", "error", "message_start"]))
def test_no_shape_of_an_answer_breaks_a_reader(shape, event):
    text = json.dumps(shape).replace('"HUGE"', "9" * 5000)
    for name in CODECS:
        for stream, data in ((False, text), (True, f"event: {event}\ndata: {text}\n\n")):
            reader = listen(generate(name, stream), [data.encode()])
            usage = reader.usage
            assert usage is None or all(getattr(usage, field) >= 0 for field in usage.__struct_fields__)
            assert reader.failure is None or reader.failure.body.startswith(b"{")
            assert reader.characters >= 0
