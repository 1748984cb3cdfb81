"""Listening to an exchange: tokens, their source, the row's price."""

import asyncio
import gzip
import json
import zlib
from decimal import Decimal

import pytest

from gateway.core.domain import Capture
from gateway.core.ledger import Attempt, Row
from gateway.core.prices import Price, Table, cost, shipped
from gateway.core.services import prices as versions
from gateway.protocols import CODECS
from gateway.protocols.codec import Reader, Sampled, Share, Usage
from gateway.relay.estimate import prompt_tokens
from gateway.relay.meter import Tap, finish, measured
from gateway.relay.recording import Recording
from tests.relay.world import CHAT, Raw, World, answer

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


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"compress", b"gzip, br"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_decoded_is_not_read(encoding: bytes, stream: bool) -> None:
    """It may look like an answer. The client gets it all the same, and at once: so it has begun."""
    made = reader(stream=stream)
    tap = Tap(made, encoding)
    for data in (WHOLE, b'data: {"type":"message_delta","usage":{"output_tokens":9}}\n\n', b"\xff\x00\n\n"):
        assert tap.feed(data) == b""
        assert made.begun
    made.close()
    assert (made.usage, made.usage_final, made.characters) == (None, False, 0)
    assert measured(made, row()) == (Usage(input_tokens=40), "estimated")


@pytest.mark.parametrize("encoding", [b"br", b"identity"])
def test_what_is_recorded_is_what_is_read(encoding: bytes) -> None:
    recording = Recording(Capture(enabled=True), b"")
    made = reader()
    tap = Tap(recording.over(made), encoding)
    tap.feed(WHOLE)
    assert made.begun
    assert recording.task().parts[1].data == (WHOLE if encoding == b"identity" else b"")


def test_the_source_of_the_figures() -> None:
    whole = reader(WHOLE)
    whole.close()
    assert measured(whole, row()) == (Usage(input_tokens=3, output_tokens=2), "provider")
    opening = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'  # noqa: E501
    text = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"123456789"}}\n\n'  # noqa: E501
    assert measured(reader(opening + text, stream=True), row()) == (Usage(input_tokens=7, output_tokens=3), "estimated")
    assert measured(reader(text, stream=True), row()) == (Usage(input_tokens=40, output_tokens=3), "estimated")


def test_the_estimate_of_a_prompt() -> None:
    assert [prompt_tokens(b"x" * size) for size in (0, 3, 4, 4000, 10_000_000)] == [0, 0, 1, 1000, 200_000]


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


@pytest.mark.parametrize(("multiplier", "base"), [("1", None), ("2", 3_000_000), ("0", 3_000_000)])
def test_what_it_costs_before_the_multiplier_stands_in_the_row(multiplier: str, base: int | None) -> None:
    made = row()
    made.platform, made.model_used = "claude-official", "claude-sonnet-4-5"
    finish(made, Usage(input_tokens=1000), "provider", shipped(), multiplier)
    assert (made.cost, made.base_cost) == (int(multiplier) * 3_000_000, base)


@pytest.mark.parametrize("model", ["paid", "no-such-model"])
def test_the_counting_of_tokens_has_no_price(model: str) -> None:
    rates = Price("paid", Decimal(3), Decimal(15), per_request=Decimal("0.01"))
    made = row()
    made.platform, made.model_used = "claude-official", model
    finish(made, Usage(), "provider", Table("t", "USD", (rates,)), "2", billed=False)
    assert (made.cost, made.base_cost, made.unpriced, made.price_version) == (0, None, False, None)


def test_a_deployment_costs_what_the_client_s_name_for_it_costs() -> None:
    """And what the upstream's name costs goes before it."""
    for used, asked, like in (
        ("my-deployment", "gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini"),
        ("my-deployment", "my-model", None),
    ):
        made = row()
        made.platform, made.model_used, made.model_asked = "azure-openai", used, asked
        finish(made, Usage(input_tokens=1_000_000), "provider", shipped(), "1")
        expected = like and cost(shipped(), "azure-openai", like, made.received_at, Usage(input_tokens=1_000_000))
        assert (made.cost, made.unpriced) == (expected, like is None)
        assert made.price_version == (shipped().version if like else None)


