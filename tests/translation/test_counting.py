"""Counting: the vendors' SDKs read the answers, the sandbox takes the requests, and recorded counts check the guess."""

import json
import time
from typing import Any

import httpx
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import MessageCountTokensParams
from google import genai
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.local.sandbox import running
from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.protocols.reading import Absurd
from gateway.translation import SPEECHES
from gateway.translation.counting import COUNTERS, IMAGE, PAGE, answer, ask, estimate, parse, size_of, told
from gateway.translation.prompt import (
    Audio,
    Call,
    Choice,
    Document,
    Format,
    Image,
    Prompt,
    Reasoning,
    Result,
    Sealed,
    Text,
    Thinking,
    Tool,
    Turn,
    Untranslatable,
)
from gateway.translation.speech import Limits
from tests.protocols.cuts import needs_fixtures
from tests.protocols.test_recorded import endpoint, rows
from tests.support.receiver import receiving

LEAST, MOST = 0.5, 2.0
"""An estimate is within these times the count…"""
FRAME = 64
"""…give or take so many tokens, which some models have around every prompt, however short."""
COUNTING = {name: next(each for each in CODECS[name].endpoints if each.operation == "count") for name in COUNTERS}
HI = Prompt("m", (Turn("user", (Text("hi"),)),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FULL = Prompt(
    "claude-sonnet-4-5",
    (
        Turn("user", (Text("Weather?"), Image("image/png", "iVBORw0KGgo="))),
        Turn("assistant", (Thinking("Hm", Sealed("anthropic", "c2ln")), Call("c1", "weather", '{"city":"Bern"}'))),
        Turn("user", (Result("c1", (Text("21"),), "weather"),)),
    ),
    system=(Text("Be short."),),
    stream=True,
    tools=(Tool("weather", "Of a city", SCHEMA),),
    choice=Choice("auto"),
    max_tokens=100,
    temperature=1.5,
    top_p=0.5,
    top_k=3,
    stop=("END",),
    seed=1,
    presence_penalty=1,
    logprobs=2,
    format=Format("schema", SCHEMA),
    reasoning=Reasoning(True, budget=2048, shown=False),
    user="u",
    metadata={"a": "b"},
    service_tier="priority",
)
LIMITS = Limits("upstream-model", 4096)


def body(found: Any) -> bytes:
    return json.dumps(found).encode()


def test_every_protocol_that_counts_is_in_the_table():
    counts = {
        name: each.action or each.operation
        for name, codec in CODECS.items()
        for each in codec.endpoints
        if each.operation == "count"
    }
    assert counts == {name: counter.operation for name, counter in COUNTERS.items()}


CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    ("protocol", "found", "expected"),
    [
        ("anthropic", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, HI),
        ("gemini", CONTENTS, replace(HI, model="")),
        ("gemini", {"generateContentRequest": {"model": "models/m"} | CONTENTS}, HI),
        (
            "gemini",
            {"generate_content_request": CONTENTS, "contents": [{"parts": [{"text": "x"}]}]},
            replace(HI, model=""),
        ),
        ("gemini", {"generateContentRequest": None} | CONTENTS, replace(HI, model="")),
        (
            "gemini",
            CONTENTS | {"system_instruction": {"parts": [{"text": "S"}]}},
            replace(HI, model="", system=(Text("S"),)),
        ),
    ],
)
def test_requests(protocol, found, expected):
    assert parse(body(found), COUNTING[protocol]) == expected


@pytest.mark.parametrize(
    ("protocol", "found", "field"),
    [
        ("anthropic", {"model": "m"}, "messages"),
        ("anthropic", {"messages": [{"role": "user", "content": "hi"}]}, "model"),
        ("gemini", {}, "contents"),
        ("gemini", {"generateContentRequest": {}}, "generateContentRequest.contents"),
        ("gemini", {"generateContentRequest": 7}, "generateContentRequest"),
        ("gemini", {"generate_content_request": {"contents": 7}}, "generate_content_request.contents"),
    ],
)
def test_what_is_wrong_is_named(protocol, found, field):
    with pytest.raises(InvalidBody) as caught:
        parse(body(found), COUNTING[protocol])
    assert caught.value.field == field


def test_a_member_that_stands_twice_is_refused():
    twice = b'{"generateContentRequest":{"contents":[]},"generateContentRequest":{"contents":[]}}'
    with pytest.raises(InvalidBody):
        parse(twice, COUNTING["gemini"])


async def test_the_sdks_read_the_answers():
    async with receiving() as receiver:
        url = receiver.url.partition("/hook")[0]
        receiver.says(200, body=answer("anthropic", 7), content_type="application/json")
        messages: Any = [{"role": "user", "content": "hi"}]
        async with AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as claude:
            assert (await claude.messages.count_tokens(model="m", messages=messages)).to_dict() == {"input_tokens": 7}
        assert parse(receiver.received[-1].body, COUNTING["anthropic"]) == HI
        receiver.says(200, body=answer("gemini", 0), content_type="application/json")
        google = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url))
        try:
            assert (await google.aio.models.count_tokens(model="m", contents="hi")).total_tokens == 0
        finally:
            await google.aio.aclose()
            google.close()
        assert parse(receiver.received[-1].body, COUNTING["gemini"]) == replace(HI, model="")


