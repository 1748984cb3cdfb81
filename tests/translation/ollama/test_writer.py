"""Answers for Ollama's clients: whatever the events' order, the stream is one that the official client reads."""

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import ollama
import pytest
from hypothesis import given, settings
from msgspec import structs

from gateway.protocols.codec import Usage
from gateway.translation import converse
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing
from gateway.translation.ollama import SPEECH
from gateway.translation.ollama.writer import Writer, whole
from gateway.translation.prompt import Prompt, Sealed
from gateway.translation.speech import Asking
from tests.protocols.cuts import needs_fixtures
from tests.translation import grammar_ollama
from tests.translation.converse.recorded import aws_events, aws_message, aws_whole, reframed, rows, told
from tests.translation.generate import answers, content
from tests.translation.ollama.test_reader import TOLD, read

ASKING = Asking("client's:model", "req_1", 1_700_000_000, Prompt("client's:model", ()))


def asking(action: str = "chat", clock: Callable[[], int] = ASKING.elapsed) -> Asking:
    return structs.replace(ASKING, action=action, elapsed=clock)


HEAD = {"model": "client's:model", "created_at": "2023-11-14T22:13:20Z"}
USED = Usage(10, 20, 30, 40, 7, 5)
ZERO = {"total_duration": 0, "load_duration": 0, "prompt_eval_duration": 0, "eval_duration": 0}
LAST = {"done": True, "done_reason": "stop", "prompt_eval_count": 100, "eval_count": 7} | ZERO


def write(events: list[Event], action: str = "chat") -> bytes:
    writer = Writer(asking(action))
    data = b"".join(map(writer.write, events))
    assert writer.ping() == b""
    assert grammar_ollama.check(data, action) == []
    return data


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def said(events: list[Event]) -> list[dict[str, Any]]:
    """Of each object of a chat what it adds."""
    found = []
    for each in objects(write(events)):
        assert {name: each.pop(name) for name in HEAD} == HEAD
        message = each.pop("message")
        assert message.pop("role") == "assistant"
        found.append({name: value for name, value in message.items() if value} | each)
    return found


def call(index: int, name: str, id: str, **arguments: object) -> dict[str, Any]:
    return {"tool_calls": [{"id": id, "function": {"index": index, "name": name, "arguments": arguments}}]}


GOING = {"done": False}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([Begun(), Ended("end", usage=USED)], [LAST]),
        ([Begun(usage=USED), Ended("pause")], [LAST]),
        ([Begun(), Ended("length", usage=USED)], [LAST | {"done_reason": "length"}]),
        ([Begun(), Ended("stop_sequence", "x", USED)], [LAST]),
        ([Begun(), Ended("refusal")], [LAST | {"prompt_eval_count": 0, "eval_count": 0}]),
        (
            [
                *(Begun(), Opened(0, "thinking"), Delta(0, "Hm"), Sealing(0, Sealed("anthropic", "x")), Closed(0)),
                *(Opened(1, "thinking", redacted=True), Sealing(1, Sealed("anthropic", "y")), Closed(1)),
                *(Opened(2, "text"), Delta(2, "Hé"), Delta(2, ""), Delta(2, "😀"), Closed(2), Opened(3, "text")),
                *(Closed(3), Opened(4, "call", "c", "f"), Delta(4, '{"a"'), Delta(4, ":1}"), Closed(4)),
                Ended("tool_use", usage=USED),
            ],
            [
                {"thinking": "Hm"} | GOING,
                {"content": "Hé"} | GOING,
                {"content": "😀"} | GOING,
                call(0, "f", "c", a=1) | GOING,
                LAST,
            ],
        ),
        (
            # Calls that interleave come whole, in the order in which they were opened; what follows waits for them.
            [
                *(
                    Begun(),
                    Opened(0, "text"),
                    Delta(0, "a"),
                    Opened(1, "call", "c1", "f"),
                    Opened(2, "call", "c2", "g"),
                ),
                *(Delta(2, "{"), Delta(1, '{"n":'), Delta(0, "b"), Delta(2, "}"), Closed(2), Delta(1, "1}")),
                *(Opened(3, "text"), Delta(3, "c"), Closed(0), Closed(1), Delta(3, "d"), Closed(3)),
                Ended("tool_use", usage=USED),
            ],
            [
                {"content": "a"} | GOING,
                {"content": "b"} | GOING,
                call(0, "f", "c1", n=1) | GOING,
                call(1, "g", "c2") | GOING,
                {"content": "c"} | GOING,
                {"content": "d"} | GOING,
                LAST,
            ],
        ),
        (
            [
                *(Begun(), Opened(0, "call", None, "f"), Closed(0), Opened(1, "call", "c", "g"), Delta(1, "{'a'")),
                *(Closed(1), Opened(2, "call", "d", "h", custom=True), Delta(2, "{}"), Closed(2)),
                Ended("tool_use", usage=USED),
            ],
            [
                call(0, "f", "call_req_1_0") | GOING,
                call(1, "g", "c", input="{'a'") | GOING,
                call(2, "h", "d", input="{}") | GOING,
                LAST,
            ],
        ),
        (
            [
                *(Begun(), Opened(0, "text"), Logprobs(0, ({"token": "a"},)), Delta(0, "a"), Closed(0)),
                Ended("end", usage=USED),
            ],
            [{"logprobs": [{"token": "a"}]} | GOING, {"content": "a"} | GOING, LAST],
        ),
    ],
)
def test_a_stream_of_chat(events, expected):
    assert said(events) == expected


