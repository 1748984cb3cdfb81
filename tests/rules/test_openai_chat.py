"""The rules in chat completions, to the byte."""
# ruff: noqa: E501 - tables

import pytest

from gateway.core.groups import Rules
from gateway.protocols.codec import InvalidBody
from gateway.rules import ruled
from tests.rules.bodies import ENDPOINTS
from tests.rules.cases import Case, change, less, put

TOOLS: list[Case] = [
    (
        less("a"),
        b'{"tools":[{"type":"function","function":{"name":"a"}}, {"type":"custom","custom":{"name":"b"}}]}',
        b'{"tools":[{"type":"custom","custom":{"name":"b"}}]}',
    ),
    (
        less("b"),
        b'{"tools":[{"type":"function","function":{"name":"a"}}, {"type":"custom","custom":{"name":"b"}}]}',
        b'{"tools":[{"type":"function","function":{"name":"a"}}]}',
    ),
    (less("web_*"), b'{"tools":[{"type":"web_search"},{"function":{"name":"a"}}]}', b'{"tools":[{"function":{"name":"a"}}]}'),
    (less("f*"), b'{"tools":[{"type":"function","function":{"name":"a"}}]}', None),
    # what says how tools are called is refused without any
    (less("a"), b'{"tool_choice":"auto","parallel_tool_calls":true,"tools":[{"function":{"name":"a"}}],"x":1}', b'{"x":1}'),
    (
        less("a"),
        b'{"tools":[{"function":{"name":"b"}}],"tool_choice":{"type":"function","function":{"name":"a"}}}',
        b'{"tools":[{"function":{"name":"b"}}]}',
    ),
    (
        less("a"),
        b'{"tools":[{"function":{"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"a"}}, {"function":{"name":"b"}}]}}}',
        b'{"tools":[{"function":{"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"b"}}]}}}',
    ),
    (
        less("a"),
        b'{"tools":[{"function":{"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":[{"function":{"name":"a"}}]}}}',
        b'{"tools":[{"function":{"name":"b"}}]}',
    ),
    # the deprecated words for it
    (less("a"), b'{"functions":[{"name":"a"},{"name":"b"}],"function_call":{"name":"a"}}', b'{"functions":[{"name":"b"}]}'),
    (less("a"), b'{"functions":[{"name":"a"}],"function_call":"auto","x":1}', b'{"x":1}'),
    (less("a"), b'{"functions":[{"name":"b"}],"function_call":{"name":"b"}}', None),
]  # fmt: skip

SYSTEM: list[Case] = [
    (put("append"), b'{"messages":[{"role":"system","content":"s"}]}', b'{"messages":[{"role":"system","content":"s\\n\\nT"}]}'),
    (put("prepend"), b'{"messages":[{"role":"developer","content":"s"}]}', b'{"messages":[{"role":"developer","content":"T\\n\\ns"}]}'),
    (put("append"), b'{"messages":[{"role":"user","content":"u"}]}', b'{"messages":[{"role":"system","content":"T"},{"role":"user","content":"u"}]}'),
    (put("replace"), b'{"messages":[ {"role":"user","content":"u"} ]}', b'{"messages":[{"role":"system","content":"T"}, {"role":"user","content":"u"} ]}'),
    (put("append"), b'{"messages":[{"role":"system","content":[{"type":"text","text":"s"}]}]}', b'{"messages":[{"role":"system","content":[{"type":"text","text":"s"},{"type":"text","text":"T"}]}]}'),
    (put("append"), b'{"messages":[{"role":"system","content":null}]}', b'{"messages":[{"role":"system","content":"T"}]}'),
    (put("append"), b'{"messages":[{"role":"system"}]}', b'{"messages":[{"content":"T","role":"system"}]}'),
    (
        put("append"),
        b'{"messages":[{"role":"system","content":"1"},{"role":"system","content":"2"}]}',
        b'{"messages":[{"role":"system","content":"1\\n\\nT"},{"role":"system","content":"2"}]}',
    ),
    # in place of all that it begins with, not of what comes later
    (
        put("replace"),
        b'{"messages":[{"role":"system","content":"1"}, {"role":"developer","content":"2"}, {"role":"user","content":"u"},{"role":"system","content":"3"}]}',
        b'{"messages":[{"role":"system","content":"T"}, {"role":"user","content":"u"},{"role":"system","content":"3"}]}',
    ),
    (
        change(a="b"),
        b'{"messages":[{"role":"system","content":"a"},{"role":"user","content":"a"},{"role":"developer","content":[{"type":"text","text":"a"}]}]}',
        b'{"messages":[{"role":"system","content":"b"},{"role":"user","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]}]}',
    ),
    (put("append"), b'{"messages":[]}', None),
    (put("append"), b'{"messages":null}', None),
]  # fmt: skip

USER: list[Case] = [
    (put("append", "user"), b'{"messages":[{"role":"user","content":"u"},{"role":"tool","content":"r"}]}', b'{"messages":[{"role":"user","content":"u\\n\\nT"},{"role":"tool","content":"r"}]}'),
    (
        put("replace", "user"),
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"u"},{"type":"image_url","image_url":{}}]}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"T"},{"type":"image_url","image_url":{}}]}]}',
    ),
    (put("prepend", "user"), b'{"messages":[{"role":"user","content":[{"type":"text","text":"u"}]}]}', b'{"messages":[{"role":"user","content":[{"type":"text","text":"T"},{"type":"text","text":"u"}]}]}'),
]  # fmt: skip

PARAMS: list[Case] = [
    (Rules(temperature_ratio=0.5), b'{"temperature":2}', b'{"temperature":1}'),
    (Rules(temperature_ratio=1.5), b'{"temperature":2}', None),
    # only with tools
    (Rules(params_override={"parallel_tool_calls": False}), b'{"tools":[{"function":{"name":"b"}}]}', b'{"parallel_tool_calls":false,"tools":[{"function":{"name":"b"}}]}'),
    (Rules(params_override={"parallel_tool_calls": False}), b'{"x":1}', None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "body", "wanted"), [*TOOLS, *SYSTEM, *USER, *PARAMS], ids=lambda each: str(each)[:60]
)
def test_to_the_byte(rules: Rules, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS["openai_chat"], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


@pytest.mark.parametrize(
    ("rules", "body", "field"),
    [
        (less("a"), b'{"tools":"x"}', "tools"),
        (less("a"), b'{"functions":[1]}', "functions"),
        (less("a"), b'{"tools":[{}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"tools":1}}}', "tool_choice.allowed_tools.tools"),
        (put("append"), b'{"messages":[{"role":"system","content":5}]}', "messages[0].content"),
        (put("append"), b'{"messages":[5]}', "messages"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(rules: Rules, body: bytes, field: str):
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ENDPOINTS["openai_chat"], rules, "m")
    assert refused.value.field == field
