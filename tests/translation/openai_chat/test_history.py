"""One row a feature: turns, and the messages that a chat upstream is sent."""

import pytest

from gateway.translation.openai_chat.history import History, short_id
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

PNG = Image("image/png", "iVBO")
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
UNANSWERED = "error: this call was not answered"


def history(*turns, openai=False, **members):
    return History(Prompt("m", turns, **members), openai=openai)


def user(*parts):
    return Turn("user", parts)


def assistant(*parts):
    return Turn("assistant", parts)


def said(role, content, **members):
    return {"role": role, "content": content, **members}


def function(call_id="c1", name="f", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


ROWS = [
    ("text", [user(Text("a"))], [said("user", "a")]),
    ("texts are one string", [user(Text("a"), Text("b", {"type": "ephemeral"}))], [said("user", "a\n\nb")]),
    ("nothing", [user()], [said("user", "")]),
    (
        "images",
        [user(Text("a"), PNG, Image(url="https://x.test/i", detail="high"))],
        [
            said(
                "user",
                [
                    {"type": "text", "text": "a"},
                    PNG_PART,
                    {"type": "image_url", "image_url": {"url": "https://x.test/i", "detail": "high"}},
                ],
            )
        ],
    ),
    (
        "sound",
        [user(Audio("audio/wav", "QQ=="), Audio("audio/mpeg", "QQ=="), Audio("audio/flac", "QQ=="))],
        [
            said(
                "user",
                [
                    {"type": "input_audio", "input_audio": {"data": "QQ==", "format": form}}
                    for form in ("wav", "mp3", "flac")
                ],
            )
        ],
    ),
    (
        "files",
        [user(Document("application/pdf", "JVBE", name="a.pdf"), Document(data="JVBE"), PNG, Document(text="t"))],
        [
            said(
                "user",
                [
                    *(
                        {"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,JVBE"}}
                        for name in ("a.pdf", "document.pdf")
                    ),
                    PNG_PART,
                    {"type": "text", "text": "t"},
                ],
            )
        ],
    ),
    ("a file that is text", [user(Document(text="t"), Text("a"))], [said("user", "t\n\na")]),
    ("the assistant's text", [assistant(Text("a"), Text("b"))], [said("assistant", "a\n\nb")]),
    ("the assistant said nothing", [assistant()], [said("assistant", "")]),
    (
        "thinking",
        [assistant(Thinking("t"), Thinking("u"), Text("a"))],
        [said("assistant", "a", reasoning_content="t\n\nu")],
    ),
    (
        "thinking that its maker has sealed stays with its maker",
        [
            assistant(
                Thinking("t", Sealed("anthropic", "s")),
                Thinking(redacted=True, sealed=Sealed("openai", "x")),
                Text("a"),
            )
        ],
        [said("assistant", "a")],
    ),
    (
        "a call, then its result before what the user says beside it",
        [assistant(Text("a"), Call("c1", "f", '{"a": 1.0}')), user(Text("so"), Result("c1", (Text("r"), Text("s"))))],
        [
            said("assistant", "a", tool_calls=[function(arguments='{"a": 1.0}')]),
            tool("c1", "r\n\ns"),
            said("user", "so"),
        ],
    ),
    (
        "no arguments, and broken ones",
        [assistant(Call("c1", "f", ""), Call("c2", "g", "{'a'")), user(Result("c1"), Result("c2"))],
        [
            said("assistant", None, tool_calls=[function(), function("c2", "g", "{'a'")]),
            tool("c1", ""),
            tool("c2", ""),
        ],
    ),
    (
        "a free-form call is one with a string",
        [assistant(Call("c1", "f", 'x "y"\n', custom=True)), user(Result("c1", (Text("ok"),), custom=True))],
        [said("assistant", None, tool_calls=[function(arguments='{"input":"x \\"y\\"\\n"}')]), tool("c1", "ok")],
    ),
    (
        "results in several turns",
        [
            assistant(Call("c1", "f"), Call("c2", "g")),
            user(Result("c2")),
            user(Text("s")),
            user(Result("c1")),
        ],
        [
            said("assistant", None, tool_calls=[function(), function("c2", "g")]),
            tool("c2", ""),
            tool("c1", ""),
            said("user", "s"),
        ],
    ),
    (
        "calls in several turns",
        [assistant(Call("c1", "f")), assistant(Call("c2", "g")), user(Result("c1"), Result("c2"))],
        [said("assistant", None, tool_calls=[function(), function("c2", "g")]), tool("c1", ""), tool("c2", "")],
    ),
    (
        "answers in several turns are as many",
        [assistant(Text("a")), assistant(Text("b"))],
        [said("assistant", "a"), said("assistant", "b")],
    ),
    (
        "unanswered calls",
        [
            assistant(Call("c1", "f"), Call("c2", "g")),
            user(Result("c2", (Text("r"),)), Text("so")),
            assistant(Call("c3", "f")),
        ],
        [
            said("assistant", None, tool_calls=[function(), function("c2", "g")]),
            tool("c2", "r"),
            tool("c1", UNANSWERED),
            said("user", "so"),
            said("assistant", None, tool_calls=[function("c3")]),
            tool("c3", UNANSWERED),
        ],
    ),
    (
        "an error without a word",
        [assistant(Call("c1", "f")), user(Result("c1", error=True))],
        [said("assistant", None, tool_calls=[function()]), tool("c1", "error")],
    ),
]


