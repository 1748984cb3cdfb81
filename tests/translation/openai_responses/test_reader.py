"""Streams and whole answers → events; what is no answer is a failure and never an exception."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.framing import MAX_EVENT
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Logprobs, Opened, Sealing
from gateway.translation.openai_responses import SPEECH
from gateway.translation.prompt import Sealed
from tests.protocols.cuts import at, pieces, places
from tests.translation.generate import faults, values
from tests.translation.openai_responses.asked import read

RESPONSE = {"id": "resp_1", "model": "gpt-5", "status": "in_progress", "output": []}
CREATED = {"type": "response.created", "response": RESPONSE}
COMPLETED = {"type": "response.completed", "response": {**RESPONSE, "status": "completed"}}
BEGUN = Begun("resp_1", "gpt-5")


def stream(*events, end: str = "\n") -> bytes:
    return "".join(f"event: {each.get('type')}{end}data: {json.dumps(each)}{end}{end}" for each in events).encode()


def of(kind: str, index: int = 0, **members):
    return {"type": f"response.{kind}", "output_index": index, "item_id": f"item_{index}", **members}


TEXT = [
    CREATED,
    {"type": "response.in_progress", "response": RESPONSE},
    of("output_item.added", item={"type": "message", "id": "msg_1", "content": []}),
    of("content_part.added", content_index=0, part={"type": "output_text", "text": ""}),
    of("output_text.delta", content_index=0, delta="Hé", logprobs=[{"token": "Hé", "logprob": -0.5}]),
    of("output_text.delta", content_index=0, delta="", logprobs=[]),
    of("output_text.delta", content_index=0, delta="😀", logprobs=[]),
    of("output_text.done", content_index=0, text="Hé😀"),
    of("content_part.done", content_index=0, part={"type": "output_text", "text": "Hé😀"}),
    of(
        "output_item.done",
        item={"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hé😀"}]},
    ),
    COMPLETED,
]
TEXT_EVENTS = [
    BEGUN,
    Opened(0, "text"),
    Logprobs(0, ({"token": "Hé", "logprob": -0.5, "bytes": None, "top_logprobs": []},)),
    Delta(0, "Hé"),
    Delta(0, "😀"),
    Closed(0),
    Ended("end"),
]
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}

TABLE = [
    ("text", TEXT, TEXT_EVENTS),
    (
        "text without deltas",
        [CREATED, of("output_text.done", content_index=0, text="a"), COMPLETED],
        [BEGUN, Opened(0, "text"), Delta(0, "a"), Closed(0), Ended("end")],
    ),
    (
        "an item alone",
        [CREATED, of("output_item.done", item=TEXT[-2]["item"]), COMPLETED],
        [BEGUN, Opened(0, "text"), Delta(0, "Hé😀"), Closed(0), Ended("end")],
    ),
    (
        "everything at the end",
        [{**COMPLETED, "response": {**COMPLETED["response"], "output": [TEXT[-2]["item"]]}}],
        [BEGUN, Opened(0, "text"), Delta(0, "Hé😀"), Closed(0), Ended("end")],
    ),
    (
        "a refusal",
        [CREATED, of("refusal.delta", content_index=0, delta="no"), of("refusal.done", refusal="no"), COMPLETED],
        [BEGUN, Opened(0, "text"), Delta(0, "no"), Closed(0), Ended("refusal")],
    ),
    (
        "parallel calls",
        [
            CREATED,
            of("output_item.added", 0, item=CALL),
            of("output_item.added", 1, item={**CALL, "call_id": "c2", "name": "g"}),
            of("function_call_arguments.delta", 0, delta='{"a"'),
            of("function_call_arguments.delta", 1, delta="{}"),
            of("function_call_arguments.delta", 0, delta=":1}"),
            of("function_call_arguments.done", 0, arguments='{"a":1}'),
            of("output_item.done", 1, item={**CALL, "call_id": "c2", "name": "g", "arguments": "{}"}),
            of("output_item.done", 0, item={**CALL, "arguments": '{"a":1}'}),
            COMPLETED,
        ],
        [
            *(BEGUN, Opened(0, "call", "c1", "f"), Opened(1, "call", "c2", "g"), Delta(0, '{"a"'), Delta(1, "{}")),
            *(Delta(0, ":1}"), Closed(1), Closed(0), Ended("tool_use")),
        ],
    ),
    (
        "ids that change with every event",
        [
            of("output_item.added", item={**CALL, "id": "x"}),
            {**of("function_call_arguments.delta", delta="{}"), "item_id": "y"},
            of("output_item.done", item={**CALL, "id": "z", "arguments": "{}"}),
            COMPLETED,
        ],
        [Begun(), Opened(0, "call", "c1", "f"), Delta(0, "{}"), Closed(0), Ended("tool_use")],
    ),
    (
        "no indices",
        [
            {"type": "response.output_item.added", "item": CALL},
            {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": "{}"},
            {"type": "response.output_item.done", "item": {**CALL, "arguments": "{}"}},
            COMPLETED,
        ],
        [Begun(), Opened(0, "call", "c1", "f"), Delta(0, "{}"), Closed(0), Ended("tool_use")],
    ),
    (
        "a custom tool",
        [
            CREATED,
            of("output_item.added", item={"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": ""}),
            of("custom_tool_call_input.delta", delta="fr"),
            of("custom_tool_call_input.done", input="free"),
            of("output_item.done", item={"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": "free"}),
            COMPLETED,
        ],
        [
            *(BEGUN, Opened(0, "call", "c1", "p", custom=True), Delta(0, "fr"), Delta(0, "ee"), Closed(0)),
            Ended("tool_use"),
        ],
    ),
    (
        "a summary in two parts",
        [
            CREATED,
            of("output_item.added", item={**REASONING, "encrypted_content": ""}),
            of("reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""}),
            of("reasoning_summary_text.delta", summary_index=0, delta="a"),
            of("reasoning_summary_text.done", summary_index=0, text="a"),
            of("reasoning_summary_text.delta", summary_index=1, delta="b"),
            of("reasoning_summary_text.done", summary_index=1, text="bc"),
            of("output_item.done", item={**REASONING, "summary": [{"text": "a"}, {"text": "bc"}]}),
            COMPLETED,
        ],
        [
            *(BEGUN, Opened(0, "thinking", "item_0"), Delta(0, "a"), Delta(0, "\n\n"), Delta(0, "b"), Delta(0, "c")),
            *(Sealing(0, Sealed("openai", "gA", "rs_1")), Closed(0), Ended("end")),
        ],
    ),
    (
        "what was thought, and then its summary",
        [
            CREATED,
            of("reasoning_text.delta", content_index=0, delta="long"),
            of("reasoning_summary_text.delta", summary_index=0, delta="short"),
            of("reasoning_text.done", content_index=0, text="long"),
            COMPLETED,
        ],
        [BEGUN, Opened(0, "thinking", "item_0"), Delta(0, "long"), Closed(0), Ended("end")],
    ),
    (
        "sealed alone",
        [CREATED, of("output_item.added", item=REASONING), of("output_item.done", item=REASONING), COMPLETED],
        [BEGUN, Opened(0, "thinking", "rs_1"), Sealing(0, Sealed("openai", "gA", "rs_1")), Closed(0), Ended("end")],
    ),
    (
        "what clients do not run",
        [
            CREATED,
            {"type": "keepalive", "sequence_number": 3},
            of("output_item.added", item={"type": "web_search_call", "id": "ws_1"}),
            of("web_search_call.searching"),
            of("code_interpreter_call_code.delta", delta="print()"),
            of("output_text.annotation.added", annotation={}),
            of("output_item.done", item={"type": "web_search_call", "id": "ws_1"}),
            COMPLETED,
        ],
        [BEGUN, Ended("end")],
    ),
    (
        "too long",
        [
            CREATED,
            of("output_text.delta", content_index=0, delta="a"),
            {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}},
        ],
        [BEGUN, Opened(0, "text"), Delta(0, "a"), Closed(0), Ended("length")],
    ),
    (
        "an error, flat",
        [CREATED, {"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None}],
        [BEGUN, Failed(503, "busy", "server_is_overloaded")],
    ),
    (
        "an error, and then a failure",
        [
            CREATED,
            {"type": "error", "error": {"type": "insufficient_quota", "message": "spent"}},
            {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": {"message": "again"}}},
        ],
        [BEGUN, Failed(429, "spent", "insufficient_quota")],
    ),
    ("an error of no type", [{"error": {"message": "no", "code": 503}}], [Failed(503, "no", "503")]),
    (
        "a failure",
        [CREATED, {"type": "response.failed", "response": {"error": {"code": "invalid_prompt", "message": "no"}}}],
        [BEGUN, Failed(400, "no", "invalid_prompt")],
    ),
    (
        "nothing follows the end",
        [CREATED, COMPLETED, of("output_text.delta", delta="a"), COMPLETED],
        [BEGUN, Ended("end")],
    ),
    ("no end", [CREATED], [BEGUN, Failed(502, "The upstream's answer was cut off.", "upstream_error")]),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("events", "found"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_streams(events, found, end):
    data = stream(*events, end=end)
    assert read(data) == found
    assert read(list(pieces(data, 1))) == found
    assert read(data.rstrip()) == found
    assert faults([each for each in found if not isinstance(each, Failed)] or [Begun()]) == []


@given(places)
def test_cuts(marks):
    assert read(at(stream(*TEXT), marks)) == TEXT_EVENTS


def test_the_mark_of_the_end_of_chat_is_passed_over():
    assert read(stream(*TEXT) + b"data: [DONE]\n\n") == TEXT_EVENTS


UNREADABLE = Failed(502, "An event of the upstream's answer cannot be read.", "upstream_error")


@pytest.mark.parametrize(
    "data", [b"data: {\n\n", b"data: []\n\n", b"data: <html>\n\n", b"data: " + b"[" * 100_000 + b"\n\n"]
)
def test_what_is_no_event_is_a_failure(data):
    assert read(data) == [UNREADABLE]


def test_an_event_without_end_is_a_failure():
    data = b"data: " + b"x" * (MAX_EVENT + 1)
    assert read(data) == [Failed(502, "An event of the upstream's answer is too long.", "upstream_error")]


kinds = st.sampled_from(sorted({event["type"] for row in TABLE for event in row[1] if "type" in event}))
members = st.sampled_from(
    [
        "delta",
        "text",
        "item",
        "item_id",
        "output_index",
        "content_index",
        "summary_index",
        "response",
        "error",
        "logprobs",
    ]
)


@given(st.lists(st.tuples(kinds, st.dictionaries(members, values, max_size=5)), max_size=6))
def test_members_of_any_type_are_no_exception(events):
    found = read(stream(*({"type": kind, **rest} for kind, rest in events)))
    assert isinstance(found[-1], Ended | Failed)
    assert faults(found) == [] or isinstance(found[-1], Failed)


WHOLE = {**COMPLETED["response"], "output": [TEXT[-2]["item"], {**CALL, "arguments": "{}"}]}


def test_whole_answers():
    found = [
        *(BEGUN, Opened(0, "text"), Delta(0, "Hé😀"), Closed(0), Opened(1, "call", "c1", "f"), Delta(1, "{}")),
        *(Closed(1), Ended("tool_use")),
    ]
    data = json.dumps(WHOLE).encode()
    assert read(data, stream=False) == found
    assert read(list(pieces(data, 1)), stream=False) == found


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (b"", Failed(502, "The upstream's answer cannot be read.", "upstream_error")),
        (b"<html>", Failed(502, "The upstream's answer cannot be read.", "upstream_error")),
        (b"[]", Failed(502, "The upstream's answer cannot be read.", "upstream_error")),
        (b'{"choices":[]}', Failed(502, "The upstream's answer cannot be read.", "upstream_error")),
        (b'{"status":"queued","output":[]}', Failed(502, "The upstream did not finish its answer.", "upstream_error")),
        (b'{"error":{"message":"no","code":"model_not_found"}}', Failed(404, "no", "model_not_found")),
    ],
)
def test_what_is_no_answer_is_a_failure(answer, event):
    assert read(answer, stream=False)[-1] == event


@given(st.dictionaries(st.sampled_from(["output", "usage", "error", "id", "model", "incomplete_details"]), values))
def test_whole_answers_of_any_type_are_no_exception(answer):
    found = read(json.dumps({"output": [], **answer}).encode(), stream=False)
    assert isinstance(found[-1], Ended | Failed)


def test_an_answer_is_bounded():
    reader = SPEECH.reader(False)
    for _ in range(65):
        assert list(reader.feed(b" " * (1 << 20))) == []
    assert isinstance(reader.close()[-1], Failed)
