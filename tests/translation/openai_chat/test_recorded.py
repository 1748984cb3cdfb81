"""Every recorded answer of the protocol: read, written again, and judged by OpenAI's SDK beside the original."""

import random

import pytest
from msgspec.structs import replace

from gateway.protocols.codec import Usage
from gateway.translation.events import Ended, Failed
from gateway.translation.openai_chat import SPEECH
from tests.protocols.cuts import at, needs_fixtures, pieces
from tests.protocols.test_recorded import of_another_protocol, rows
from tests.translation.generate import faults
from tests.translation.grammar_openai_chat import check
from tests.translation.openai_chat.asked import asking, read, written
from tests.translation.openai_chat.judge import Judge, Read, judging

pytestmark = needs_fixtures

#: Within a 200: errors in the stream, answers of other endpoints, and one that is no JSON.
NO_ANSWER = ("tool_use_failed_error_streaming", "transcription", "test_text_response.yaml")


def recorded(stream: bool) -> list[dict]:
    others = [row for row in rows("openai.responses") if of_another_protocol(row)]
    return [row for row in (*rows("openai.chat"), *others) if row["stream"] == stream]


def figures(usage: Usage | None) -> Usage | None:
    """What is not written: the provider's own calls."""
    return None if usage is None else replace(usage, server_tool_calls=0)


def differing(ours: Read, theirs: Read) -> dict[str, tuple[object, object]]:
    calls = [
        (kind, call_id or ours.calls[number][1], name, text)
        for number, (kind, call_id, name, text) in enumerate(theirs.calls)
    ]
    ours, theirs = (each._replace(usage=figures(each.usage)) for each in (ours, theirs._replace(calls=calls)))
    return {name: (a, b) for name, a, b in zip(Read._fields, ours, theirs, strict=True) if a != b}


async def judged(judge: Judge, row: dict) -> None:
    answer = row["response"].encode()
    events = read(answer, row["stream"])
    assert faults(events) == [], row["id"]
    if isinstance(events[-1], Failed):
        assert row["status"] != 200 or any(name in row["id"] for name in NO_ANSWER), (row["id"], events[-1])
        return
    theirs = await (judge.stream if row["stream"] else judge.whole)(answer)
    data = written(events)
    assert check(data) == [], row["id"]
    assert differing(await judge.accumulated(data), theirs) == {}, row["id"]
    assert differing(await judge.synchronously(data), theirs) == {}, row["id"]
    assert differing(await judge.whole(SPEECH.whole(asking(), events)), theirs) == {}, row["id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streams"])
async def test_the_sdk_reads_the_same_from_what_is_written_as_from_the_original(stream):
    async with judging() as judge:
        for row in recorded(stream):
            await judged(judge, row)
    assert len(recorded(stream)) > 40


def test_most_are_answers():
    every = [*recorded(False), *recorded(True)]
    ended = [isinstance(read(row["response"].encode(), row["stream"])[-1], Ended) for row in every]
    assert sum(ended) >= 270


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_cut_gives_the_same_events(end):
    chance = random.Random(end)
    for row in recorded(True):
        data = row["response"].replace("\r\n", "\n").replace("\n", end).encode()
        events = read(data)
        assert read(list(pieces(data, 1))) == events, row["id"]
        for _ in range(5):
            assert read(at(data, [chance.randrange(len(data)) for _ in range(30)])) == events, row["id"]
        for place in range(len(data)) if len(data) < 2500 else ():
            assert read([data[:place], data[place:]]) == events, (row["id"], place)
    for row in recorded(False):
        data = row["response"].encode()
        assert read(list(pieces(data, 97)), stream=False) == read(data, stream=False), row["id"]


def test_a_stream_that_is_cut_off_has_failed_or_had_said_its_finish_reason():
    chance = random.Random(3)
    for row in recorded(True):
        data = row["response"].encode()
        for _ in range(10):
            cut = data[: chance.randrange(len(data))]
            last = read(cut)[-1]
            assert isinstance(last, Failed) or b'"finish_reason":"' in cut.replace(b'": "', b'":"'), row["id"]