def event(kind: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


@pytest.mark.parametrize(
    ("figures", "metrics", "usage", "code"),
    [
        ({"output_tokens": -5}, None, Usage(input_tokens=40, output_tokens=3), "absurd_usage"),
        ({"output_tokens": 10**12}, None, Usage(input_tokens=40, output_tokens=3), "absurd_usage"),
        ({"output_tokens": 2.5}, None, Usage(input_tokens=40, output_tokens=3), "absurd_usage"),
        ({"output_tokens": 5}, {"outputTokenCount": 6}, Usage(input_tokens=7, output_tokens=5), "disputed_usage"),
        (None, None, Usage(input_tokens=7, output_tokens=3), None),
    ],
)
def test_figures_that_are_not_believed_are_flagged(
    figures: object, metrics: object, usage: Usage, code: str | None
) -> None:
    made = reader(
        event("message_start", message={"usage": {"input_tokens": 7, "output_tokens": 1}})
        + event("content_block_delta", delta={"type": "text_delta", "text": "123456789"})
        + event("message_delta", delta={"stop_reason": "end_turn"}, usage=figures)
        + event("message_stop", **{"amazon-bedrock-invocationMetrics": metrics}),
        stream=True,
    )
    told = row()
    told.attempts = [Attempt("a", "bedrock", "m", 1.0), Attempt("b", "bedrock", "m", 2.0)]
    assert measured(made, told) == (usage, "estimated")
    assert [one.error_code for one in told.attempts] == [None, code]


def test_what_is_measured_beside_the_classes_stands_in_the_row() -> None:
    made = row()
    made.platform, made.model_used = "openai", "gpt-4o"
    usage = Usage(input_tokens=50, output_tokens=9, audio_tokens=7, image_tokens=30, server_tool_calls=2)
    finish(made, usage, "provider", shipped(), "1")
    assert (made.audio_tokens, made.image_tokens, made.server_tool_calls) == (7, 30, 2)


def sampled(*shares: Share) -> Sampled:
    sums = {name: sum(getattr(one.usage, name) for one in shares) for name in Usage.__struct_fields__}
    return Sampled(**sums, shares=shares)


def cost_of(usage: Usage, model: str) -> int:
    made = row()
    made.platform, made.model_used = "claude-official", model
    finish(made, usage, "provider", shipped(), "1.5")
    assert made.cost is not None
    return made.cost


def test_each_sampling_is_paid_for_by_its_own_model_and_in_its_own_tier() -> None:
    # Above 100,000 tokens the model costs more: neither of its prompts has them, both together do.
    first, second, advice = Usage(40_000, 20_000), Usage(90_000, output_tokens=500), Usage(823, output_tokens=1612)
    model, advisor = "claude-haiku-5-5", "claude-opus-4-1"
    usage = sampled(Share(first), Share(second), Share(advice, advisor))
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (130_823, 20_000, 2112)
    parts = [cost_of(first, model), cost_of(second, model), cost_of(advice, advisor)]
    assert cost_of(usage, model) == sum(parts)
    assert cost_of(Usage(130_000, 20_000, output_tokens=500), model) > parts[0] + parts[1]
    assert parts[2] > cost_of(advice, model)
    unknown = row()
    unknown.platform, unknown.model_used = "claude-official", model
    finish(unknown, sampled(Share(second), Share(advice, "no-such-model")), "provider", shipped(), "1")
    assert (unknown.cost, unknown.unpriced, unknown.input_tokens) == (None, True, 90_823)


# ------------------------------------------------------------------ through the relay, into the ledger

LISTENED = {
    "prompt_tokens": 90,
    "completion_tokens": 40,
    "prompt_tokens_details": {"audio_tokens": 30, "image_tokens": 20},
    "completion_tokens_details": {"audio_tokens": 12},
    "server_tool_use_details": {"tool_calls_executed": 3},
}


def spoken(figures: dict[str, object]) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * 9}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": figures}


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_measured_arrives_in_the_ledger(world: World, raw: Raw, stream: bool) -> None:
    await world.account("openai", secret="sk-a", base_url=raw.url)
    whole = spoken(LISTENED)
    events = [{**whole, "usage": None, "choices": [{"index": 0, "delta": {"content": "x"}}]}, {**whole, "choices": []}]
    told = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events) + b"data: [DONE]\n\n"
    raw.say("sk-a", answer(200, told, content_type="text/event-stream") if stream else answer(200, whole))
    got = await world.ask(await world.key(), "gpt-4o", CHAT, stream=stream)
    assert got.status_code == 200
    found = await world.site.row(got.headers["x-request-id"])
    assert (found.input_tokens, found.output_tokens, found.usage_source) == (90, 40, "provider")
    assert (found.audio_tokens, found.image_tokens, found.server_tool_calls) == (42, 20, 3)


