"""What a translated answer left behind goes, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.foreign import own_reasoning, unsigned_thinking

UNSIGNED = '{"type":"thinking","thinking":"hm","signature":""}'
SIGNED = '{"type": "thinking", "thinking": "hm", "signature": "EqQB"}'
TEXT = '{"type":"text","text":"\\"signature\\":\\"\\""}'
OURS = '{"type":"reasoning","id":"rs_01a1fbe9af53720da0f878a9fa293a4a_0","summary":[]}'
MARKED = '{"type":"reasoning","id":"rs_68ff","encrypted_content":"poolgate.eyJ9","summary":[]}'
THEIRS = '{"type":"reasoning","id":"rs_68ff","encrypted_content":"gAAAA","summary":[]}'
USER = '{"role":"user","content":"rs_01a1fbe9af53720da0f878a9fa293a4a_0"}'


def messages(*contents: str) -> bytes:
    said = ", ".join(f'{{"role":"assistant","content":{content}}}' for content in contents)
    return f'{{"model":"m" , "messages" : [{said}],"max_tokens":1}}'.encode()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((f"[{UNSIGNED},{TEXT}]",), (f"[{TEXT}]",)),
        ((f"[ {TEXT} , {UNSIGNED} ]",), (f"[ {TEXT} ]",)),
        ((f"[{SIGNED},{UNSIGNED},{TEXT}]",), (f"[{SIGNED},{TEXT}]",)),
        ((f"[{UNSIGNED}]", '"hi"'), ('"hi"',)),
        ((f"[{SIGNED}]", f"[{TEXT}]"), (f"[{SIGNED}]", f"[{TEXT}]")),
        (('"\\"signature\\":\\"\\""',), ('"\\"signature\\":\\"\\""',)),
        (("7", '[7,{"signature":""},null]'), ("7", '[7,{"signature":""},null]')),
    ],
)
def test_thinking_that_nobody_signed(given: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert unsigned_thinking(messages(*given)) == messages(*kept)


def test_the_last_message_stays() -> None:
    """An empty list would be no better than what the upstream refuses."""
    body = messages(f"[{UNSIGNED}]")
    assert unsigned_thinking(body) is body


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((OURS, USER), (USER,)),
        ((USER, MARKED), (USER,)),
        ((USER, THEIRS), (USER, THEIRS)),
        ((MARKED, THEIRS, OURS, USER), (THEIRS, USER)),
        ((MARKED,), ()),
        (('"poolgate."', "7"), ('"poolgate."', "7")),
        (('{"type":"message","id":"rs_01a1fbe9af53720da0f878a9fa293a4a_0"}',),) * 2,
        (('{"type":"reasoning","id":7,"encrypted_content":"poolgate"}',),) * 2,
    ],
)
def test_reasoning_that_a_translation_wrote(given: tuple[str, ...], kept: tuple[str, ...]) -> None:
    body, rest = (f'{{"input" : [{",".join(items)}] , "x":1}}'.encode() for items in (given, kept))
    assert own_reasoning(body) == rest


def test_a_text_input_and_none() -> None:
    for body in (b'{"input":"poolgate. \\"poolgate.\\""}', b'{"model":"poolgate.x","x":"poolgate."}', b"{}"):
        assert own_reasoning(body) is body


_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "poolgate.", "thinking", "é\ud83d"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "signature", "content", "messages", "input", "id"]), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "model"]), _values, max_size=3))
def test_any_body_stays_a_body(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    for remove in (unsigned_thinking, own_reasoning):
        assert isinstance(json.loads(remove(body)), dict)
