"""What the ledger hears of an answer of Converse: the recorded figures, and what the reader of the answer says."""

import json
import random
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import Failure, Usage
from gateway.translation import converse
from gateway.translation.converse.meter import meter
from gateway.translation.events import Delta, Ended, Failed
from tests.protocols.cuts import at, listen, needs_fixtures, pieces, places, state
from tests.translation.converse.recorded import reframed, rows

PLAIN = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7, "serverToolUsage": {}}
FIGURES = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 18, "cacheReadInputTokens": 5}
CACHED = FIGURES | {"cacheWriteInputTokens": 6, "cacheDetails": [{"inputTokens": 2, "ttl": "1h"}]}
USED = Usage(input_tokens=3, cache_read_tokens=5, output_tokens=4)
EVENTS: Any = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "abc"}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hé😀"}}),
    ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ""}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"a":1}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
]
LAST: Any = ("messageStop", {"stopReason": "tool_use"})
CHARACTERS = len("Hm") + len("Hé😀") + len('{"a":1}')
CONTENT: Any = [
    {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "abc"}}},
    {"text": "Hé😀"},
    {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
]
WHOLE = {"output": {"message": {"role": "assistant", "content": CONTENT}}, "stopReason": "tool_use", "usage": FIGURES}


def metered(figures: Any = FIGURES) -> Any:
    return "metadata", {"usage": figures, "metrics": {"latencyMs": 1}}


def sse(*events: tuple[str, object], end: bytes = b"\n") -> bytes:
    lines = [line for name, said in events for line in (f"event: {name}", f"data: {json.dumps(said)}", "")]
    return b"".join(line.encode() + end for line in lines)


def whole(**changes: object) -> bytes:
    return json.dumps({name: value for name, value in (WHOLE | changes).items() if value is not ...}).encode()


def ended(data: bytes, stream: bool) -> Usage | None:
    reader = converse.reader(stream)
    *_, last = [*reader.feed(data), *reader.close()]
    assert isinstance(last, Ended)
    return last.usage


def spoken(data: bytes, stream: bool) -> int:
    reader = converse.reader(stream)
    return sum(len(event.text) for event in [*reader.feed(data), *reader.close()] if isinstance(event, Delta))


# ---------------------------------------------------------------- recorded


def recorded(reader, figures: dict[str, Any]) -> None:
    """Its state against the figures as they stand in the recording."""
    used = reader.usage
    assert used is not None
    writes = used.cache_write_5m_tokens + used.cache_write_1h_tokens
    assert (used.input_tokens, used.output_tokens) == (figures["inputTokens"], figures["outputTokens"])
    assert (used.cache_read_tokens, writes) == (
        figures.get("cacheReadInputTokens", 0), figures.get("cacheWriteInputTokens", 0),
    )  # fmt: skip
    assert used.input_tokens + used.cache_read_tokens + writes + used.output_tokens == figures["totalTokens"]


@needs_fixtures
def test_every_recorded_answer():
    chance, seen = random.Random(3), 0
    for row in rows("bedrock.converse"):
        data = row["response"].encode()
        reader = listen(meter(False), [data])
        if row["status"] != 200:
            assert (reader.complete, reader.usage, reader.usage_final) == (False, None, False)
            continue
        assert (reader.begun, reader.complete, reader.failure, reader.doubt) == (True, True, None, "")
        assert reader.usage == ended(data, False)
        figures = json.loads(row["response"]).get("usage")
        assert reader.usage_final is (figures is not None)
        if figures is not None:
            recorded(reader, figures)
        cuts = [chance.randrange(len(data)) for _ in range(9)]
        assert state(listen(meter(False), at(data, cuts))) == state(reader)
        if len(data) < 4000:
            assert state(listen(meter(False), pieces(data, 1))) == state(reader)
        seen += 1
    assert seen == 113