@pytest.mark.parametrize("per_request", [None, Decimal("0.01")])
async def test_the_counting_of_tokens_is_a_row_that_costs_nothing(world: World, per_request: Decimal | None) -> None:
    model = "sandbox-echo"
    if per_request is not None:
        model = "sandbox-tokens-11"
        rates = Price(model, Decimal(3), Decimal(15), per_request=per_request)
        async with world.site.sessions.begin() as session:
            await versions.create(session, versions.draft([rates]))
        await world.site.reload()
    await world.account()
    key = await world.key(limits=[{"type": "budget", "per": "day", "max": "1"}])
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    got = await world.site.http.post("/v1/messages/count_tokens", headers={"x-api-key": key}, json=asked)
    assert got.status_code == 200, got.text
    found = await world.site.row(got.headers["x-request-id"])
    assert (found.cost, found.unpriced, found.usage_source, found.input_tokens) == (0, False, "provider", 0)
    assert [one["used"] for one in await world.key_state(key)] == ["0"]


async def test_a_stream_that_cannot_be_read_passes_at_once(world: World, raw: Raw) -> None:
    """In an encoding that nobody asked for, and that is not known here."""
    await world.account("openai", secret="sk-a", base_url=raw.url)
    ends = asyncio.Event()

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ncontent-encoding: br\r\ncontent-length: 8\r\n\r\n"
        writer.write(head + b"\x0b\x02\x80\x00")
        await ends.wait()
        writer.write(b"\n\n\x00\x03")

    raw.say("sk-a", speak)
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    asked["stream_options"] = {"include_usage": True}
    headers = {"x-api-key": await world.key()}
    async with world.site.http.stream("POST", CHAT, headers=headers, json=asked, timeout=5) as got:
        parts = got.aiter_raw()
        first = await anext(parts)
        ends.set()
        rest = b"".join([part async for part in parts])
    assert first + rest == b"\x0b\x02\x80\x00\n\n\x00\x03"
    assert got.headers["content-encoding"] == "br"
    found = await world.site.row(got.headers["x-request-id"])
    assert (found.usage_source, found.output_tokens) == ("estimated", 0)
    assert found.input_tokens > 0


async def test_absurd_figures_are_credited_to_nobody(world: World, raw: Raw) -> None:
    await world.account("openai", secret="sk-a", base_url=raw.url)
    raw.say("sk-a", answer(200, spoken({"prompt_tokens": -1_000_000, "completion_tokens": 5})))
    got = await world.ask(await world.key(), "gpt-4o", CHAT)
    assert got.json()["usage"]["prompt_tokens"] == -1_000_000
    found = await world.site.row(got.headers["x-request-id"])
    assert (found.output_tokens, found.usage_source, found.ending) == (3, "estimated", "complete")
    assert found.input_tokens > 0
    assert found.cost is not None
    assert found.cost > 0
    assert [one["error_code"] for one in found.attempts] == ["absurd_usage"]
