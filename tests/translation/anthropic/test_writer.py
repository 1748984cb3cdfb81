import json

import anthropic
import pytest
from hypothesis import given, settings
from msgspec import structs

from gateway.protocols.codec import Usage
from gateway.translation.anthropic.writer import Writer, escaped, whole
from gateway.translation.events import Begun, Closed, Delta, Ended, Event, Failed, Logprobs, Opened, Sealing
from gateway.translation.prompt import Sealed
from tests.translation.anthropic import sdk
from tests.translation.anthropic.sdk import ASKING, plain, read, streamed, validated, validated_whole, write
from tests.translation.generate import answers, content, faults
from tests.translation.grammar_anthropic import check, message_faults

USAGE = Usage(7, 5, 3, 2, 40, 11)
SEAL = Sealed("anthropic", "c2ln")


def said(data: bytes) -> list[tuple[str, object]]:
    """The stream in short: blocks by index, deltas by what they add."""
    found: list[tuple[str, object]] = []
    for event in data.decode().split("\n\n")[:-1]:
        tree = json.loads(event.partition("data: ")[2])
        match tree["type"]:
            case "content_block_start":
                found.append((tree["content_block"]["type"], tree["index"]))
            case "content_block_delta":
                kind = tree["delta"].pop("type")
                found.append((kind, next(iter(tree["delta"].values()))))
            case "content_block_stop":
                found.append(("stop", tree["index"]))
            case kind:
                found.append((kind, ""))
    return found


BLOCKS = [
    Begun("x", "y", Usage(7, 5, 3, 2)),
    Opened(0, "thinking"),
    Delta(0, "hm"),
    Sealing(0, SEAL),
    Closed(0),
    Opened(1, "thinking", redacted=True),
    Sealing(1, SEAL),
    Closed(1),
    Opened(2, "text"),
    Delta(2, "Hé😀"),
    Delta(2, ""),
    Logprobs(2, ()),
    Closed(2),
    Opened(3, "call", "functions.t:0", "t"),
    Delta(3, '{"a":1}'),
    Sealing(3, Sealed("gemini", "g")),
    Closed(3),
    Ended("tool_use", usage=USAGE),
]


def test_a_stream_of_every_kind():
    data = write(BLOCKS)
    assert check(data) == []
    assert said(data) == [
        ("message_start", ""),
        ("thinking", 0),
        ("thinking_delta", "hm"),
        ("signature_delta", "c2ln"),
        ("stop", 0),
        ("redacted_thinking", 1),
        ("stop", 1),
        ("text", 2),
        ("text_delta", "Hé😀"),
        ("stop", 2),
        ("tool_use", 3),
        ("input_json_delta", '{"a":1}'),
        ("stop", 3),
        ("message_delta", ""),
        ("message_stop", ""),
    ]
    found = streamed(data)
    assert plain(found) == plain(sdk.whole(whole(ASKING, BLOCKS)))
    assert (found.id, found.model) == ("msg_0123456789abcdef", "claude-sonnet-4-5")
    assert found.content[3].id == "functions_u2e_t_u3a_0"
    assert found.usage.cache_creation_input_tokens == 5


