"""Events → streams and whole answers: the grammar, the SDK, and the own reader are the judges."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from gateway.protocols.codec import Usage
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Logprobs, Opened, Sealing
from gateway.translation.openai_responses import SPEECH
from gateway.translation.openai_responses.marks import decrypted
from gateway.translation.prompt import Sealed, Tool
from tests.translation.generate import answers, content, faults
from tests.translation.grammar_openai_responses import check
from tests.translation.openai_responses.asked import CUSTOM, asking, read, written
from tests.translation.openai_responses.judge import judging

GOLDENS = Path(__file__).parent / "goldens"
USAGE = Usage(5, 4, output_tokens=7, reasoning_tokens=3)
ANSWER = [
    *(Begun("msg_1", "claude", USAGE), Opened(0, "thinking"), Delta(0, "hm"), Delta(0, "m")),
    *(Sealing(0, Sealed("anthropic", "sig")), Closed(0)),
    *(Opened(1, "text"), Delta(1, ""), Delta(1, "Hé"), Opened(2, "call", "c1", "mcp__x_-_f"), Delta(1, "😀")),
    *(Delta(2, '{"a":'), Closed(1), Delta(2, "1}"), Closed(2)),
    *(Opened(3, "call", "c2", "apply_patch"), Delta(3, '{"input":"*** '), Delta(3, 'Begin"}'), Closed(3)),
    *(Opened(4, "call", "c3", "g"), Closed(4), Ended("tool_use", usage=USAGE)),
]


def events_of(data: bytes) -> list[dict]:
    return [json.loads(line[6:]) for line in data.decode().split("\n") if line.startswith("data: ")]


def last(data: bytes) -> dict:
    return events_of(data)[-1]


def test_the_stream_letter_by_letter():
    assert written(ANSWER, tools=(CUSTOM,)).decode() == (GOLDENS / "answer.sse").read_text()


def test_the_answer_in_one_piece_is_the_end_of_the_stream():
    whole = json.loads(SPEECH.whole(asking(tools=(CUSTOM,)), ANSWER))
    assert whole == last(written(ANSWER, tools=(CUSTOM,)))["response"]


def test_the_form_of_a_long_answer():
    assert check(written(ANSWER, tools=(CUSTOM,))) == []


async def test_the_sdk_puts_it_together():
    async with judging() as judge:
        found = await judge.accumulated(written(ANSWER, tools=(CUSTOM,)))
    assert found.text == "Hé😀"
    assert found.calls == [
        ("function_call", "c1", "mcp__x", "f", {"a": 1}),
        ("custom_tool_call", "c2", None, "apply_patch", "*** Begin"),
        ("function_call", "c3", None, "g", {}),
    ]
    assert [text for text, _ in found.thinking] == ["hmm"]
    assert (found.status, found.reason, found.usage) == ("completed", None, (9, 4, 0, 7, 3, 16))


def test_what_is_known_is_said_at_once():
    writer = SPEECH.writer(asking())
    said = [events_of(writer.write(event)) for event in (Begun(), Opened(0, "text"), Delta(0, "a"), Closed(0))]
    assert [[event["type"].removeprefix("response.") for event in events] for events in said] == [
        ["created", "in_progress"],
        ["output_item.added", "content_part.added"],
        ["output_text.delta"],
        ["output_text.done", "content_part.done", "output_item.done"],
    ]


def test_it_is_the_same_however_often_it_is_written():
    assert written(ANSWER) == written(ANSWER)


@pytest.mark.parametrize(
    ("stop", "kind", "reason"),
    [
        ("end", "response.completed", None),
        ("stop_sequence", "response.completed", None),
        ("tool_use", "response.completed", None),
        ("pause", "response.completed", None),
        ("length", "response.incomplete", "max_output_tokens"),
        ("refusal", "response.incomplete", "content_filter"),
    ],
)
def test_stops(stop, kind, reason):
    data = written([Begun(), Ended(stop)])
    assert check(data) == []
    assert last(data)["type"] == kind
    assert last(data)["response"]["incomplete_details"] == (reason and {"reason": reason})
    assert last(data)["response"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}
    assert read(data)[-1].stop == {"length": "length", "refusal": "refusal"}.get(stop, "end")


@pytest.mark.parametrize(
    ("failed", "error"),
    [
        (Failed(429, "slowly"), {"code": "rate_limit_exceeded", "message": "slowly"}),
        (Failed(529, "busy", "overloaded_error"), {"code": "overloaded_error", "message": "busy"}),
        (Failed(503, "busy"), {"code": "server_is_overloaded", "message": "busy"}),
        (Failed(502, "gone"), {"code": "server_error", "message": "gone"}),
        (Failed(400, "no"), {"code": "invalid_prompt", "message": "no"}),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 3, 8, len(ANSWER) - 1])
def test_failures(failed, error, before):
    writer = SPEECH.writer(asking())
    data = b"".join(map(writer.write, [*ANSWER[:before], failed]))
    assert check(data) == []
    assert last(data)["type"] == "response.failed"
    assert last(data)["response"]["error"] == error
    assert last(data)["response"]["status"] == "failed"
    assert writer.write(Delta(0, "x")) == writer.write(Ended("end")) == writer.write(failed) == b""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"a\\nb"}', "a\nb"),
        ('{"input":""}', ""),
        ("", ""),
        ("{'", "{'"),
        ('{"input":1}', '{"input":1}'),
        ('{"input":"a","b":1}', '{"input":"a","b":1}'),
        ("[1]", "[1]"),
    ],
)
def test_custom_tools_are_unwrapped(arguments, text):
    events = [Begun(), Opened(0, "call", "c1", "apply_patch"), Delta(0, arguments), Closed(0), Ended("tool_use")]
    data = written(events, tools=(CUSTOM,))
    assert check(data) == []
    item = last(data)["response"]["output"][0]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", text)


def test_free_text_of_a_custom_tool_is_not_touched():
    events = [
        Begun(),
        Opened(0, "call", "c1", "p", custom=True),
        Delta(0, '{"input":"a"}'),
        Closed(0),
        Ended("tool_use"),
    ]
    data = written(events)
    assert check(data) == []
    assert last(data)["response"]["output"][0]["input"] == '{"input":"a"}'


def test_seals_of_others_come_back_from_the_client():
    events = [
        *(Begun(), Opened(0, "thinking", redacted=True), Sealing(0, Sealed("anthropic", "red")), Closed(0)),
        *(Opened(1, "thinking"), Sealing(1, Sealed("openai", "gA", "rs_1")), Closed(1)),
        *(Opened(2, "call", "c1", "f"), Sealing(2, Sealed("gemini", "sig")), Delta(2, "{}"), Closed(2)),
        Ended("tool_use"),
    ]
    data = written(events)
    assert check(data) == []
    redacted, own, call, of_call = last(data)["response"]["output"]
    assert decrypted(redacted["encrypted_content"], None) == (Sealed("anthropic", "red"), True, None)
    assert own["encrypted_content"] == "gA"
    assert call["call_id"] == "c1"
    assert decrypted(of_call["encrypted_content"], None) == (Sealed("gemini", "sig"), False, "c1")
    items = [{"role": "user", "content": "hi"}, *last(data)["response"]["output"]]
    prompt = SPEECH.parse(json.dumps({"model": "m", "input": items}).encode(), None)
    thinking, _, called = prompt.turns[1].parts
    assert (thinking.sealed, thinking.redacted, called.sealed) == (
        Sealed("anthropic", "red"),
        True,
        Sealed("gemini", "sig"),
    )


def test_reasoning_keeps_its_own_id():
    data = written([Begun(), Opened(0, "thinking", "rs_upstream"), Delta(0, "a"), Closed(0), Ended("end")])
    assert check(data) == []
    assert last(data)["response"]["output"][0]["id"] == "rs_upstream"


def test_log_probabilities_have_all_members():
    token = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -2.0}]}
    other = {"token": "!", "logprob": -0.1, "bytes": [33], "top_logprobs": []}
    events = [Begun(), Opened(0, "text"), Logprobs(0, (token,)), Delta(0, "é"), Logprobs(0, (other,)), Closed(0)]
    data = written([*events, Ended("end")])
    assert check(data) == []
    full = {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [{"token": "e", "logprob": -2.0, "bytes": [101]}],
    }
    assert events_of(data)[4]["logprobs"] == [full]
    assert last(data)["response"]["output"][0]["content"][0]["logprobs"] == [full, other]


def test_pings_are_comments():
    writer = SPEECH.writer(asking())
    data = writer.write(Begun()) + writer.ping() + writer.write(Ended("end"))
    assert writer.ping().startswith(b":")
    assert check(data) == []
    assert read(data) == read(data.replace(writer.ping(), b""))


def sealed_as_read(blocks: list[dict]) -> list[dict]:
    """An empty text and an empty thought say nothing. Of a call without arguments `{}` is said, and its seal is a
    thought of its own behind it."""
    found: list[dict] = []
    for block in blocks:
        seals = list(block["sealed"][-1:])
        if block["kind"] == "call":
            found.append({**block, "text": block["text"] or "{}", "sealed": []})
            block = {"kind": "thinking", "text": "", "name": None}
        if block["text"] or seals:
            found.append({**block, "id": None, "sealed": seals})
    return found


def in_one_class(usage: Usage) -> Usage:
    """OpenAI counts what was written to caches in one."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return msgspec.structs.replace(usage, cache_write_5m_tokens=written, cache_write_1h_tokens=0)


