"""The checker finds what is wrong."""

import json

import pytest

from tests.translation.grammar_ollama import FIGURES, check

HEAD = {"model": "m", "created_at": "2026-11-20T12:00:00Z"}
LAST = HEAD | {"done": True, "done_reason": "stop", **dict.fromkeys(FIGURES, 0)}


def said(done: dict[str, object] | None = None, **message: object) -> dict[str, object]:
    return (done or HEAD | {"done": False}) | {"message": {"role": "assistant", "content": "", **message}}


END = said(LAST)
TEXT = said(content="x")


def lines(*objects: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def test_what_is_right():
    assert (
        check(lines(TEXT, said(thinking="x"), said(tool_calls=[{"function": {"name": "f", "arguments": {}}}]), END))
        == []
    )
    assert check(lines(TEXT, {"error": "out"})) == []
    assert check(lines(HEAD | {"done": False, "response": "x"}, LAST | {"response": ""}), "generate") == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        lines(TEXT),
        lines(TEXT, END)[:-1],
        lines(END, TEXT),
        lines(END, END),
        lines({"error": "x"}, END),
        lines({"error": {}}),
        lines({"error": "x", "done": True}),
        b"x\n" + lines(END),
        lines(said(), END),
        lines(said(content=None), END),
        lines(said(content="x", role="user"), END),
        lines(said(content="x", thinking=""), END),
        lines(said(tool_calls=[{"function": {"name": "f", "arguments": "{}"}}]), END),
        lines(TEXT | {"eval_count": 1}, END),
        lines(TEXT | {"created_at": "2026-11-20T12:00:00"}, END),
        lines(TEXT | {"model": None}, END),
        lines(TEXT | {"done": None}, END),
        lines(END | {"done_reason": "tool_calls"}),
        lines(END | {"eval_count": 1.5}),
        lines(END | {"eval_duration": -1}),
        lines(END | {"response": "x"}),
    ],
)  # fmt: skip
def test_what_is_wrong(data):
    assert check(data)


def test_generate_is_no_chat():
    assert check(lines(END), "generate")
    assert check(lines(LAST | {"response": ""}))
