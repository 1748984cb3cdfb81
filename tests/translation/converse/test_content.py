"""Messages of Converse, one row a kind of part; conversations of any order."""

import json
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.translation import converse
from gateway.translation.prompt import (
    Audio,
    Call,
    Document,
    Image,
    Prompt,
    Result,
    Sealed,
    Text,
    Thinking,
    Turn,
    Untranslatable,
)
from gateway.translation.rounds import BEGINNING
from gateway.translation.speech import Limits
from tests.translation.converse.judge import faults, judged
from tests.translation.generate import arguments, broken, texts

CLAUDE = Limits("us.anthropic.claude-sonnet-4-20250514-v1:0")
NOVA = Limits("us.amazon.nova-pro-v1:0")
LLAMA = Limits("us.meta.llama4-maverick-17b-instruct-v1:0")
CACHE = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
POINT = {"cachePoint": {"type": "default"}}
SEALED = Sealed("anthropic", "c2ln")
OPENED = [{"role": "user", "content": [{"text": BEGINNING}]}]
"""Before an assistant's message that nothing stands before."""
UNANSWERED = [{"text": "The call was not answered."}]


def said(*turns: Turn, limits: Limits = CLAUDE) -> list[dict[str, object]]:
    messages = judged(converse.build(Prompt("m", turns), limits).body)["messages"]
    assert faults(messages) == []
    return messages[1:] if messages[:1] == OPENED else messages


def user(*parts) -> Turn:
    return Turn("user", parts)


def assistant(*parts) -> Turn:
    return Turn("assistant", parts)


def result(call_id: str, *content: object, error: bool = False) -> dict[str, object]:
    return {"toolResult": {"toolUseId": call_id, "content": list(content), **({"status": "error"} if error else {})}}


def called(call_id: str, name: str = "f", **given: object) -> dict[str, object]:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": given}}


@pytest.mark.parametrize(
    ("parts", "blocks"),
    [
        ((Text("a"), Text(""), Text(" \n"), Text("b")), [{"text": "a"}, {"text": "b"}]),
        (
            (Text("a", CACHE), Text("b", HOUR)),
            [{"text": "a"}, POINT, {"text": "b"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        ),
        ((Image("image/png", "AAAA"),), [{"image": {"format": "png", "source": {"bytes": "AAAA"}}}]),
        (
            (Image("image/jpg", "AAAA", cache=CACHE),),
            [{"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}}, POINT],
        ),
        (
            (Image(url="s3://bucket/a.webp"),),
            [{"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/a.webp"}}}}],
        ),
        (
            (Text("a"), Document("application/pdf", "AAAA", name="my_file (1).pdf")),
            [{"text": "a"}, {"document": {"format": "pdf", "name": "my-file (1)-pdf", "source": {"bytes": "AAAA"}}}],
        ),
        (
            (Document(text="é"), Document(text="b"), Text("a")),
            [
                {
                    "document": {
                        "format": "txt",
                        "name": "document",
                        "source": {"bytes": b64encode("é".encode()).decode()},
                    }
                },
                {"document": {"format": "txt", "name": "document 2", "source": {"bytes": "Yg=="}}},
                {"text": "a"},
            ],
        ),
        (
            (Text("a"), Document(url="s3://bucket/a.pdf", name="a")),
            [{"text": "a"}, {"document": {"name": "a", "source": {"s3Location": {"uri": "s3://bucket/a.pdf"}}}}],
        ),
        ((Audio("audio/mpeg", "AAAA"),), [{"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}}]),
        ((Audio("audio/x-wav;rate=1", "AAAA"),), [{"audio": {"format": "wav", "source": {"bytes": "AAAA"}}}]),
        (
            (
                Text("go"),
                Result("c", (Text("x"), Text(""), Image("image/png", "AAAA")), error=True),
                Result("d", cache=CACHE),
            ),
            [
                result("c", {"text": "x"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}}, error=True),
                result("d"),
                POINT,
                {"text": "go"},
            ],
        ),
        (
            (Result("c", (Document("text/csv", "AAAA"),)),),
            [result("c", {"document": {"format": "csv", "name": "document", "source": {"bytes": "AAAA"}}})],
        ),
    ],
)
def test_what_users_say(parts, blocks):
    calls = [Call(part.call_id, "f") for part in parts if isinstance(part, Result)]
    assert said(user(Text("hi")), assistant(Text("a"), *calls), user(*parts))[-1] == {"role": "user", "content": blocks}


@pytest.mark.parametrize(
    ("parts", "blocks"),
    [
        ((Text("a"),), [{"text": "a"}]),
        (
            (Thinking("t", SEALED), Text("a"), Thinking("u", SEALED), Text("b")),
            [
                {"reasoningContent": {"reasoningText": {"text": "t", "signature": "c2ln"}}},
                {"text": "a"},
                {"reasoningContent": {"reasoningText": {"text": "u", "signature": "c2ln"}}},
                {"text": "b"},
            ],
        ),
        (
            (Text("a"), Thinking("", SEALED, redacted=True)),
            [{"reasoningContent": {"redactedContent": b64encode(b"c2ln").decode()}}, {"text": "a"}],
        ),
        ((Thinking("t"), Thinking("t", Sealed("openai", "x")), Text("a")), [{"text": "a"}]),
    ],
)
def test_what_models_say(parts, blocks):
    assert said(assistant(*parts)) == [{"role": "assistant", "content": blocks}]


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (Call("c", "f", '{"a": 1.0}'), {"a": 1.0}),
        (Call("c", "f"), {}),
        (Call("c", "f", ""), {}),
        (Call("c", "f", "{'a'"), {"input": "{'a'"}),
        (Call("c", "f", "[1]"), {"input": "[1]"}),
        (Call("c", "f", "{}", custom=True), {"input": "{}"}),
    ],
)
def test_arguments(call, given):
    assert said(assistant(call))[0]["content"] == [called("c", **given)]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([user(Text("a")), user(Text("b"))], [("user", [{"text": "a"}, {"text": "b"}])]),
        (
            [user(Text("a")), Turn("system", (Text("s"),)), user(Text("b")), assistant(Text(" ")), user(Text("c"))],
            [("user", [{"text": "a"}, {"text": "b"}, {"text": "c"}])],
        ),
        (
            # All results of a turn in one message, first; what was not answered is an error.
            [
                assistant(Call("c1", "f"), Call("c2", "g"), Call("c3", "h")),
                user(Text("wait")),
                user(Result("c3", (Text("3"),))),
                user(Result("c1", (Text("1"),)), Text("go")),
            ],
            [
                ("assistant", [called("c1"), called("c2", "g"), called("c3", "h")]),
                (
                    "user",
                    [
                        result("c3", {"text": "3"}),
                        result("c1", {"text": "1"}),
                        result("c2", *UNANSWERED, error=True),
                        {"text": "wait"},
                        {"text": "go"},
                    ],
                ),
            ],
        ),
        (
            [user(Text("a")), assistant(Call("c1", "f"))],
            [
                ("user", [{"text": "a"}]),
                ("assistant", [called("c1")]),
                ("user", [result("c1", *UNANSWERED, error=True)]),
            ],
        ),
        (
            [assistant(Call("c1", "f")), assistant(Call("c2", "f")), user(Result("c1"), Result("c2"))],
            [("assistant", [called("c1"), called("c2")]), ("user", [result("c1"), result("c2")])],
        ),
    ],
)
def test_conversations(turns, expected):
    assert [(message["role"], message["content"]) for message in said(*turns)] == expected


