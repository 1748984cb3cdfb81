"""The rules in Anthropic's requests, to the byte."""
# ruff: noqa: E501 - tables

import pytest

from gateway.core.groups import Rules
from gateway.protocols.codec import InvalidBody
from gateway.rules import ruled
from tests.rules.bodies import ENDPOINTS
from tests.rules.cases import Case, change, less, put

BILLING = b'{"type":"text","text":"x-anthropic-billing-header: cch=1;"}'
IDENTITY = b'{"type":"text","text":"You are Claude Code, Anthropic\'s official CLI for Claude."}'
T = b'{"type":"text","text":"T"}'

TOOLS: list[Case] = [
    (less("b"), b'{"tools": [ {"name":"a"} , {"name":"b"} ]}', b'{"tools": [ {"name":"a"} ]}'),
    (less("a"), b'{"tools": [ {"name":"a"} , {"name":"b"} ]}', b'{"tools": [ {"name":"b"} ]}'),
    (less("b"), b'{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}', b'{"tools":[{"name":"a"},{"name":"c"}]}'),
    (less("mcp__*"), b'{"tools":[{"name":"mcp__x"},{"name":"mcp_x"}]}', b'{"tools":[{"name":"mcp_x"}]}'),
    (less("?"), b'{"tools":[{"name":"a"},{"name":"ab"}]}', b'{"tools":[{"name":"ab"}]}'),
    (less("[ab]"), b'{"tools":[{"name":"a"},{"name":"[ab]"}]}', b'{"tools":[{"name":"a"}]}'),
    (less("A"), b'{"tools":[{"name":"a"}]}', b'{"tools":[{"name":"a"}]}'),
    (less("\xe9"), b'{"tools":[{"name":"\\u00e9"},{"name":"b"}]}', b'{"tools":[{"name":"b"}]}'),
    # a provider's own: by its name, by its type where it has none
    (less("web_search"), b'{"tools":[{"type":"web_search_1","name":"web_search"},{}]}', b'{"tools":[{}]}'),
    (less("web_search_*"), b'{"tools":[{"type":"web_search_1","name":"web_search"}]}', None),
    (less("mcp_toolset"), b'{"tools":[{"type":"mcp_toolset"},{"name":"a"}]}', b'{"tools":[{"name":"a"}]}'),
    # the last one takes the list with it, and the choice
    (less("*"), b'{"x":1,"tools":[{"name":"a"}],"tool_choice":{"type":"any"} , "y":2}', b'{"x":1 , "y":2}'),
    (less("*"), b'{"tools":[]}', None),
    (less("*"), b'{"tools":null,"tool_choice":{"type":"tool","name":"a"}}', None),
    # a choice
    (less("a"), b'{"tool_choice":{"type":"tool","name":"a"},"tools":[{"name":"a"},{"name":"b"}]}', b'{"tools":[{"name":"b"}]}'),
    (less("a*"), b'{"tool_choice":{"type":"any"},"tools":[{"name":"b"}]}', None),
    (less("a"), b'{"tool_choice":{"type":"tool","name":"b"},"tools":[{"name":"b"}]}', None),
    (less("b"), b'{"tools":[{"name":"a","d":"\\ud83d"},{"name":"b"}]}', b'{"tools":[{"name":"a","d":"\\ud83d"}]}'),
]  # fmt: skip

SYSTEM: list[Case] = [
    (put("append"), b'{ "system" : "s\\u0020\\ud83d" }', b'{ "system" : "s\\u0020\\ud83d\\n\\nT" }'),
    (put("prepend"), b'{"system":"s"}', b'{"system":"T\\n\\ns"}'),
    (put("replace"), b'{"system":"s"}', b'{"system":"T"}'),
    (put("append", text='"\n'), b'{"system":"s"}', b'{"system":"s\\n\\n\\"\\n"}'),
    (put("append"), b'{"system":""}', b'{"system":"T"}'),
    (put("append"), b'{"a":1}', b'{"system":"T","a":1}'),
    (put("append"), b'{"system":null}', b'{"system":"T"}'),
    (put("append"), b'{"system":[ ]}', b'{"system":[' + T + b" ]}"),
    (
        put("append"),
        b'{"system":[{"type":"text", "text":"s","cache_control":{"type":"ephemeral"}} ]}',
        b'{"system":[{"type":"text", "text":"s","cache_control":{"type":"ephemeral"}},' + T + b" ]}",
    ),
    (put("prepend"), b'{"system":[{"type":"text","text":"s"}]}', b'{"system":[' + T + b',{"type":"text","text":"s"}]}'),
    # the text takes the last block, and its mark
    (
        put("replace"),
        b'{"system":[{"type":"text","text":"r"}, {"type":"text","text":"s","cache_control":{}}]}',
        b'{"system":[{"type":"text","text":"T","cache_control":{}}]}',
    ),
    # messages between others are left
    (put("append"), b'{"messages":[{"role":"system","content":"m"}]}', b'{"system":"T","messages":[{"role":"system","content":"m"}]}'),
    (put("replace"), b'{"system":"s","messages":[{"role":"system","content":"m"}]}', b'{"system":"T","messages":[{"role":"system","content":"m"}]}'),
]  # fmt: skip

