from itertools import pairwise

import pytest

from gateway.translation.anthropic.turns import UNANSWERED, history
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

CACHE = {"type": "ephemeral"}
SIGNED = Thinking("t", Sealed("anthropic", "s"))


def user(*parts):
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts):
    return Turn("assistant", user(*parts).parts)


def system(*parts):
    return Turn("system", user(*parts).parts)


def text(said, **members):
    return {"type": "text", "text": said, **members}


def result(call, *content, **members):
    block = {"type": "tool_result", "tool_use_id": call}
    return block | ({"content": list(content)} if content else {}) | members


def call(given, name="t", **arguments):
    return {"type": "tool_use", "id": given, "name": name, "input": arguments}


def shaped(*turns, system=()):
    """`system` and the messages as (role, blocks)."""
    above, messages = history(Prompt("m", turns, system))
    return above, [(message["role"], message["content"]) for message in messages]


@pytest.mark.parametrize(
    ("turns", "messages"),
    [
        ([user("a")], [("user", [text("a")])]),
        ([user("a"), user("b")], [("user", [text("a"), text("b")])]),
        ([user("a"), assistant("b")], [("user", [text("a")]), ("assistant", [text("b")])]),
        (
            [user("a"), assistant("b"), assistant("c"), user("d")],
            [("user", [text("a")]), ("assistant", [text("b"), text("c")]), ("user", [text("d")])],
        ),
        ([user("", "a", " \n")], [("user", [text("a")])]),
        ([user("a"), assistant(""), user("b")], [("user", [text("a"), text("b")])]),
        ([user(Text("a", CACHE))], [("user", [text("a", cache_control=CACHE)])]),
        (
            [assistant("a")],
            [("user", [text("(The conversation begins with the assistant's message.)")]), ("assistant", [text("a")])],
        ),
        (
            [user("a"), assistant(SIGNED, "b", Call("i", "t", '{"a": 1}')), user(Result("i", (Text("r"),)))],
            [
                ("user", [text("a")]),
                ("assistant", [{"type": "thinking", "thinking": "t", "signature": "s"}, text("b"), call("i")]),
                ("user", [result("i", text("r"))]),
            ],
        ),
    ],
)
def test_roles_alternate_and_nothing_is_empty(turns, messages):
    above, found = shaped(*turns)
    for _, content in found:
        for block in content:
            if block["type"] == "tool_use":
                block["input"] = {}
    assert (above, found) == ([], messages)


def test_instructions_move_up_in_order():
    above, messages = shaped(
        system("b"), user("u"), system(Text("c", CACHE)), assistant("v"), user("w"), system("d"), system=(Text("a"),)
    )
    assert above == [text("a"), text("b"), text("c", cache_control=CACHE), text("d")]
    assert [role for role, _ in messages] == ["user", "assistant", "user"]


def test_instructions_after_the_assistants_last_word_are_the_users():
    """Moved up, they would leave the assistant's turn as one to be gone on with."""
    assert shaped(user("u"), assistant("v"), system("go on")) == (
        [],
        [("user", [text("u")]), ("assistant", [text("v")]), ("user", [text("go on")])],
    )
    assert shaped(system("only")) == ([], [("user", [text("only")])])
    assert shaped(user(" "), system=(Text("only"),)) == ([], [("user", [text("only")])])


def test_a_prompt_that_says_nothing():
    with pytest.raises(Untranslatable) as refused:
        shaped(user(""))
    assert refused.value.field == "messages"


def test_all_results_of_a_round_come_first_and_together():
    _, messages = shaped(
        user("a"),
        assistant(Call("i", "t"), Call("j", "t"), Call("k", "t")),
        user("b", Result("j", (Text("2"),)), "c"),
        user(Result("i", (Text("1"),), error=True), Image(url="u")),
    )
    assert messages[2] == (
        "user",
        [
            result("i", text("1"), is_error=True),
            result("j", text("2")),
            result("k", text(UNANSWERED), is_error=True),
            text("b"),
            text("c"),
            {"type": "image", "source": {"type": "url", "url": "u"}},
        ],
    )


def test_a_result_that_comes_late_stands_with_its_round():
    _, messages = shaped(
        user("a"),
        assistant(Call("i", "t"), Call("j", "t")),
        user(Result("i")),
        assistant("b"),
        user(Result("j", (Text("late"),)), "c"),
    )
    assert messages[2] == ("user", [result("i"), result("j", text("late"))])
    assert messages[4] == ("user", [text("c")])


@pytest.mark.parametrize("after", [(), (user("go on"),), (assistant("x"),)])
def test_a_call_without_a_result_gets_one(after):
    _, messages = shaped(user("a"), assistant(Call("i", "t")), *after)
    assert messages[2][1][0] == result("i", text(UNANSWERED), is_error=True)
    assert all(first[0] != second[0] for first, second in pairwise(messages))


def test_a_result_without_a_call_is_what_the_user_says():
    assert shaped(user(Result("x", (Text("r"), Image(url="u"))), "a"))[1] == [
        ("user", [text("r"), {"type": "image", "source": {"type": "url", "url": "u"}}, text("a")])
    ]


def test_the_same_id_in_two_rounds_is_answered_in_order():
    _, messages = shaped(
        user("a"),
        assistant(Call("i", "t")),
        user(Result("i", (Text("1"),))),
        assistant(Call("i", "t")),
        user(Result("i", (Text("2"),))),
    )
    assert [messages[at][1] for at in (2, 4)] == [[result("i", text("1"))], [result("i", text("2"))]]


def test_ids_are_written_the_same_on_both_sides():
    given, long = "functions.bash:0", "x" * 65
    _, messages = shaped(
        user("a"), assistant(Call(given, "fs.read"), Call(long, "t")), user(Result(given), Result(long))
    )
    first, second = messages[1][1]
    assert (first["id"], first["name"]) == ("functions_u2e_bash_u3a_0", "fs_u2e_read")
    assert len(second["id"]) <= 64
    assert [block["tool_use_id"] for block in messages[2][1]] == [first["id"], second["id"]]


@pytest.mark.parametrize(
    ("parts", "kinds"),
    [
        ((Text("a"), SIGNED, Call("i", "t")), ["thinking", "text", "tool_use"]),
        ((SIGNED, Text("a"), SIGNED, Call("i", "t")), ["thinking", "text", "thinking", "tool_use"]),
        ((Thinking("t"), Text("a")), ["text"]),
        ((Thinking("t", Sealed("gemini", "s")), Thinking("", Sealed("openai", "s"), True), Text("a")), ["text"]),
        ((Thinking("", Sealed("anthropic", "d"), True), Text("a")), ["redacted_thinking", "text"]),
    ],
)
def test_thinking_is_first_and_goes_to_its_maker_alone(parts, kinds):
    _, messages = shaped(user("a"), assistant(*parts))
    assert [block["type"] for block in messages[1][1]] == kinds


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        (assistant(Image(url="u")), "assistant"),
        (assistant(Document(text="x")), "assistant"),
        (user(Audio("audio/wav", "AAAA")), "sound"),
        (user(Image("image/tiff", "AAAA")), "tiff"),
        (user(Result("i", (Document("application/zip", "AAAA"),))), "zip"),
    ],
)
def test_what_cannot_cross(turn, what):
    with pytest.raises(Untranslatable, match=what) as refused:
        shaped(user("a"), turn)
    assert refused.value.field == "messages"