def test_a_stream_of_generate():
    assert [{k: v for k, v in each.items() if k not in HEAD} for each in objects(write(TOLD, "generate"))] == [
        {"response": "", "thinking": "Hm"} | GOING,
        {"response": "Hé😀"} | GOING,
        {"response": "", **call(0, "f", TOLD[7].id, a=1)} | GOING,
        {"response": ""} | LAST | {"prompt_eval_count": 20, "eval_count": 9},
    ]


def test_an_error_is_the_last_line():
    writer = Writer(ASKING)
    data = b"".join(map(writer.write, TOLD[:6]))
    data += writer.write(Failed(502, 'it "broke"', "upstream_error"))
    assert grammar_ollama.check(data) == []
    assert data.endswith(b'\n{"error":"it \\"broke\\""}\n')
    assert [writer.write(event) for event in TOLD] == [b""] * len(TOLD)


def test_in_one_piece():
    body = {"role": "assistant", "content": "Hé😀", "thinking": "Hm", **call(0, "f", TOLD[7].id, a=1)}
    figures = LAST | {"prompt_eval_count": 20, "eval_count": 9}
    assert json.loads(whole(ASKING, TOLD)) == HEAD | {"message": body} | figures
    del body["role"]
    body["response"] = body.pop("content")
    assert json.loads(whole(asking("generate"), TOLD)) == HEAD | body | figures


def test_blocks_in_one_piece_stand_in_order_of_opening():
    events = [Begun(), Opened(0, "text"), Opened(1, "text"), Delta(1, "b"), Delta(0, "a"), Closed(1), Closed(0)]
    assert json.loads(whole(ASKING, [*events, Ended("length")]))["message"]["content"] == "ab"


@pytest.mark.parametrize("action", ["chat", "generate"])
def test_without_events_a_model_is_loaded(action):
    data = SPEECH.whole(asking(action), ())
    assert grammar_ollama.check(data + b"\n", action) == []
    assert json.loads(data)["done_reason"] == "load"
    assert "eval_count" not in json.loads(data)


def test_durations_are_those_of_the_clock():
    now = iter([5, 9])
    writer = Writer(asking(clock=lambda: next(now)))
    last = objects(b"".join(map(writer.write, TOLD)))[-1]
    assert [last[name] for name in ("total_duration", "prompt_eval_duration", "eval_duration")] == [9, 5, 4]
    last = json.loads(whole(asking(clock=lambda: 9), TOLD))
    assert [last[name] for name in ("total_duration", "prompt_eval_duration", "eval_duration")] == [9, 0, 9]


def test_half_of_an_emoji_is_written():
    events = [Begun(), Opened(0, "text"), Delta(0, "\ud83d"), Closed(0)]
    events += [Opened(1, "call", "\ud83d", "f\ud83d"), Delta(1, '{"a":"\ud83d"}'), Closed(1), Ended("tool_use")]
    found = objects(write(events))
    assert found[0]["message"]["content"] == "\ud83d"
    assert found[1]["message"]["tool_calls"][0]["function"] == {
        "index": 0,
        "name": "f\ud83d",
        "arguments": {"a": "\ud83d"},
    }
    assert json.loads(whole(ASKING, events))["message"]["content"] == "\ud83d"


def spoken(blocks: list[dict[str, Any]], merged: bool = False) -> list[tuple[str, ...]]:
    """What Ollama can say of blocks: pieces of one kind that touch are one; in one piece they all do."""
    found: list[tuple[str, ...]] = []
    if merged:
        blocks = sorted(blocks, key=lambda block: ["thinking", "text", "call"].index(block["kind"]))
    for block in blocks:
        if block["kind"] == "call":
            found.append(("call", block["id"], block["name"], canonical(block["text"])))
        elif block["text"]:
            before = found.pop() if found and found[-1][0] == block["kind"] else (block["kind"], "")
            found.append((block["kind"], before[1] + block["text"]))
    return found


def canonical(arguments: str) -> str:
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        value = None
    return json.dumps(value if isinstance(value, dict) else {"input": arguments}, sort_keys=True)


def totals(events: list[Event]) -> tuple[object, ...]:
    ended, begun = events[-1], events[0]
    assert isinstance(ended, Ended)
    assert isinstance(begun, Begun)
    used = ended.usage or begun.usage or Usage()
    prompt = used.input_tokens + used.cache_read_tokens + used.cache_write_5m_tokens + used.cache_write_1h_tokens
    called = any(isinstance(event, Opened) and event.kind == "call" for event in events)
    return ("length" if ended.stop == "length" else "tool_use" if called else "end"), prompt, used.output_tokens


