"""Which messages are worded."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.rules import turns
from gateway.rules.dialect import Draft
from gateway.rules.wording import Form, Wording

TEXT = Form(listed=False)


def read(messages: bytes) -> tuple[Draft, turns.Conversation]:
    draft = Draft(b'{"messages":' + messages + b"}", ("messages",))
    said = turns.read(draft, ("messages",), lone=True)
    assert said is not None
    return draft, said


@pytest.mark.parametrize("body", [b"{}", b'{"messages":null}', b'{"messages":[]}', b'{"messages":[ ]}'])
def test_no_conversation(body: bytes):
    assert turns.read(Draft(body, ()), ("messages",)) is None


@pytest.mark.parametrize("body", [b'{"messages":"x"}', b'{"messages":{}}', b'{"messages":[[]]}'])
def test_what_is_no_conversation_is_refused(body: bytes):
    with pytest.raises(InvalidBody) as refused:
        turns.read(Draft(body, ()), ("messages",))
    assert refused.value.field == "messages"


def test_roles_are_read_whatever_else_is_there():
    _, said = read(b'[{"role":"system","x":"\\ud83d"},{"role":5},{},{"role":"developer"},{"role":"user"}]')
    assert said.instructions == [0, 3]
    assert [message.role for message in said.messages] == ["system", 5, None, "developer", "user"]


def test_one_message_may_stand_for_the_list():
    draft, said = read(b'{"role":"user","content":"u"}')
    turns.address(draft, said, TEXT, Wording("append", b'"T"'))
    assert draft.written() == b'{"messages":{"role":"user","content":"u\\n\\nT"}}'


@pytest.mark.parametrize(("skips", "number"), [("2", 1), ("21", 0), ("210", 2)])
def test_the_last_turn_of_the_user_is_worded(skips: str, number: int):
    draft, said = read(b'[{"role":"user","content":"0"},{"role":"user","content":"1"},{"role":"user","content":"2"}]')
    turns.address(
        draft,
        said,
        TEXT,
        Wording("replace", b'"T"'),
        answers=lambda message: bytes(message.content)[1:2].decode() in skips,
    )
    texts = [b"0", b"1", b"2"]
    texts[number] = b"T"
    wanted = b",".join(b'{"role":"user","content":"%s"}' % text for text in texts)
    assert draft.written() == b'{"messages":[%s]}' % wanted