def test_anthropics_count_is_asked_for_with_what_it_takes():
    built = ask("anthropic", FULL, LIMITS)
    found = json.loads(built.body)
    assert found.keys() <= MessageCountTokensParams.__annotations__.keys()
    assert found.keys() == {"model", "system", "messages", "tools", "tool_choice", "thinking", "output_config"}
    assert (found["model"], built.adjusted, built.headers) == ("upstream-model", (), ())
    again = parse(built.body, COUNTING["anthropic"])
    assert (again.turns, again.system, again.tools) == (FULL.turns, FULL.system, FULL.tools)
    assert json.loads(ask("anthropic", HI, LIMITS).body).keys() == {"model", "messages"}


def test_geminis_count_is_asked_for_with_what_it_takes():
    found = json.loads(ask("gemini", FULL, LIMITS).body)
    assert found.keys() == {"generateContentRequest"}
    inner = found["generateContentRequest"]
    assert inner.keys() == {"model", "contents", "systemInstruction", "tools", "toolConfig"}
    assert inner["model"] == "models/upstream-model"
    again = parse(body(found), COUNTING["gemini"])
    assert (again.model, again.system, len(again.turns)) == ("upstream-model", FULL.system, 3)
    assert json.loads(ask("gemini", HI, LIMITS).body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_what_an_upstream_cannot_have_cannot_be_counted_there():
    prompt = replace(HI, turns=(Turn("user", (Audio("audio/wav", "AAAA"),)),))
    with pytest.raises(Untranslatable):
        ask("anthropic", prompt, LIMITS)


async def test_the_sandbox_counts_what_is_asked():
    paths = {"anthropic": "/v1/messages/count_tokens", "gemini": "/v1beta/models/upstream-model:countTokens"}
    keys = {"x-api-key": "sk-ant-1234", "x-goog-api-key": "AIza9abc", "anthropic-version": "2023-06-01"}
    async with running() as sandbox, httpx.AsyncClient(base_url=sandbox.url, headers=keys) as http:
        for protocol, path in paths.items():
            counts = []
            for prompt in (HI, FULL):
                said = await http.post(path, content=ask(protocol, prompt, LIMITS).body)
                assert said.status_code == 200, said.text
                counts.append(told(protocol, said.content))
            assert 0 < counts[0] < counts[1]


@pytest.mark.parametrize(
    ("protocol", "found", "expected"),
    [
        ("anthropic", b'{"input_tokens":7}', 7),
        ("anthropic", b'{"input_tokens":0,"context_management":{"original_input_tokens":9}}', 0),
        ("gemini", b'{"totalTokens":7,"promptTokensDetails":[]}', 7),
    ],
)
def test_what_was_counted(protocol, found, expected):
    assert told(protocol, found) == expected


@pytest.mark.parametrize("protocol", COUNTERS)
@pytest.mark.parametrize("number", ["-1", '"7"', "7.5", "null", "true", "1e12", "1000000000000"])
def test_what_is_no_count(protocol, number):
    name = COUNTERS[protocol].figure
    for found in (b"", b"[7]", b"{}", f'{{"{name}":{number}}}'.encode()):
        with pytest.raises(Absurd):
            told(protocol, found)


@given(st.integers(0, 10**8), st.sampled_from([*COUNTERS]))
def test_what_is_answered_is_told_again(tokens, protocol):
    assert told(protocol, answer(protocol, tokens)) == tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("abcd", 1),
        ("a" * 41, 10.25),
        ("漢字", 2),
        ("한국어", 3),
        ("カナ", 2),
        ("abcd漢", 2),
        ("é", 2 / 3),
        ("😀", 4 / 3),
    ],
)
def test_texts(text, expected):
    assert size_of(text) == pytest.approx(expected)


def user(*parts: Any) -> Prompt:
    return Prompt("m", (Turn("user", parts),))