@settings(max_examples=1000, deadline=None)
@given(answers())
def test_everything_is_read_back(events):
    for action in ("chat", "generate"):
        data = write(events, action)
        back = read([data])
        assert spoken(content(back)) == spoken(content(events))
        assert totals(back) == totals(events)
        body = whole(asking(action), events)
        assert grammar_ollama.check(body + b"\n", action) == []
        once = read([body], stream=False)
        assert spoken(content(once)) == spoken(content(events), merged=True)
        assert totals(once) == totals(events)


@settings(max_examples=300, deadline=None)
@given(answers())
def test_the_official_client_reads_it(events):
    chunks = [ollama.ChatResponse.model_validate_json(line) for line in write(events).splitlines()]
    blocks = spoken(content(events), merged=True)
    texts = {kind: "".join(text for known, text, *_ in blocks if known == kind) for kind in ("text", "thinking")}
    for parts in (chunks, [ollama.ChatResponse.model_validate_json(whole(ASKING, events))]):
        assert "".join(part.message.content or "" for part in parts) == texts["text"]
        assert "".join(part.message.thinking or "" for part in parts) == texts["thinking"]
        calls = [each.function for part in parts for each in part.message.tool_calls or ()]
        assert [(each.name, json.dumps(dict(each.arguments), sort_keys=True)) for each in calls] == [
            (name, text) for kind, _, name, text in (block for block in blocks if block[0] == "call")
        ]
        stop, prompt, output = totals(events)
        assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (prompt, output)
        assert parts[-1].done_reason == ("length" if stop == "length" else "stop")
    generated = [ollama.GenerateResponse.model_validate_json(line) for line in write(events, "generate").splitlines()]
    assert "".join(part.response or "" for part in generated) == texts["text"]
    assert "".join(part.thinking or "" for part in generated) == texts["thinking"]


def test_it_is_quick():
    events = [Begun(), Opened(0, "text"), *[Delta(0, "some words ")] * 5000, Closed(0), Ended("end", usage=USED)]
    start = time.perf_counter()
    write(events)
    taken = (time.perf_counter() - start) / len(events)
    print(f"written and checked: {taken * 1e6:.1f} µs an event")
    writer = Writer(ASKING)
    start = time.perf_counter()
    for event in events:
        writer.write(event)
    taken = (time.perf_counter() - start) / len(events)
    print(f"written: {taken * 1e6:.1f} µs an event")
    assert taken < 75e-6


@asynccontextmanager
async def served(*answers: bytes):
    """A server that gives these answers, one a connection."""
    waiting = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n")
        writer.write(next(waiting))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        yield ollama.AsyncClient(f"http://{host}:{port}")


async def test_the_official_client_over_a_socket():
    writer = Writer(ASKING)
    broken = b"".join(map(writer.write, [*TOLD[:6], Failed(502, "out", "upstream_error")]))
    async with served(write(TOLD), whole(ASKING, TOLD), write(TOLD, "generate"), broken) as client:
        parts = [part async for part in await client.chat("m", messages=[], stream=True)]
        assert "".join(part.message.content or "" for part in parts) == "Hé😀"
        assert parts[-1].done_reason == "stop"
        once = await client.chat("m", messages=[])
        assert (once.message.thinking, once.message.content, once.eval_count) == ("Hm", "Hé😀", 9)
        assert once.message.tool_calls is not None
        assert once.message.tool_calls[0].function.arguments == {"a": 1}
        made = [part.response async for part in await client.generate("m", "hi", stream=True)]
        assert "".join(part or "" for part in made) == "Hé😀"
        with pytest.raises(ollama.ResponseError, match="out"):
            _ = [part async for part in await client.chat("m", messages=[], stream=True)]


@needs_fixtures
@pytest.mark.parametrize("file", ["bedrock.converse", "bedrock.converse-stream"])
def test_recorded_answers_of_another_protocol(file):
    """Nobody has recorded Ollama: what Bedrock said is written for its clients, and read by the official one."""
    seen = 0
    for row in rows(file):
        if row["status"] != 200:
            continue
        stream = row["stream"]
        reader = converse.reader(stream)
        events = list(reader.feed(reframed(b64decode(row["response_b64"])) if stream else row["response"].encode()))
        events += reader.close()
        data = write(events)
        assert spoken(content(read([data]))) == spoken(content(events))
        assert totals(read([data])) == totals(events)
        parts = [ollama.ChatResponse.model_validate_json(line) for line in data.splitlines()]
        answer = aws_message(aws_events(row)) if stream else aws_whole(row["response"])
        texts = [block["text"] for block in told(answer) if block["kind"] == "text"]
        calls = [(block["name"], block["input"]) for block in told(answer) if block["kind"] == "call"]
        assert "".join(part.message.content or "" for part in parts) == "".join(texts)
        found = [call.function for part in parts for call in part.message.tool_calls or ()]
        assert [(call.name, dict(call.arguments)) for call in found] == calls
        seen += 1
    assert seen >= 9
