"""Listening to an exchange: tokens, their source, the row's price."""

import gzip
import zlib

import pytest

from gateway.core.ledger import Attempt, Row
from gateway.core.prices import shipped
from gateway.protocols import CODECS
from gateway.protocols.codec import Reader, Usage
from gateway.relay.meter import Tap, finish, measured, prompt_estimate

ANTHROPIC = CODECS["anthropic"]
WHOLE = b'{"type":"message","content":[{"type":"text","text":"12345678"}],"usage":{"input_tokens":3,"output_tokens":2}}'


def row() -> Row:
    return Row("req_1", 1_790_000_000.0, "ten_1", "key_1", "anthropic", "/v1/messages", "m", False, input_tokens=40)


def reader(data: bytes = b"", *, stream: bool = False) -> Reader:
    made = ANTHROPIC.reader(ANTHROPIC.endpoints[0], stream)
    made.feed(data)
    return made


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (b"", WHOLE),
        (b"gzip", gzip.compress(WHOLE)),
        (b"x-gzip", gzip.compress(WHOLE)),
        (b"deflate", zlib.compress(WHOLE)),
    ],
)
def test_a_copy_is_decoded(encoding: bytes, data: bytes) -> None:
    made = reader()
    tap = Tap(made, encoding)
    for at in range(len(data)):
        tap.feed(data[at : at + 1])
    made.close()
    assert made.usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
def test_what_cannot_be_decoded_does_no_harm(encoding: bytes) -> None:
    made = reader()
    tap = Tap(made, encoding)
    for _ in range(3):
        tap.feed(b"\xff\x00not compressed")
    made.close()
    assert made.usage is None


def test_the_source_of_the_figures() -> None:
    whole = reader(WHOLE)
    whole.close()
    assert measured(whole, row()) == (Usage(input_tokens=3, output_tokens=2), "provider")
    opening = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'  # noqa: E501
    text = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"123456789"}}\n\n'  # noqa: E501
    assert measured(reader(opening + text, stream=True), row()) == (Usage(input_tokens=7, output_tokens=3), "estimated")
    assert measured(reader(text, stream=True), row()) == (Usage(input_tokens=40, output_tokens=3), "estimated")


def test_the_estimate_of_a_prompt() -> None:
    assert [prompt_estimate(b"x" * size) for size in (0, 3, 4, 4000, 10_000_000)] == [0, 0, 1, 1000, 200_000]


def test_the_end_of_a_row() -> None:
    made = row()
    made.platform, made.model_used = "claude-official", "claude-sonnet-4-5"
    made.attempts = [Attempt("a", "claude-official", "m", 1.0), Attempt("b", "claude-official", "m", 2.0)]
    finish(made, Usage(input_tokens=1_000_000, output_tokens=10), "provider", shipped(), "2")
    assert (made.input_tokens, made.output_tokens, made.usage_source, made.unpriced) == (
        1_000_000,
        10,
        "provider",
        False,
    )
    assert made.cost is not None
    assert made.cost > 0
    assert [one.input_tokens for one in made.attempts] == [0, 1_000_000]
    unknown = row()
    unknown.platform, unknown.model_used = "openai", "no-such-model"
    finish(unknown, Usage(input_tokens=1), "provider", shipped(), "1")
    assert (unknown.cost, unknown.unpriced) == (None, True)
    refused = row()
    finish(refused, Usage(), "none", shipped(), "1")
    assert (refused.cost, refused.unpriced, refused.input_tokens) == (None, False, 0)