@pytest.mark.parametrize(("turns", "messages"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_messages(turns, messages):
    found = history(*turns)
    assert found.messages == messages
    assert not found.adjusted


def test_instructions_are_one_message():
    found = history(Turn("system", (Text("c"),)), user(Text("hi")), system=(Text("a"), Text("b")))
    assert found.messages == [said("system", "a\n\nb\n\nc"), said("user", "hi")]


TALK = [
    user(Text("hi")),
    Turn("system", (Text("s"),)),
    user(PNG),
    assistant(Call("c1", "f")),
    user(Result("c1")),
    Turn("system", (Text("t"),)),
    user(),
    Turn("system", (Text("u"),)),
]
CALLED = [said("assistant", None, tool_calls=[function()]), tool("c1", "")]


def test_instructions_between_messages_stay_for_openais_own_models():
    found = history(*TALK, openai=True)
    assert found.messages == [
        *(said("user", "hi"), said("system", "s"), said("user", [PNG_PART]), *CALLED),
        *(said("system", "t"), said("user", ""), said("system", "u")),
    ]
    assert not found.adjusted


def test_other_models_get_them_in_the_users_words_where_they_stand():
    """Templates such as Qwen's refuse instructions that are not the first message, and Gemma's two messages of a user
    one after the other; Claude Code sends the former with every request, Codex the latter."""
    found = history(*TALK)
    words = [{"type": "text", "text": "hi\n\ns"}, PNG_PART]
    assert found.messages == [said("user", words), *CALLED, said("user", "t\n\nu")]
    assert list(found.adjusted) == ["system turns"]


def test_openais_own_models_get_no_thinking():
    assert history(assistant(Thinking("t"), Text("a")), openai=True).messages == [said("assistant", "a")]


def test_what_results_show_follows_all_of_them():
    found = history(
        assistant(Call("c1", "f"), Call("c2", "g")),
        user(
            Result("c1", (Text("r"), PNG)),
            Result("c2", (Document("application/pdf", "JVBE", name="a.pdf"),)),
            Text("so"),
        ),
    )
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}
    assert found.messages[1:] == [
        tool("c1", "r"),
        tool("c2", "The result is shown in the next message."),
        said(
            "user",
            [
                {"type": "text", "text": "The result of c1 shows:"},
                PNG_PART,
                {"type": "text", "text": "The result of c2 shows:"},
                file,
                {"type": "text", "text": "so"},
            ],
        ),
    ]
    assert list(found.adjusted) == ["tool_result.media"]


def test_long_ids_are_short_and_still_pair():
    long = "toolu_" + "x" * 60
    found = history(assistant(Call(long, "f")), user(Result(long)))
    short = found.messages[0]["tool_calls"][0]["id"]
    assert short == found.messages[1]["tool_call_id"] == short_id(long)
    assert len(short) <= 40
    assert short != short_id(long + "y")
    assert short_id("x" * 40) == "x" * 40


REFUSED = [
    ("document.url", user(Document(url="https://x.test/a.pdf"))),
    ("document.url", user(Result("c1", (Document(url="https://x.test/a.pdf"),)))),
    ("image", assistant(PNG)),
    ("input_audio", assistant(Audio("audio/wav", "QQ=="))),
    ("document", assistant(Document(text="t"))),
    ("image", Turn("system", (Text("a"), PNG))),
]


@pytest.mark.parametrize(("field", "turn"), REFUSED)
def test_what_would_change_the_answer_is_refused(field, turn):
    with pytest.raises(Untranslatable) as caught:
        history(turn)
    assert caught.value.field == field
    assert field.partition(".")[0] in caught.value.message
