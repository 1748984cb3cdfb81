"""The rules in requests of OpenAI Responses, to the byte."""
# ruff: noqa: E501 - tables

import pytest

from gateway.core.groups import Rules
from gateway.protocols.codec import InvalidBody
from gateway.rules import ruled
from tests.rules.bodies import ENDPOINTS
from tests.rules.cases import Case, change, less, put

A, B = b'{"type":"function","name":"a"}', b'{"type":"custom","name":"b"}'

TOOLS: list[Case] = [
    (less("a"), b'{"tools":[%s, %s]}' % (A, B), b'{"tools":[%s]}' % B),
    (less("b"), b'{"tools":[%s, %s]}' % (A, B), b'{"tools":[%s]}' % A),
    (less("web_search*"), b'{"tools":[{"type":"web_search_preview"},%s]}' % A, b'{"tools":[%s]}' % A),
    (less("a"), b'{"tools":[%s],"tool_choice":"auto","parallel_tool_calls":true}' % A, b'{"parallel_tool_calls":true}'),
    (less("a"), b'{"tools":[%s],"tool_choice":%s}' % (B, A), b'{"tools":[%s]}' % B),
    (less("mcp"), b'{"tools":[%s],"tool_choice":{"type":"mcp","server_label":"s","name":"q"}}' % B, b'{"tools":[%s]}' % B),
    (less("a"), b'{"tools":[%s],"tool_choice":{"type":"allowed_tools","tools":[%s,%s]}}' % (B, A, B), b'{"tools":[%s],"tool_choice":{"type":"allowed_tools","tools":[%s]}}' % (B, B)),
    (less("a"), b'{"tools":[%s],"tool_choice":{"type":"allowed_tools","tools":[%s]}}' % (B, A), b'{"tools":[%s]}' % B),
    # namespaces
    (less("a"), b'{"tools":[{"type":"namespace","name":"n","tools":[%s,%s]}]}' % (A, B), b'{"tools":[{"type":"namespace","name":"n","tools":[%s]}]}' % B),
    (less("a"), b'{"tools":[{"type":"namespace","name":"n","tools":[%s]},%s]}' % (A, B), b'{"tools":[%s]}' % B),
    (less("n"), b'{"tools":[{"type":"namespace","name":"n","tools":[%s]},%s]}' % (A, B), b'{"tools":[%s]}' % B),
    (less("x"), b'{"tools":[%s]}' % (b'{"type":"namespace","tools":[' * 150 + b"]}" * 150), None),
    # tools that come later
    (
        less("a"),
        b'{"input":[{"type":"additional_tools","role":"developer","tools":[%s,%s]}]}' % (A, B),
        b'{"input":[{"type":"additional_tools","role":"developer","tools":[%s]}]}' % B,
    ),
    (
        less("a"),
        b'{"input":[{"role":"user","content":"u"},{"type":"additional_tools","tools":[%s]}],"tools":[%s],"tool_choice":"auto"}' % (A, A),
        b'{"input":[{"role":"user","content":"u"}]}',
    ),
    (
        less("a"),
        b'{"input":[{"type":"additional_tools","tools":[%s]}],"tool_choice":%s}' % (B, A),
        b'{"input":[{"type":"additional_tools","tools":[%s]}]}' % B,
    ),
    (
        less("a"),
        b'{"input":[{"type":"additional_tools","tools":[%s]}],"tools":[%s],"tool_choice":{"type":"allowed_tools","tools":[%s,%s]}}' % (B, A, A, B),
        b'{"input":[{"type":"additional_tools","tools":[%s]}]}' % B,
    ),
]  # fmt: skip