def test_the_golden_bytes():
    """Every byte of a small stream; ids are the request's, so that they are the same however often it is written."""
    events = [
        Begun(),
        Opened(0, "call", None, "t"),
        Delta(0, "{}"),
        Closed(0),
        Ended("end", usage=Usage(1, 2, 3, 4, 5)),
    ]
    zeros = (
        b'"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,'
        b'"output_tokens_details":{"thinking_tokens":0},"server_tool_use":null,"cache_creation":'
        b'{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"inference_geo":null,"service_tier":"standard"}'
    )
    assert write(events) == (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_0123456789abcdef","type":"message",'
        b'"role":"assistant","model":"claude-sonnet-4-5","content":[],"container":null,"stop_reason":null,'
        b'"stop_sequence":null,"stop_details":null,' + zeros + b"}}\n\n"
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use",'
        b'"id":"toolu_0123456789abcdef_0","name":"t","input":{},"caller":{"type":"direct"}}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"input_json_delta","partial_json":"{}"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,'
        b'"stop_details":null,"container":null},"usage":{"input_tokens":1,"cache_creation_input_tokens":7,'
        b'"cache_read_input_tokens":2,"output_tokens":5,"output_tokens_details":{"thinking_tokens":0},'
        b'"server_tool_use":null,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4}}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    assert write(events) == write(events)


def test_one_block_is_open_at_a_time():
    events = [
        Begun(),
        Opened(0, "text"),
        Delta(0, "a"),
        Opened(1, "call", "i", "t"),
        Opened(2, "call", "j", "t"),
        Delta(2, "{"),
        Delta(1, '{"x"'),
        Closed(2),
        Delta(0, "b"),
        Closed(0),
        Delta(1, ":1}"),
        Closed(1),
        Ended("tool_use"),
    ]
    data = write(events)
    assert check(data) == []
    assert said(data)[1:-2] == [
        ("text", 0),
        ("text_delta", "a"),
        ("text_delta", "b"),
        ("stop", 0),
        ("tool_use", 1),
        ("input_json_delta", '{"x"'),
        ("input_json_delta", ":1}"),
        ("stop", 1),
        ("tool_use", 2),
        ("input_json_delta", "{"),
        ("stop", 2),
    ]


def test_the_open_block_is_written_at_once():
    writer = Writer(ASKING)
    for event in BLOCKS[:10]:
        out = writer.write(event)
    assert b"H\xc3\xa9" in out


@pytest.mark.parametrize(
    "block",
    [
        [Opened(0, "text"), Delta(0, ""), Closed(0)],
        [Opened(0, "thinking"), Sealing(0, Sealed("openai", "x")), Closed(0)],
        [Opened(0, "thinking", redacted=True), Sealing(0, Sealed("gemini", "x")), Closed(0)],
        [Opened(0, "thinking", redacted=True), Closed(0)],
    ],
)
def test_a_block_that_says_nothing_is_none(block):
    events = [Begun(), *block, Opened(1, "text"), Delta(1, "a"), Closed(1), Ended("end")]
    data = write(events)
    assert check(data) == []
    assert said(data)[1:-2] == [("text", 0), ("text_delta", "a"), ("stop", 0)]
    assert [each.type for each in sdk.whole(whole(ASKING, events)).content] == ["text"]


def test_sealed_thinking_without_a_text_is_kept():
    events = [Begun(), Opened(0, "thinking"), Sealing(0, SEAL), Closed(0), Ended("end")]
    assert said(write(events))[1:-2] == [("thinking", 0), ("signature_delta", "c2ln"), ("stop", 0)]
    assert plain(streamed(write(events))) == plain(sdk.whole(whole(ASKING, events)))


def test_a_free_text_is_the_one_string_of_its_call():
    events = [
        Begun(),
        Opened(0, "call", "i", "t", custom=True),
        Delta(0, 'a"'),
        Delta(0, "\nb"),
        Closed(0),
        Ended("tool_use"),
    ]
    assert streamed(write(events)).content[0].input == {"input": 'a"\nb'}
    assert sdk.whole(whole(ASKING, events)).content[0].input == {"input": 'a"\nb'}


@pytest.mark.parametrize(
    ("text", "found"), [("", {}), ("[1]", {"input": "[1]"}), ("{'a'", {"input": "{'a'"}), ('{"a":{}}', {"a": {}})]
)
def test_arguments_in_one_piece_are_an_object(text, found):
    events = [Begun(), Opened(0, "call", "i", "t"), Delta(0, text), Closed(0), Ended("tool_use")]
    assert sdk.whole(whole(ASKING, events)).content[0].input == found


@pytest.mark.parametrize(
    ("failed", "error", "raised"),
    [
        (Failed(500, "it broke"), "api_error", anthropic.APIStatusError),
        (Failed(503, "it broke", "overloaded_error"), "overloaded_error", anthropic.APIStatusError),
        (Failed(429, "it broke"), "rate_limit_error", anthropic.APIStatusError),
        (Failed(502, "it broke", "upstream_error"), "api_error", anthropic.APIStatusError),
    ],
)
def test_an_error_ends_the_stream_and_nothing_follows(failed, error, raised):
    writer = Writer(ASKING)
    data = b"".join(map(writer.write, [*BLOCKS[:10], failed, *BLOCKS[10:]]))
    assert check(data) == []
    last = json.loads(data.rpartition(b"data: ")[2])
    assert (last["error"]["type"], last["error"]["message"]) == (error, "it broke")
    assert last["request_id"] == ASKING.request_id
    assert writer.ping() == b""
    with pytest.raises(raised, match="it broke"):
        streamed(data)


def test_a_ping_at_any_place_but_after_the_end():
    writer = Writer(ASKING)
    data = b"".join(writer.ping() + writer.write(event) for event in BLOCKS) + writer.ping()
    assert check(data) == []
    assert streamed(data) == streamed(write(BLOCKS))


def test_figures_of_the_beginning_stand_in_for_those_that_never_come():
    events = [Begun(usage=USAGE), Ended("end")]
    assert streamed(write(events)).usage == sdk.whole(whole(ASKING, events)).usage
    assert streamed(write(events)).usage.output_tokens == 40
    assert streamed(write([Begun(), Ended("end")])).usage.output_tokens == 0


def test_what_another_reader_left_open_is_closed():
    assert check(write([Opened(0, "text"), Delta(0, "a"), Opened(1, "call", "i", "t"), Ended("end")])) == []
    assert check(write([Ended("end")])) == []


def test_a_text_inside_a_string():
    assert json.loads(f'"{escaped(chr(0x22) + chr(10) + "é" + chr(92))}"') == '"\né\\'
    assert escaped("\ud83d") == r"\ud83d"


def kept(events: list[Event]) -> list[dict]:
    """What Anthropic's clients can be told of the blocks."""
    blocks = []
    redacted = {event.block for event in events if isinstance(event, Opened) and event.redacted}
    for number, block in enumerate(content(events)):
        seals = [seal for seal in block["sealed"] if seal.family == "anthropic" and block["kind"] == "thinking"]
        text = block["text"]
        if block["kind"] == "call":
            text = text or "{}"
        elif not seals and (not text or number in redacted):
            continue
        blocks.append(block | {"text": text, "sealed": seals})
    return blocks


@settings(max_examples=300, deadline=None)
@given(answers())
def test_whatever_comes_is_written_in_the_form_and_read_back(events):
    data = write(events)
    assert check(data) == []
    validated(data)
    back = read([data])
    assert faults(back) == []
    assert content(back) == kept(events)
    assert (back[-1].stop, back[-1].sequence) == (events[-1].stop, events[-1].sequence)
    figures = events[-1].usage or events[0].usage or Usage()
    assert back[-1].usage == figures
    one = whole(ASKING, events)
    validated_whole(one)
    assert message_faults(json.loads(one)) == []
    told = [block | {"text": loosely(block["text"])} if block["kind"] == "call" else block for block in kept(events)]
    again = content(read([one], stream=False))
    assert [block | {"text": loosely(block["text"])} if block["kind"] == "call" else block for block in again] == told
    assert read([one], stream=False)[-1] == structs.replace(events[-1], usage=figures)


def loosely(arguments: str) -> object:
    """As the object that a block holds."""
    try:
        found = json.loads(arguments)
    except ValueError:
        return {"input": arguments}
    return found if isinstance(found, dict) else {"input": arguments}


@settings(max_examples=60, deadline=None)
@given(answers())
def test_the_sdk_reads_both_forms_alike(events):
    for event in events:
        if isinstance(event, Opened) and event.kind == "call":
            text = "".join(each.text for each in events if isinstance(each, Delta) and each.block == event.block)
            if loosely(text or "{}") == {"input": text}:
                return  # what is no object cannot be told in both forms alike
    stream, one = streamed(write(events)), sdk.whole(whole(ASKING, events))
    assert [plain(block) for block in stream.content] == [plain(block) for block in one.content]
    assert (stream.stop_reason, stream.stop_sequence) == (one.stop_reason, one.stop_sequence)
    assert stream.model == one.model == ASKING.model