@needs_fixtures
def test_every_recorded_stream_however_it_is_cut():
    chance, seen = random.Random(5), 0
    for row in rows("bedrock.converse-stream"):
        data = reframed(b64decode(row["response_b64"]))
        reader = listen(meter(True), [data])
        assert (reader.begun, reader.complete, reader.failure, reader.doubt) == (True, True, None, "")
        assert reader.usage == ended(data, True)
        said = [line.removeprefix(b"data: ") for line in data.split(b"\n") if b'"usage"' in line]
        assert reader.usage_final is bool(said)
        if said:
            recorded(reader, json.loads(said[-1])["usage"])
        assert reader.characters >= spoken(data, True)
        assert state(listen(meter(True), pieces(data, 1))) == state(reader)
        for _ in range(20):
            cuts = [chance.randrange(len(data)) for _ in range(chance.randrange(1, 30))]
            assert state(listen(meter(True), at(data, cuts))) == state(reader)
            assert state(listen(meter(True), at(data.replace(b"\n", b"\r\n"), cuts))) == state(reader)
        seen += 1
    assert seen == 9


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("order", [[LAST, metered()], [metered(), LAST]])
def test_a_stream(order, end):
    data = sse(*EVENTS, *order, end=end)
    expected = (True, None, True, USED, True, None, CHARACTERS)
    assert state(listen(meter(True), [data])) == expected
    assert state(listen(meter(True), pieces(data, 1))) == expected
    assert state(listen(meter(True), [data.rstrip()])) == expected
    assert ended(data, True) == USED


def test_when_it_has_begun_and_when_it_is_over():
    reader, seen = meter(True), []
    for name, said in (*EVENTS, LAST, metered()):
        reader.feed(sse((name, said)))
        seen.append((name, reader.begun, reader.complete, reader.usage_final))
    assert seen[0] == ("messageStart", True, False, False)
    assert {each[1:] for each in seen[:-2]} == {(True, False, False)}
    assert seen[-2:] == [("messageStop", True, True, False), ("metadata", True, True, True)]


@pytest.mark.parametrize(
    ("events", "usage", "final", "complete"),
    [
        ([], None, False, False),
        (EVENTS, None, False, False),
        ([*EVENTS, LAST], None, False, True),
        ([*EVENTS, metered()], USED, False, False),
        ([LAST, metered(CACHED)], Usage(3, 5, 4, 2, 4), True, True),
        ([LAST, metered(PLAIN)], Usage(3, output_tokens=4), True, True),
        ([LAST, ("metadata", {"metrics": {}})], None, False, True),
        ([LAST, metered(None)], None, False, True),
        ([("new", {"usage": FIGURES}), LAST], None, False, True),
        ([("contentBlockDelta", []), ("contentBlockDelta", {"delta": 1}), LAST, metered()], USED, True, True),
    ],
)  # fmt: skip
def test_what_may_be_missing(events, usage, final, complete):
    reader = listen(meter(True), [sse(*events)])
    assert (reader.usage, reader.usage_final, reader.complete) == (usage, final, complete)
    assert (reader.failure, reader.doubt, reader.begun) == (None, "", bool(events))


EXCEPTIONS = {
    "throttlingException": 429,
    "ThrottlingException": 429,
    "serviceQuotaExceededException": 429,
    "validationException": 400,
    "accessDeniedException": 403,
    "resourceNotFoundException": 404,
    "internalServerException": 500,
    "InternalServerError": 500,
    "modelErrorException": 502,
    "modelStreamErrorException": 502,
    "modelNotReadyException": 503,
    "serviceUnavailableException": 503,
    "modelTimeoutException": 504,
    "somethingNewException": 502,
}


@pytest.mark.parametrize(("name", "status"), EXCEPTIONS.items())
@pytest.mark.parametrize("before", [0, 5])
def test_an_exception(name, status, before):
    said = {"message": 'no "more"'}
    data = sse(*EVENTS[:before], (name, said))
    reader = listen(meter(True), [data])
    assert reader.failure == Failure(status, json.dumps(said).encode())
    assert (reader.failed_first, reader.complete, reader.usage_final) == (before == 0, False, False)
    assert state(listen(meter(True), pieces(data, 1))) == state(reader)
    answer = converse.reader(True)
    *_, last = [*answer.feed(data), *answer.close()]
    assert last == Failed(status, 'no "more"', "upstream_error")