def as_written(blocks: list[dict]) -> list[dict]:
    found = []
    for block in blocks:
        seals = [decrypted(seal.data, None).sealed for seal in block["sealed"]]
        found.append({**block, "id": block["id"] if block["kind"] == "call" else None, "sealed": seals})
    return found


@settings(max_examples=300)
@given(answers())
def test_every_answer_is_well_formed_and_read_back(events):
    data = written(events)
    assert check(data) == []
    found = read(data)
    assert faults(found) == []
    stripped = [
        {**block, "sealed": [Sealed(seal.family, seal.data) for seal in block["sealed"]]}
        for block in sealed_as_read(content(events))
    ]
    assert as_written(content(found)) == stripped
    assert found[-1].usage == in_one_class(events[-1].usage or Usage())
    assert json.loads(SPEECH.whole(asking(), events)) == last(data)["response"]
    whole = read(SPEECH.whole(asking(), events), stream=False)
    assert content(whole) == content(found)
    assert whole[-1] == found[-1]


def test_an_event_takes_little_time():
    text = [Begun(), Opened(0, "text"), *(Delta(0, f"word{at} ") for at in range(2000)), Closed(0), Ended("end")]
    data = written(text, tools=tuple(Tool(f"f{at}") for at in range(20)))
    cuts = [block + b"\n\n" for block in data.split(b"\n\n") if block]
    best = 1.0
    for _ in range(5):
        begun = time.perf_counter()
        reader, writer = SPEECH.reader(True), SPEECH.writer(asking())
        for cut in cuts:
            for event in reader.feed(cut):
                writer.write(event)
        best = min(best, (time.perf_counter() - begun) / len(cuts))
    assert best < 0.00015
