"""Every recorded answer of the protocol: read, written again, and judged by OpenAI's SDK beside the original."""

import json
import random
import re
from itertools import pairwise

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.protocols.openai_responses import ENDPOINTS
from gateway.translation.events import Ended, Failed
from gateway.translation.openai_responses import SPEECH
from gateway.translation.prompt import Call, Part, Prompt, Result, Thinking, Turn
from gateway.translation.speech import Limits
from tests.protocols.cuts import needs_fixtures, pieces
from tests.protocols.test_recorded import of_another_protocol, rows
from tests.translation.generate import faults
from tests.translation.grammar_openai_responses import check
from tests.translation.openai_responses.asked import asking, read, written
from tests.translation.openai_responses.judge import Judge, Read, judging

pytestmark = needs_fixtures
NO_ANSWER = (
    "background_mode",
    "compact",
    "model_http_error",
    "openai-error",
    "name_suggestion",
    "rejects",
    "multimodal",
)

BY_HAND = {"openai-shell-container.1.chunks": "The command ran successfully."}
"""Streams whose last texts are not those of their deltas, which no client can take back: what the deltas say."""


def recorded(stream: bool) -> list[dict]:
    return [row for row in rows("openai.responses") if row["stream"] == stream and not of_another_protocol(row)]


def differing(ours: Read, theirs: Read) -> dict[str, tuple[object, object]]:
    """A status that is not the protocol's own stands for a completed answer; no usage for zeros."""
    status = theirs.status if theirs.status in ("completed", "incomplete", "failed") else "completed"
    usage = theirs.usage or (0,) * 6
    expected = theirs._replace(status=status, usage=usage)
    return {name: (a, b) for name, a, b in zip(Read._fields, ours, expected, strict=True) if a != b}


def first(row: dict) -> bytes:
    """The answer; of several streams that were recorded one behind the other, the first."""
    data = row["response"].encode()
    ends = re.finditer(rb"data: ?\{[^\n]*?\"type\": ?\"response\.(completed|incomplete|failed)\"[^\n]*\n\r?\n", data)
    return data[: next((end.end() for end in ends), len(data))] if row["stream"] else data


async def judged(judge: Judge, row: dict) -> None:
    answer = first(row)
    events = read(answer, row["stream"])
    assert faults(events) == [], row["id"]
    if isinstance(events[-1], Failed):
        assert any(name in row["id"] for name in NO_ANSWER), (row["id"], events[-1])
        return
    theirs = await (judge.stream if row["stream"] else judge.whole)(answer)
    data = written(events)
    assert check(data) == [], row["id"]
    for name, said in BY_HAND.items():
        if name in row["id"]:
            theirs = theirs._replace(text=said)
    assert differing(await judge.accumulated(data), theirs) == {}, row["id"]
    assert differing(await judge.whole(SPEECH.whole(asking(), events)), theirs) == {}, row["id"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streams"])
async def test_the_sdk_reads_the_same_from_what_is_written_as_from_the_original(stream):
    async with judging() as judge:
        for row in recorded(stream):
            await judged(judge, row)
    assert len(recorded(stream)) > 40


def test_most_are_answers():
    ended = [isinstance(read(row["response"].encode(), row["stream"])[-1], Ended) for row in rows("openai.responses")]
    assert sum(ended) >= 215


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_events_are_the_same_however_the_bytes_are_cut(end):
    chance = random.Random(7)
    for row in recorded(True):
        data = row["response"].replace("\r\n", "\n").replace("\n", end).encode()
        expected = read(data)
        if len(data) < 20_000:
            assert read(list(pieces(data, 1))) == expected, row["id"]
        for _ in range(3):
            marks = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(40))})
            cut = [data[low:high] for low, high in pairwise(marks)]
            assert read(cut) == expected, row["id"]
        assert read(data.rstrip()) == expected, row["id"]


def sayable(prompt: Prompt) -> tuple[Turn, ...]:
    """What OpenAI takes back of it."""
    turns = [(turn.role, [part for part in turn.parts if not foreign(part)]) for turn in prompt.turns]
    return tuple(Turn(role, tuple(parts)) for role, parts in turns if parts)


def foreign(part: Part) -> bool:
    return isinstance(part, Thinking) and (part.sealed is None or part.sealed.family != "openai")


def test_recorded_requests_go_there_and_back():
    """What is built of a request that was parsed is parsed the same."""
    seen = 0
    for row in rows("openai.responses"):
        if not isinstance(row.get("request"), dict) or of_another_protocol(row):
            continue
        try:
            prompt = SPEECH.parse(json.dumps(row["request"]).encode(), ENDPOINTS[0])
        except InvalidBody as refused:
            assert refused.field, row["id"]
            continue
        again = SPEECH.parse(SPEECH.build(prompt, Limits(prompt.model)).body, ENDPOINTS[0])
        if all_answered(prompt):
            assert again.turns == sayable(prompt), row["id"]
            seen += 1
        same = ("system", "format", "stream", "reasoning", "max_tokens", "user")
        assert [getattr(again, name) for name in same] == [getattr(prompt, name) for name in same], row["id"]
        assert [tool.name for tool in again.tools] == [tool.name for tool in prompt.tools], row["id"]
    assert seen > 130


def all_answered(prompt: Prompt) -> bool:
    parts = [part for turn in prompt.turns for part in turn.parts]
    calls = {part.id for part in parts if isinstance(part, Call)}
    return calls <= {part.call_id for part in parts if isinstance(part, Result)}