CLAUDE_CODE: list[Case] = [
    (
        put("append"),
        b'{"system":[%s,%s,{"type":"text","text":"s"}]}' % (BILLING, IDENTITY),
        b'{"system":[%s,%s,{"type":"text","text":"s"},%s]}' % (BILLING, IDENTITY, T),
    ),
    (
        put("prepend"),
        b'{"system":[%s, %s, {"type":"text","text":"s"}]}' % (BILLING, IDENTITY),
        b'{"system":[%s, %s,%s, {"type":"text","text":"s"}]}' % (BILLING, IDENTITY, T),
    ),
    (put("prepend"), b'{"system":[%s,%s]}' % (BILLING, IDENTITY), b'{"system":[%s,%s,%s]}' % (BILLING, IDENTITY, T)),
    (
        put("replace"),
        b'{"system":[%s,%s,{"type":"text","text":"s"}]}' % (BILLING, IDENTITY),
        b'{"system":[%s,%s,%s]}' % (BILLING, IDENTITY, T),
    ),
    (put("replace"), b'{"system":[%s]}' % BILLING, b'{"system":[%s,%s]}' % (BILLING, T)),
    (put("prepend"), b'{"system":"x-anthropic-billing-header: a"}', b'{"system":"x-anthropic-billing-header: a\\n\\nT"}'),
    # a prompt that only begins like that is one
    (
        put("prepend"),
        b'{"system":[{"type":"text","text":"You are Claude Code, Anthropic\'s official CLI for Claude.\\nYou"}]}',
        b'{"system":[%s,{"type":"text","text":"You are Claude Code, Anthropic\'s official CLI for Claude.\\nYou"}]}' % T,
    ),
    (change(cch="x"), b'{"system":[%s]}' % BILLING, b'{"system":[%s]}' % BILLING.replace(b"cch", b"x")),
]  # fmt: skip

REPLACED: list[Case] = [
    (change(a="b"), b'{"system":"a\\u0061c"}', b'{"system":"bbc"}'),
    (change(a="b"), b'{"system":"c\\u0063"}', None),
    (change(a="b", b="c"), b'{"system":"ab"}', b'{"system":"cc"}'),
    (change(a=""), b'{"system":"a"}', b'{"system":""}'),
    (change(a="b"), b'{"system":"a\\ud83d"}', b'{"system":"b\\ud83d"}'),
    (change(a="b"), b'{"system":null}', None),
    (put("append", a="b", T="x"), b'{"system":"aT"}', b'{"system":"bx\\n\\nT"}'),
    (put("append", "user", a="b"), b'{"system":"a","messages":[{"role":"user","content":"a"}]}', b'{"system":"b","messages":[{"role":"user","content":"a\\n\\nT"}]}'),
    (change(a="b"), b'{"system":[{"type":"text","text":"a"},{"type":"text","text":"c"}]}', b'{"system":[{"type":"text","text":"b"},{"type":"text","text":"c"}]}'),
    # an empty block would be refused
    (change(a=""), b'{"system":[{"type":"text","text":"a"}, {"type":"text","text":"c"}]}', b'{"system":[{"type":"text","text":"c"}]}'),
    (put("append", a=""), b'{"system":[{"type":"text","text":"a"}]}', b'{"system":[%s]}' % T),
    (put("prepend", a=""), b'{"system":[{"type":"text","text":"c"},{"type":"text","text":"a"}]}', b'{"system":[%s,{"type":"text","text":"c"}]}' % T),
    # between messages too, and nowhere else
    (
        change(a="b"),
        b'{"messages":[{"role":"system","content":"a"},{"role":"user","content":"a"},{"content":[{"type":"text","text":"a"},{"type":"tool_removal"}],"role":"system"}]}',
        b'{"messages":[{"role":"system","content":"b"},{"role":"user","content":"a"},{"content":[{"type":"text","text":"b"},{"type":"tool_removal"}],"role":"system"}]}',
    ),
]  # fmt: skip