SYSTEM: list[Case] = [
    (put("append"), b'{"instructions":"s"}', b'{"instructions":"s\\n\\nT"}'),
    (put("prepend"), b'{"instructions":"s"}', b'{"instructions":"T\\n\\ns"}'),
    (put("replace"), b'{"instructions":"s"}', b'{"instructions":"T"}'),
    (put("append"), b'{"input":"u"}', b'{"instructions":"T","input":"u"}'),
    (put("append"), b'{"instructions":null}', b'{"instructions":"T"}'),
    (put("append"), b'{"instructions":"s","input":[{"role":"developer","content":"d"}]}', b'{"instructions":"s\\n\\nT","input":[{"role":"developer","content":"d"}]}'),
    (
        change(a="b"),
        b'{"instructions":"a","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"a"}]},{"role":"user","content":"a"},{"role":"system","content":"a"}]}',
        b'{"instructions":"b","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"b"}]},{"role":"user","content":"a"},{"role":"system","content":"b"}]}',
    ),
    (change(a="b"), b'{"input":"a"}', None),
    # without instructions the messages that the input begins with are the system's
    (put("append"), b'{"input":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}', b'{"input":[{"role":"system","content":"s\\n\\nT"},{"role":"user","content":"u"}]}'),
    (put("prepend"), b'{"instructions":null,"input":[{"role":"developer","content":[{"type":"input_text","text":"d"}]}]}', b'{"instructions":null,"input":[{"role":"developer","content":[{"type":"input_text","text":"T"},{"type":"input_text","text":"d"}]}]}'),
    (
        put("replace"),
        b'{"input":[{"role":"system","content":"1"},{"role":"developer","content":"2"},{"role":"user","content":"u"}, {"role":"developer","content":"3"}]}',
        b'{"input":[{"role":"system","content":"T"},{"role":"user","content":"u"}, {"role":"developer","content":"3"}]}',
    ),
    (put("replace"), b'{"instructions":"i","input":[{"role":"system","content":"1"}]}', b'{"instructions":"T","input":[{"role":"system","content":"1"}]}'),
    (
        put("replace"),
        b'{"input":[{"type":"additional_tools","role":"developer","tools":[%s]},{"role":"developer","content":"1"},{"role":"developer","content":"2"}]}' % A,
        b'{"input":[{"type":"additional_tools","role":"developer","tools":[%s]},{"role":"developer","content":"T"}]}' % A,
    ),
    (put("append"), b'{"input":[{"role":"user","content":"u"},{"role":"system","content":"1"}]}', b'{"instructions":"T","input":[{"role":"user","content":"u"},{"role":"system","content":"1"}]}'),
]  # fmt: skip

USER: list[Case] = [
    (put("append", "user"), b'{"input":"u"}', b'{"input":"u\\n\\nT"}'),
    (put("append", "user"), b'{"input":[{"role":"user","content":"u"},{"type":"function_call_output","output":"r"}]}', b'{"input":[{"role":"user","content":"u\\n\\nT"},{"type":"function_call_output","output":"r"}]}'),
    (put("append", "user"), b'{"input":[{"role":"user","content":[{"type":"input_image"}]}]}', b'{"input":[{"role":"user","content":[{"type":"input_image"},{"type":"input_text","text":"T"}]}]}'),
    (put("replace", "user"), b'{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"u"},{"type":"input_image"}]}]}', b'{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"T"},{"type":"input_image"}]}]}'),
    (put("append", "user"), b'{"input":[]}', None),
    (put("append", "user"), b'{"previous_response_id":"r"}', None),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "body", "wanted"), [*TOOLS, *SYSTEM, *USER], ids=lambda each: str(each)[:60])
def test_to_the_byte(rules: Rules, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS["openai_responses"], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


@pytest.mark.parametrize(
    ("rules", "body", "field"),
    [
        (put("append"), b'{"instructions":["s"]}', "instructions"),
        (put("append", "user"), b'{"input":5}', "input"),
        (less("a"), b'{"tools":[{"type":"namespace","name":"n","tools":1}]}', "tools.tools"),
        (less("a"), b'{"input":[{"type":"additional_tools","tools":1}]}', "input[0].tools"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(rules: Rules, body: bytes, field: str):
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ENDPOINTS["openai_responses"], rules, "m")
    assert refused.value.field == field
