"""All directions: however an upstream's bytes are cut, the client's are the same; and of whole conversations, made by
chance, all crosses that the loss table does not name.

`POOLGATE_CONVERSATIONS` says how many conversations there are, shared out among the directions; 10,000 take minutes.
"""

import json
import os
import random
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import structs

from gateway.protocols import CODECS
from gateway.protocols.codec import Problem
from gateway.relay.convert import StreamConverter
from gateway.translation import SPEECHES
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Opened
from gateway.translation.losses import TABLES
from gateway.translation.prompt import Choice, Document, Image, Prompt, Text, Untranslatable
from gateway.translation.speech import Limits
from tests.conformance.matrix import judges
from tests.conformance.matrix.wires import ERRORS, ONES
from tests.protocols.cuts import at, needs_fixtures, pieces
from tests.protocols.test_recorded import of_another_protocol, rows
from tests.translation.anthropic.prompts import prompts
from tests.translation.bodies import ENDPOINTS
from tests.translation.facts import LOST, differing, each, facts, left
from tests.translation.generate import answers, faults
from tests.translation.test_matrix import ASKING, CHECKS

NAMES = {
    "anthropic": "claude-sonnet-4-5",
    "openai_chat": "gpt-5.1",
    "openai_responses": "gpt-5.1",
    "gemini": "gemini-2.5-pro",
    "ollama": "gpt-oss:20b",
}
DIRECTIONS = [(client, upstream) for client in SPEECHES for upstream in SPEECHES if client != upstream]
CONVERSATIONS = int(os.environ.get("POOLGATE_CONVERSATIONS", "400"))

# ---------------------------------------------------------------- cuts

#: Of each provider one stream that is cut at every byte.
CHOSEN = {
    "anthropic.messages": "anthropic-clear-thinking.1",
    "openai.chat": "mistral-reasoning.chunks",
    "openai.responses": "test_openai_responses_stream.yaml#0",
    "gemini.streamGenerateContent": "test_google_streaming_tool_call_thought_signature.yaml#1",
}
FILES = {
    "anthropic.messages": "anthropic",
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "gemini.streamGenerateContent": "gemini",
}
SPOKEN: list[Event] = [
    Begun("m1", "m"),
    Opened(0, "thinking"),
    Delta(0, "hm… 😀"),
    Closed(0),
    Opened(1, "text"),
    Delta(1, "thrée "),
    Delta(1, "Łódź 🏳️‍🌈"),
    Closed(1),
    Opened(2, "call", "call_1", "weather"),
    Delta(2, '{"city":"Łó'),
    Delta(2, 'dź"}'),
    Closed(2),
    Ended("tool_use"),
]


def converted(upstream: str, client: str, parts: Iterable[bytes]) -> bytes:
    converter = StreamConverter(SPEECHES[upstream].reader(True), None, SPEECHES[client].writer(ASKING))
    return b"".join([converter.feed(part) for part in parts]) + converter.close()


def streams(file: str) -> list[dict[str, Any]]:
    return [row for row in rows(file) if row["stream"] and not of_another_protocol(row)]


def written(upstream: str, events: Sequence[Event]) -> bytes:
    writer = SPEECHES[upstream].writer(ASKING)
    return b"".join(map(writer.write, events))


def others(upstream: str) -> list[str]:
    return [client for client in SPEECHES if client != upstream]


def every_cut(upstream: str, client: str, data: bytes) -> None:
    whole = converted(upstream, client, [data])
    assert CHECKS[client](whole) == []
    for cut in range(1, len(data)):
        assert converted(upstream, client, [data[:cut], data[cut:]]) == whole, cut
    assert converted(upstream, client, pieces(data, 1)) == whole


@needs_fixtures
@pytest.mark.parametrize("file", FILES)
def test_a_recorded_stream_cut_at_every_byte(file: str) -> None:
    [row] = [row for row in streams(file) if CHOSEN[file] in row["id"]]
    for client in others(FILES[file]):
        every_cut(FILES[file], client, row["response"].encode())


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(("client", "upstream"), DIRECTIONS)
def test_letters_of_several_bytes_cut_at_every_byte(client: str, upstream: str, end: bytes) -> None:
    data = written(upstream, SPOKEN).replace(b"\n", end)
    assert not data.isascii()
    every_cut(upstream, client, data)
    assert "🏳️‍🌈" in converted(upstream, client, [data]).decode()


@needs_fixtures
@pytest.mark.parametrize("file", FILES)
def test_every_recorded_stream_at_random_cuts(file: str) -> None:
    chance, upstream = random.Random(file), FILES[file]
    for row in streams(file):
        data = row["response"].replace("\r\n", "\n").encode()
        ways = [data, data.replace(b"\n", b"\r\n")]
        for client in others(upstream):
            whole = converted(upstream, client, [data])
            assert CHECKS[client](whole) == [], row["id"]
            for form in ways:
                cuts = [chance.randrange(len(form)) for _ in range(chance.randrange(1, 30))]
                assert converted(upstream, client, at(form, cuts)) == whole, (row["id"], client)