RESULT = b'{"type":"tool_result","tool_use_id":"t","content":"r"}'
USER: list[Case] = [
    (put("append", "user"), b'{"messages":[{"role":"user","content":"u"}]}', b'{"messages":[{"role":"user","content":"u\\n\\nT"}]}'),
    (put("prepend", "user"), b'{"messages":[{"role":"user","content":"u"}]}', b'{"messages":[{"role":"user","content":"T\\n\\nu"}]}'),
    (put("replace", "user"), b'{"messages":[{"role":"user","content":"u"}]}', b'{"messages":[{"role":"user","content":"T"}]}'),
    (put("append", "user"), b'{"messages":[{"role":"user","content":"1"},{"role":"user","content":"2"},{"role":"assistant","content":"3"}]}', b'{"messages":[{"role":"user","content":"1"},{"role":"user","content":"2\\n\\nT"},{"role":"assistant","content":"3"}]}'),
    # results and images stay, and results come first
    (
        put("prepend", "user"),
        b'{"messages":[{"role":"user","content":[%s,{"type":"image"},{"type":"text","text":"u"}]}]}' % RESULT,
        b'{"messages":[{"role":"user","content":[%s,{"type":"image"},%s,{"type":"text","text":"u"}]}]}' % (RESULT, T),
    ),
    (
        put("append", "user"),
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"u"},{"type":"image"}]}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"u"},{"type":"image"},%s]}]}' % T,
    ),
    (
        put("replace", "user"),
        b'{"messages":[{"role":"user","content":[%s,{"type":"text","text":"u"},{"type":"image"},{"type":"text","text":"v"}]}]}' % RESULT,
        b'{"messages":[{"role":"user","content":[%s,{"type":"image"},%s]}]}' % (RESULT, T),
    ),
    # results alone are no turn of the user while there is another
    (
        put("append", "user"),
        b'{"messages":[{"role":"user","content":"u"},{"role":"user","content":[%s]}]}' % RESULT,
        b'{"messages":[{"role":"user","content":"u\\n\\nT"},{"role":"user","content":[%s]}]}' % RESULT,
    ),
    (put("prepend", "user"), b'{"messages":[{"role":"user","content":[%s]}]}' % RESULT, b'{"messages":[{"role":"user","content":[%s,%s]}]}' % (RESULT, T)),
    (put("append", "user"), b'{"messages":[{"role":"assistant","content":"a"}]}', None),
    (put("append", "user"), b'{"messages":[]}', None),
    (put("append", "user"), b"{}", None),
]  # fmt: skip

HEAT: list[Case] = [
    (Rules(temperature_ratio=0.5), b'{"temperature": 1 }', b'{"temperature": 0.5 }'),
    (Rules(temperature_ratio=2), b'{"temperature":0.7}', b'{"temperature":1}'),
    (Rules(temperature_ratio=0.5), b"{}", None),
]


@pytest.mark.parametrize(
    ("rules", "body", "wanted"),
    [*TOOLS, *SYSTEM, *CLAUDE_CODE, *REPLACED, *USER, *HEAT],
    ids=lambda each: str(each)[:60],
)
def test_to_the_byte(rules: Rules, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS["anthropic"], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


@pytest.mark.parametrize(
    ("rules", "body", "field"),
    [
        (less("a"), b'{"tools":{}}', "tools"),
        (less("a"), b'{"tools":[1]}', "tools"),
        (less("a"), b'{"tools":[{"function":1}]}', "tools"),
        (put("append"), b'{"system":1}', "system"),
        (put("append"), b'{"system":["a"]}', "system"),
        (put("append"), b'{"system":{"type":"text","text":"a"}}', "system"),
        (put("append", "user"), b'{"messages":"x"}', "messages"),
        (put("append", "user"), b'{"messages":["x"]}', "messages"),
        (put("append", "user"), b'{"messages":[{"role":"user","content":1}]}', "messages[0].content"),
        (put("append", "user"), b'{"messages":[{"role":"user","content":"a","content":"b"}]}', "content"),
        (put("append"), b'{"System":"s"}', "System"),
        (Rules(temperature_ratio=0.5), b'{"temperature":"1"}', "temperature"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(rules: Rules, body: bytes, field: str):
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ENDPOINTS["anthropic"], rules, "m")
    assert refused.value.field == field
