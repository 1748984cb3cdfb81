"""What every dialect keeps: ids of its own, events that add up to the answer, errors and headers that can be sent."""

import json
from typing import Any

import msgspec
import pytest

from gateway.local.sandbox.answer import Answer, Ask, compose, members_of
from gateway.local.sandbox.chatgpt import CHATGPT
from gateway.local.sandbox.converse import CONVERSE
from gateway.local.sandbox.dialect import Dialect, Fault, Target
from gateway.local.sandbox.routes import ANTHROPIC, BEDROCK, GEMINI, OLLAMA, OPENAI_CHAT, OPENAI_RESPONSES
from gateway.local.sandbox.script import read

HELLO: Any = [{"role": "user", "content": "say hello"}]
ASKED: list[tuple[Dialect, Target, dict[str, Any]]] = [
    (ANTHROPIC, Target("generate"), {"model": "m", "max_tokens": 99, "messages": HELLO}),
    (OPENAI_CHAT, Target("generate"), {"model": "m", "messages": HELLO}),
    (OPENAI_RESPONSES, Target("generate"), {"model": "m", "input": "say hello"}),
    (
        CHATGPT,
        Target("generate"),
        {"model": "m", "input": HELLO, "instructions": "", "store": False, "stream": True},
    ),
    (GEMINI, Target("generate", "m", "streamGenerateContent"), {"contents": [{"parts": [{"text": "say hello"}]}]}),
    (
        BEDROCK,
        Target("generate", "m", "invoke-with-response-stream"),
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": HELLO},
    ),
    (
        CONVERSE,
        Target("generate", "m", "converse-stream"),
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    ),
    (OLLAMA, Target("generate", action="chat"), {"model": "m", "messages": HELLO}),
    (OLLAMA, Target("generate", action="generate"), {"model": "m", "prompt": "say hello"}),
]
each = pytest.mark.parametrize(("dialect", "target", "asked"), ASKED, ids=[one[0].name for one in ASKED])
STATUSES = [400, 401, 403, 404, 413, 429, 500, 502, 503, 529]


def answered(dialect: Dialect, target: Target, asked: dict[str, Any], serial: str) -> tuple[Ask, Answer]:
    ask = dialect.ask(target, members_of(msgspec.json.encode(asked)))
    return ask, compose(ask, read("tokens-30-think-7"), serial, 1)


@each
def test_the_events_add_up_to_the_answer(dialect: Dialect, target: Target, asked: dict[str, Any]) -> None:
    ask, answer = answered(dialect, target, asked, "a" * 24)
    events = list(dialect.events(ask, answer))
    counts = [tokens for _, tokens in events]
    assert all(sent for sent, _ in events)
    assert counts == sorted(counts)
    assert counts[-1] == answer.usage.output_tokens == 30


@each
def test_no_two_answers_have_one_id(dialect: Dialect, target: Target, asked: dict[str, Any]) -> None:
    ask, one = answered(dialect, target, asked, "a" * 24)
    _, other = answered(dialect, target, asked, "b" * 24)
    if dialect in (OLLAMA, CONVERSE):  # they give their answers none
        assert dialect.identify(one) == ""
        return
    assert dialect.identify(one) != dialect.identify(other)
    assert dialect.identify(one).encode() in dialect.whole(ask, one)


@each
@pytest.mark.parametrize("status", STATUSES)
def test_an_error_and_its_headers(dialect: Dialect, target: Target, asked: dict[str, Any], status: int) -> None:
    body = json.loads(dialect.fault(Fault(status, message="as told"), "req_1"))
    assert "as told" in json.dumps(body)
    for fault in (None, Fault(status, retry_after=7)):
        lines = dialect.headers("req_1", fault)
        assert lines == "" or lines.endswith("\r\n")
        assert all(": " in line and line.isascii() for line in lines.splitlines())
        assert "content-length" not in lines.lower()
    ask, answer = answered(dialect, target, asked, "a" * 24)
    assert b"as told" in dialect.event_fault(ask, answer, Fault(status, message="as told"))