ABSURD: Any = [
    {**FIGURES, "inputTokens": -1},
    {**FIGURES, "outputTokens": 10**9},
    {**FIGURES, "outputTokens": "4"},
    {**FIGURES, "inputTokens": 3.0},
    {**FIGURES, "inputTokens": True},
    {**FIGURES, "inputTokens": 10**8, "outputTokens": 10**8},
    {**FIGURES, "cacheReadInputTokens": -5},
    {**FIGURES, "cacheWriteInputTokens": 1, "cacheDetails": [{"inputTokens": 2, "ttl": "1h"}]},
    {**FIGURES, "cacheWriteInputTokens": 1, "cacheDetails": [{"inputTokens": -2, "ttl": "1h"}]},
    [],
    "many",
]


@pytest.mark.parametrize("figures", ABSURD)
def test_figures_that_cannot_be_true(figures):
    streamed = listen(meter(True), [sse(*EVENTS, LAST, metered(figures), metered())])
    one = listen(meter(False), [whole(usage=figures)])
    for reader in (streamed, one):
        assert (reader.usage, reader.usage_final, reader.doubt) == (None, False, "absurd_usage")
        assert (reader.complete, reader.characters) == (True, CHARACTERS)
    # Once doubted, they stay so; and what was believed before is not believed any more.
    streamed = listen(meter(True), [sse(metered(), metered(figures), LAST)])
    assert (streamed.usage, streamed.usage_final, streamed.complete) == (None, False, True)


# ---------------------------------------------------------------- in one piece


@pytest.mark.parametrize(
    ("data", "usage", "complete", "characters"),
    [
        (whole(), USED, True, CHARACTERS),
        (whole(usage=CACHED), Usage(3, 5, 4, 2, 4), True, CHARACTERS),
        (whole(usage=...), None, True, CHARACTERS),
        (whole(usage=None), None, True, CHARACTERS),
        (whole(output={"message": {"role": "assistant", "content": []}}), USED, True, 0),
        (whole(output={"message": {"content": [1, {"toolUse": {"input": '{"a"'}}, {"toolUse": {}}]}}), USED, True, 4),
        (whole(output={}), USED, False, 0),
        (b'{"message":"Too many requests"}', None, False, 0),
        (whole()[:-9], None, False, len(whole()) - 9),
        (b"", None, False, 0),
        (b"[]", None, False, 2),
    ],
)
def test_an_answer_in_one_piece(data, usage, complete, characters):
    expected = (bool(data), None, complete, usage, usage is not None, None, characters)
    reader = listen(meter(False), [data])
    assert (state(reader), reader.doubt) == (expected, "")
    assert state(listen(meter(False), pieces(data, 1))) == expected


# ---------------------------------------------------------------- however it is cut


@settings(max_examples=100, deadline=None)
@given(places)
def test_it_hears_the_same_however_it_is_cut(cuts):
    for events in ((*EVENTS, LAST, metered(CACHED)), (*EVENTS[:4], ("throttlingException", {"message": "m"}))):
        data = sse(*events)
        assert state(listen(meter(True), at(data, cuts))) == state(listen(meter(True), [data]))
    assert state(listen(meter(False), at(whole(), cuts))) == state(listen(meter(False), [whole()]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_nothing_raises(data, stream):
    listen(meter(stream), [data])


names = st.sampled_from(("contentBlockDelta", "messageStop", "metadata", "throttlingException", "x"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(("delta", "usage", "text", "toolUse", "input", "reasoningContent", "inputTokens")),
        inner, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(names, values), max_size=6))
def test_whatever_an_event_holds_it_stays_within_its_bounds(events):
    reader = listen(meter(True), [sse(*events)])
    assert reader.characters >= 0
    assert reader.usage is None or min(reader.usage.input_tokens, reader.usage.output_tokens) >= 0
    assert not reader.usage_final or (reader.usage is not None and reader.complete)