TOOL = Tool("f" * 8, "d" * 40, {"type": "object"})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Prompt("m", ()), 0),
        (Prompt("m", (), system=(Text(""),)), 4),
        (Prompt("m", (Turn("user", ()),)), 4),
        (user(Text("a" * 40)), 14),
        (user(Thinking("a" * 40, Sealed("anthropic", "x" * 400))), 14),
        (user(Image(url="https://x")), 4 + IMAGE),
        (user(Image("image/png", "A" * 10**7)), 4 + IMAGE),
        (user(Document(text="a" * 40)), 14),
        (user(Document(url="https://x")), 4 + PAGE),
        (user(Document("application/pdf", "A" * 100_000)), 4 + 2 * PAGE),
        (user(Document("application/pdf", "A" * 40_000_000)), 4 + 100 * PAGE),
        (user(Audio("audio/mp3", "A" * 15_000)), 15),
        (user(Call("c", "abcd", '{"a":12}')), 17),
        (user(Result("c", (Text("a" * 40), Image(url="https://x")))), 24 + IMAGE),
        (replace(user(), system=(Text("a" * 40), Text("b" * 40))), 28),
        (replace(user(), tools=(TOOL, TOOL)), 4 + 20 + 2 * (12 + 2 + 10) + 7),
        (replace(user(), model="us.anthropic.Claude-x", tools=(TOOL,)), 4 + 500 + 12 + 2 + 10 + 3),
        (replace(user(), format=Format("json")), 4),
        (replace(user(), format=Format("schema", {"type": "object"})), 7),
    ],
)
def test_estimates(prompt, expected):
    assert estimate(prompt) == expected


texts = st.text(st.characters() | st.characters(categories=["Cs"]))


@given(texts, texts)
def test_an_estimate_never_falls_by_more_text(first, second):
    assert size_of(first + second) == pytest.approx(size_of(first) + size_of(second))
    assert 0 < estimate(user(Text(first))) <= estimate(user(Text(first + second)))


def test_an_estimate_takes_time_by_the_length_alone():
    def taken(size: int) -> float:
        prompt = user(*(Text("ab漢😀\ud83d" * 20_000) for _ in range(size)))
        started = time.process_time()
        estimate(prompt)
        return time.process_time() - started

    short = min(taken(10) for _ in range(3))
    assert min(taken(40) for _ in range(3)) < 12 * short + 0.02


def counted(protocol: str, row: dict[str, Any], asking: Endpoint) -> tuple[Prompt, int] | None:
    """Of a recorded answer in words alone, by a model of the provider that made the protocol: what was asked, and
    its tokens. None for what is not in the request's letters: files, tools of the provider's own, sealed thoughts."""
    if row.get("request") is None or row["status"] != 200 or not row["host"].endswith(HOSTS[protocol]):
        return None
    try:
        prompt = SPEECHES[protocol].parse(body(row["request"]), asking)
    except InvalidBody:
        return None
    reader = CODECS[protocol].reader(asking, row["stream"])
    reader.feed(row["response"].encode())
    reader.close()
    used = reader.usage
    if used is None or used.server_tool_calls or any(not in_letters(turn.parts) for turn in prompt.turns):
        return None
    cached = used.cache_read_tokens + used.cache_write_5m_tokens + used.cache_write_1h_tokens
    return prompt, used.input_tokens + cached


HOSTS = {
    "anthropic": "api.anthropic.com",
    "gemini": "googleapis.com",
    "openai_chat": "api.openai.com",
    "openai_responses": "api.openai.com",
}


def in_letters(parts: Any) -> bool:
    every = [each for part in parts for each in (part, *(part.content if isinstance(part, Result) else ()))]
    return all(
        not isinstance(each, Image | Document | Audio) and getattr(each, "sealed", None) is None for each in every
    )


def misjudged(prompt: Prompt, tokens: int) -> bool:
    return not LEAST * tokens - FRAME <= estimate(prompt) <= MOST * tokens + FRAME


@needs_fixtures
@pytest.mark.parametrize(
    ("protocol", "file"), [("anthropic", "anthropic.count_tokens"), ("gemini", "gemini.countTokens")]
)
def test_recorded_counts(protocol, file):
    """Within the factor alone: nothing is around these prompts but what counts."""
    seen = []
    for row in rows(file):
        if row["status"] != 200:
            with pytest.raises(Absurd):
                told(protocol, row["response"].encode())
            continue
        tokens = told(protocol, row["response"].encode())
        request = {name: value for name, value in row["request"].items() if name != "tools" or protocol == "anthropic"}
        prompt = parse(body({"model": "m"} | request), COUNTING[protocol])
        seen.append((row["id"], estimate(prompt), tokens))
    assert len(seen) == 3
    assert [one for one in seen if not LEAST <= one[1] / one[2] <= MOST] == []


@needs_fixtures
@pytest.mark.parametrize(
    ("protocol", "file", "least"),
    [
        ("anthropic", "anthropic.messages", 90),
        ("gemini", "gemini.generateContent", 75),
        ("openai_chat", "openai.chat", 100),
        ("openai_responses", "openai.responses", 90),
    ],
)
def test_recorded_prompts(protocol, file, least):
    """Nine of ten: Claude is told more with tools that it searches, and Gemini reads no schema of an answer."""
    found = [(row["id"], counted(protocol, row, endpoint(file, row))) for row in rows(file)]
    judged = [(name, *each) for name, each in found if each is not None]
    wrong = [(name, estimate(prompt), tokens) for name, prompt, tokens in judged if misjudged(prompt, tokens)]
    assert len(judged) >= least
    assert len(wrong) <= len(judged) // 10, "\n".join(f"{name}: {ours} for {theirs}" for name, ours, theirs in wrong)
