"""Every recorded answer of Gemini's: what Google's SDK reads of it, it reads of ours too, whole and as a stream."""

import json
import random
import warnings
from functools import cache
from typing import Any

import pytest

from gateway.protocols import gemini
from gateway.protocols.codec import InvalidBody
from gateway.translation.events import Ended, Event
from gateway.translation.gemini import SPEECH
from gateway.translation.gemini.writer import ArrayWriter
from gateway.translation.speech import EventWriter, Limits
from tests.protocols.cuts import FIXTURES, at, needs_fixtures, pieces
from tests.translation.gemini.asked import ASKING, Served, read, served
from tests.translation.generate import content, faults
from tests.translation.grammar_gemini import check, check_one

pytestmark = needs_fixtures

FILES = ("gemini.generateContent", "gemini.streamGenerateContent")
#: Reasons that the neutral form has one word for; Gemini's own for that is then given.
_FINISH = {"UNEXPECTED_TOOL_CALL": "STOP"}


@cache
def rows() -> list[dict[str, Any]]:
    found = []
    for file in FILES:
        with (FIXTURES / f"{file}.jsonl").open() as lines:
            found += [json.loads(line) for line in lines]
    return [row for row in found if row["status"] == 200]


@pytest.fixture(scope="module")
def upstream():
    with served() as found:
        yield found


def events(row: dict[str, Any], parts: list[bytes] | None = None) -> list[Event]:
    reader = SPEECH.reader(row["stream"])
    found = [event for part in parts or [row["response"].encode()] for event in reader.feed(part)]
    return [*found, *reader.close()]


def written(writer: EventWriter, found: list[Event]) -> bytes:
    return b"".join(map(writer.write, found))


def test_the_sdk_reads_the_same(upstream: Served):
    assert len(rows()) > 200
    for row in rows():
        data = row["response"].encode()
        original = read(upstream.stream(data) if row["stream"] else [upstream.whole(data)])
        original["finish"] = _FINISH.get(original["finish"], original["finish"])
        if "partialArgs" in row["response"]:
            original["calls"] = original["signatures"] = None  # the SDK leaves the pieces to the program
        found = events(row)
        assert not faults(found), row["id"]
        if "promptFeedback" in row["response"]:
            assert found[-1].stop == "refusal", row["id"]
            original["finish"] = "SAFETY"
        stream, whole = written(SPEECH.writer(ASKING), found), SPEECH.whole(ASKING, found)
        assert not check(stream), row["id"]
        assert not check(written(ArrayWriter(ASKING), found)), row["id"]
        assert not check_one(whole), row["id"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for ours in (read(upstream.stream(stream)), read([upstream.whole(whole)])):
                if original["calls"] is None:
                    ours["calls"] = ours["signatures"] = None
                assert ours == original, row["id"]


def test_calls_that_came_in_pieces_are_whole():
    """The same ones as Vercel's SDK reads from its own recordings."""
    streamed = {row["id"].rpartition("/")[2]: row for row in rows() if "partialArgs" in row["response"]}
    calls = {
        name: [(each["name"], json.loads(each["text"])) for each in content(events(row)) if each["kind"] == "call"]
        for name, row in streamed.items()
    }
    assert len(calls) >= 3
    found = next(value for name, value in calls.items() if "missing-terminal" in name)
    assert found == [
        (
            "writeItems",
            {
                "operations": [
                    {"action": "add", "description": "Fresh red apple", "itemid": "apple_001", "price": 0.5},
                    {"action": "add", "description": "Ripe yellow banana", "itemid": "banana_001", "price": 0.3},
                ]
            },
        )
    ]
    first = next(value for name, value in calls.items() if "no-args" in name)
    assert first[:2] == [("read_theme", {}), ("read_screen", {"id": "A"})]


def test_however_it_is_cut():
    chance = random.Random(4)
    for row in rows():
        data = row["response"].encode()
        whole = events(row)
        if len(data) < 4_000:
            assert events(row, [*pieces(data, 1)]) == whole, row["id"]
        for _ in range(3):
            cuts = [chance.randrange(len(data)) for _ in range(chance.randrange(1, 40))]
            assert events(row, at(data, cuts)) == whole, row["id"]
        if row["stream"]:
            crlf = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            assert events(row, at(crlf, [chance.randrange(len(crlf)) for _ in range(30)])) == whole, row["id"]
            assert events(row, [data.rstrip()]) == whole, row["id"]


def test_the_figures_are_those_of_the_protocol():
    endpoint = next(each for each in gemini.ENDPOINTS if each.action == "generateContent")
    for row in rows():
        listening = gemini.reader(endpoint, row["stream"])
        listening.feed(row["response"].encode())
        listening.close()
        ended = events(row)[-1]
        assert isinstance(ended, Ended)
        if listening.usage is None or listening.usage.server_tool_calls == 0:
            assert ended.usage == listening.usage, row["id"]


def test_recorded_requests_are_read_and_built_and_read_again():
    """Those with what only Google has are refused, by name."""
    refused = built = 0
    for row in rows():
        if not isinstance(row.get("request"), dict):
            continue
        endpoint = next(
            each for each in gemini.ENDPOINTS if each.action == row["path"].rpartition(":")[2].split("?")[0]
        )
        try:
            prompt = SPEECH.parse(json.dumps(row["request"]).encode(), endpoint)
        except InvalidBody as error:
            assert error.field, row["id"]
            refused += 1
            continue
        body = SPEECH.build(prompt, Limits("gemini-3-pro-preview")).body
        again = SPEECH.parse(body, endpoint)
        assert [turn.role for turn in again.turns] == merged([turn.role for turn in prompt.turns]), row["id"]
        assert [tool.name for tool in again.tools] == [tool.name for tool in prompt.tools]
        built += 1
    assert built > 150
    assert refused < 40


def merged(roles: list[str]) -> list[str]:
    return [role for at, role in enumerate(roles) if at == 0 or roles[at - 1] != role]