# ---------------------------------------------------------------- conversations


MAGIC = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\0\0\0\0WEBP",
}


def _pictured(part: Any) -> Any:
    """Images that begin as such: Ollama's clients do not say of what type they are."""
    if not isinstance(part, Image) or part.data is None or part.media_type is None:
        return part
    return structs.replace(part, data=b64encode(MAGIC[part.media_type] + b64decode(part.data)).decode())


pictured = each(_pictured)


def parsed(protocol: str, body: bytes) -> Prompt:
    return SPEECHES[protocol].parse(body, ENDPOINTS[protocol])


def refused_by_name(upstream: str, error: Untranslatable) -> bool:
    return any(row.name in error.field for row in TABLES[upstream][1] if row.fate == "400")


def fitting(prompt: Prompt, client: str, upstream: str) -> Prompt:
    """Without what one of the two has to refuse."""
    both = {client, upstream}
    if "openai_responses" in both:
        prompt = structs.replace(prompt, stop=())
    if "ollama" in both and prompt.choice.mode in ("required", "one"):
        prompt = structs.replace(prompt, choice=Choice())
    if both & {"openai_chat", "ollama"}:
        # An image's address says to Gemini's clients no more than a document's.
        prompt = each(lambda part: _plain(part, "ollama" in both, not both.isdisjoint({"ollama", "gemini"})))(prompt)
    return prompt


def _plain(part: Any, texts: bool, images: bool) -> Any:
    """No documents that have addresses, with `texts` none but plain ones; with `images` none of these by address."""
    foreign = isinstance(part, Document) and (part.url is not None or (texts and part.text is None))
    if foreign or (images and isinstance(part, Image) and part.url is not None):
        return Text("x", part.cache)
    return part


def crosses(prompt: Prompt, client: str, upstream: str) -> Prompt | None:
    """What the upstream reads of what this client asks. None where the table says that it is refused."""
    asked = client_says(prompt, client)
    if asked is None:
        return None
    try:
        built = SPEECHES[upstream].build(asked, Limits(NAMES[upstream], 64_000))
    except Untranslatable as error:
        assert refused_by_name(upstream, error), error.field
        return None
    assert judges.faults(upstream, json.loads(built.body)) == []
    heard = parsed(upstream, built.body)
    assert differing(facts(heard), left(asked, upstream)) == {}
    return heard


def client_says(prompt: Prompt, client: str) -> Prompt | None:
    """The prompt as far as this client's protocol can say it."""
    try:
        body = SPEECHES[client].build(prompt, Limits(NAMES[client], 64_000)).body
    except Untranslatable:
        return None
    return parsed(client, body)


@pytest.mark.parametrize(("client", "upstream"), DIRECTIONS)
def test_a_conversation_keeps_what_no_row_names(client: str, upstream: str) -> None:
    @settings(
        max_examples=max(5, CONVERSATIONS // len(DIRECTIONS)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(prompts(), answers())
    def chance(prompt: Prompt, events: list[Event]) -> None:
        crosses(pictured(prompt), client, upstream)
        heard = crosses(fitting(pictured(prompt), client, upstream), client, upstream)
        assert heard is not None
        if client == "anthropic":  # and back
            assert crosses(heard, upstream, "anthropic") is not None
        answered(events, client, upstream)

    chance()


def answered(events: list[Event], client: str, upstream: str) -> None:
    there = written(upstream, events)
    assert CHECKS[upstream](there) == []
    heard = [*(reader := SPEECHES[upstream].reader(True)).feed(there), *reader.close()]
    assert faults(heard) == []
    assert not any(isinstance(event, Failed) for event in heard)
    assert CHECKS[client](written(client, heard)) == []
    assert ONES[client](SPEECHES[client].whole(ASKING, heard)) == []


DAMAGES = {
    "anthropic": ("content", "usage"),
    "openai_chat": ("choices", "system_fingerprint"),
    "openai_responses": ("usage", "incomplete_details"),
    "gemini": ("responseId",),
    "ollama": ("done_reason", "eval_count"),
}
"""Members of an answer in one piece that cannot be missed."""


@pytest.mark.parametrize("client", SPEECHES)
def test_the_grammars_see_what_is_missing(client: str) -> None:
    answer = json.loads(SPEECHES[client].whole(ASKING, SPOKEN))
    assert ONES[client](json.dumps(answer).encode()) == []
    for name in DAMAGES[client]:
        damaged = {member: value for member, value in answer.items() if member != name}
        assert ONES[client](json.dumps(damaged).encode()) != [], name
    error = json.loads(CODECS[client].error(Problem(400, "invalid_request", "no", None, "req_1")))
    assert ERRORS[client](error) == []
    silent = "" if client == "ollama" else error["error"] | {"message": ""}
    assert ERRORS[client](error | {"error": silent}) != []


def test_what_is_lost_is_named_in_the_table() -> None:
    for upstream, changes in LOST.items():
        assert set(changes) <= {row.name for row in TABLES[upstream][1]}, upstream
