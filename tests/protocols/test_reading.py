"""What all readers share: figures that cannot be true, answers in one piece, odd JSON."""

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols import CODECS, reading
from gateway.protocols.codec import Usage
from gateway.protocols.reading import MAX_COUNT, Absurd, WholeReader, count, openai_usage
from tests.protocols.cuts import listen, pieces, state


def generate(name: str, stream: bool):
    codec = CODECS[name]
    endpoint = next(
        each
        for each in codec.endpoints
        if each.action in ("", "chat", "streamGenerateContent" if stream else "generateContent")
    )
    return codec.reader(endpoint, stream)


def streamed(name: str, *texts: bytes) -> bytes:
    """A stream of these events."""
    return b"".join(text + b"\n" if name == "ollama" else b"data: " + text + b"\n\n" for text in texts)


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
    elif name == "ollama":
        whole = {"prompt_eval_count": 3, "eval_count": value, "done": True}
        events = [whole]
    else:
        whole = {
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": value},
            "candidates": [{"finishReason": "STOP"}],
        }
        events = [whole]
    return json.dumps(whole).encode(), streamed(name, *(json.dumps(each).encode() for each in events))


ABSURD = [-1, 1.5, 12.0, "12", True, [], {}, MAX_COUNT, MAX_COUNT + 1, 10**30, float("nan")]


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
@pytest.mark.parametrize("value", [0, 5, None, MAX_COUNT - 3])
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
    assert state(listen(generate(name, True), [streamed(name, data)]))[1:] == (None, False, None, False, None, 0)


@pytest.mark.parametrize("name", CODECS)
def test_lone_surrogates_do_not_hide_the_figures(name):
    whole, stream = figures(name, 5)
    odd = b'{"odd":"\\ud83d",'
    lead = b"" if name == "ollama" else b"data: "
    for streaming, data in ((False, whole.replace(b"{", odd, 1)), (True, stream.replace(lead + b"{", lead + odd))):
        assert listen(generate(name, streaming), [data]).usage == Usage(input_tokens=3, output_tokens=5)


@pytest.mark.parametrize("name", CODECS)
def test_what_is_no_event_does_not_begin_a_stream(name):
    reader = generate(name, True)
    reader.feed(b"\r\n \n\n" if name == "ollama" else b": PROCESSING\n\n")
    assert not reader.begun
    reader.feed(streamed(name, b"{}"))
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
        reading.believed(openai_usage(**named))


def test_count():
    assert [count(value) for value in (None, 0, 7)] == [0, 0, 7]


@pytest.mark.parametrize(
    ("usage", "true"),
    [
        (Usage(1, 2, 3, 4, 5, 5, 15, 15), True),
        (Usage(MAX_COUNT), True),
        (Usage(MAX_COUNT // 2, MAX_COUNT // 2, output_tokens=1), False),
        (Usage(output_tokens=5, reasoning_tokens=6), False),
        (Usage(3, output_tokens=5, audio_tokens=9), False),
        (Usage(3, output_tokens=5, image_tokens=9), False),
    ],
)
def test_parts_and_wholes(usage, true):
    if true:
        assert reading.believed(usage) is usage
        return
    with pytest.raises(Absurd):
        reading.believed(usage)


#: The members of each protocol's figures: numbers, then objects (or lists of objects) with numbers of their own.
NUMBERS = {
    "anthropic": ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    "openai_chat": ("prompt_tokens", "completion_tokens", "total_tokens"),
    "openai_responses": ("input_tokens", "output_tokens", "total_tokens"),
    "gemini": (
        *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount"),
        "toolUsePromptTokenCount",
    ),
    "ollama": ("prompt_eval_count", "eval_count"),
}
OBJECTS = (
    *("cache_creation", "output_tokens_details", "server_tool_use", "iterations", "prompt_tokens_details"),
    *("completion_tokens_details", "server_tool_use_details", "input_tokens_details", "promptTokensDetails"),
    *("candidatesTokensDetails", "num_server_side_tools_used", "num_search_queries", "reasoning_tokens"),
)
INNER = (
    *("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "thinking_tokens", "web_search_requests"),
    *("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "reasoning_tokens", "modality"),
    *("tokenCount", "tool_calls_executed", "input_tokens", "output_tokens", "type", "model"),
)
true_counts = st.none() | st.integers(0, 50) | st.integers(0, MAX_COUNT)
odd_counts = st.sampled_from([-1, MAX_COUNT + 1, 2**63, -(2**70), 1.0, 0.5, "7", True, False, [], {}, [1], {"a": 1}])
inner = st.dictionaries(st.sampled_from(INNER), true_counts | odd_counts | st.sampled_from(["AUDIO", "IMAGE"]))
outer = st.dictionaries(st.sampled_from(OBJECTS), odd_counts | inner | st.lists(inner | odd_counts, max_size=3))


def answered(name: str, usage: dict[str, object]) -> tuple[bytes, bytes]:
    """A whole answer with these figures, in one piece and as a stream."""
    if name == "anthropic":
        whole: dict[str, object] = {"type": "message", "usage": usage}
        end = {"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": usage}
        events = [{"type": "message_start", "message": {"usage": {"input_tokens": 1}}}, end, {"type": "message_stop"}]
    elif name == "openai_chat":
        whole = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
        events = [whole, {"choices": [], "usage": usage}]
    elif name == "openai_responses":
        whole = {"id": "resp_1", "status": "completed", "usage": usage}
        events = [{"type": "response.completed", "response": whole}]
    elif name == "gemini":
        whole = {"usageMetadata": usage, "candidates": [{"finishReason": "STOP"}]}
        events = [whole]
    else:
        whole = {"done": True, **usage}
        events = [whole]
    return json.dumps(whole).encode(), streamed(name, *(json.dumps(each).encode() for each in events))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(NUMBERS)), st.data(), outer)
def test_whatever_stands_in_the_figures_nothing_false_is_believed(name, data, more):
    numbers = data.draw(st.dictionaries(st.sampled_from(NUMBERS[name]), true_counts | odd_counts))
    false = any(
        type(value) is not int or not 0 <= value <= MAX_COUNT for value in numbers.values() if value is not None
    )
    for streams, text in enumerate(answered(name, {**more, **numbers})):
        reader = listen(generate(name, bool(streams)), [text])
        usage = reader.usage
        if usage is not None:
            shown = [getattr(usage, field) for field in Usage.__struct_fields__]
            assert all(type(value) is int and 0 <= value <= MAX_COUNT for value in shown)
        assert reader.doubt == "" or (usage is None and not reader.usage_final)
        assert not false or (usage, reader.usage_final) == (None, False)
        assert state(listen(generate(name, bool(streams)), pieces(text, 1))) == state(reader)


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
        *("thinking", "done", "done_reason", "load", "prompt_eval_count", "eval_count"),
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
        framed = text + "\n" if name == "ollama" else f"event: {event}\ndata: {text}\n\n"
        for stream, data in ((False, text), (True, framed)):
            reader = listen(generate(name, stream), [data.encode()])
            usage = reader.usage
            assert usage is None or all(getattr(usage, field) >= 0 for field in Usage.__struct_fields__)
            assert reader.failure is None or reader.failure.body.startswith(b"{")
            assert reader.characters >= 0