def test_the_user_begins():
    body = converse.build(Prompt("m", (assistant(Text("a")),)), CLAUDE).body
    assert judged(body)["messages"] == [*OPENED, {"role": "assistant", "content": [{"text": "a"}]}]


def test_instructions_alone_are_the_users():
    body = converse.build(Prompt("m", (), (Text("s"),)), CLAUDE).body
    assert judged(body) == {"messages": [{"role": "user", "content": [{"text": "s"}]}]}


def test_a_result_without_a_call_is_what_the_user_says():
    assert said(user(Result("c", (Text("r"),)), Text("a"))) == [
        {"role": "user", "content": [{"text": "r"}, {"text": "a"}]}
    ]


def test_ids_that_bedrock_refuses_are_the_same_everywhere():
    messages = said(assistant(Call("é" * 70, "f"), Call("x" * 64, "f")), user(Result("é" * 70), Result("x" * 64)))
    calls = [block["toolUse"]["toolUseId"] for block in messages[0]["content"]]
    assert calls == [block["toolResult"]["toolUseId"] for block in messages[1]["content"]]
    assert calls[0].startswith("call_")
    assert calls[1] == "x" * 64


def test_other_models_have_neither_cache_points_nor_sealed_thinking():
    turns = (user(Text("a", HOUR)), assistant(Thinking("t", SEALED), Text("b")))
    found = converse.build(Prompt("m", turns), LLAMA)
    assert json.loads(found.body)["messages"] == [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [{"text": "b"}]},
    ]
    assert found.adjusted == ("cache_control", "thinking")
    assert said(user(Text("a", HOUR)), limits=NOVA)[0]["content"] == [{"text": "a"}, POINT]


REFUSED = [
    ("image", Image("image/bmp", "AAAA")),
    ("image", Image(None, "AAAA")),
    ("image", Image(url="s3://bucket/a")),
    ("image.url", Image(url="https://a/b.png")),
    ("document", Document("application/zip", "AAAA")),
    ("document", Document("application/pdf", "AAAA")),
    ("document.url", Document(url="https://a/b.pdf")),
    ("audio", Audio("audio/strange", "AAAA")),
    ("tools.name", Call("c", "")),
    ("tools.name", Call("c", "a" * 65)),
]


@pytest.mark.parametrize(("name", "part"), REFUSED)
def test_what_would_change_the_answer_is_refused(name, part):
    with pytest.raises(Untranslatable) as caught:
        said(user(part))
    assert caught.value.field == name


ids = st.sampled_from(["c1", "c2", "c3", "é", "x" * 70])
sealed = st.none() | st.builds(Sealed, st.sampled_from(["anthropic", "openai"]), st.just("c2ln"))
cache = st.sampled_from([None, None, CACHE, HOUR])
content = st.builds(Text, texts, cache) | st.just(Image("image/png", "AAAA"))
parts = {
    "user": content
    | st.builds(Result, ids, st.lists(content, max_size=2).map(tuple), st.none(), st.booleans(), st.just(False), cache),
    "system": st.builds(Text, texts),
    "assistant": st.builds(Text, texts, cache)
    | st.builds(Thinking, texts, sealed)
    | st.builds(Call, ids, st.just("f"), arguments | broken, st.booleans()),
}
turns = st.sampled_from(["user", "assistant", "system"]).flatmap(
    lambda role: st.builds(Turn, st.just(role), st.lists(parts[role], max_size=4).map(tuple))
)


@settings(max_examples=500, deadline=None)
@given(st.lists(turns, max_size=6), st.sampled_from([CLAUDE, NOVA, LLAMA]))
def test_any_conversation_is_one_that_bedrock_takes(conversation, limits):
    said(*conversation, limits=limits)
