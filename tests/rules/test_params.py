"""Parameters and the temperature, to the byte."""
# ruff: noqa: E501 - tables

from typing import Any

import pytest

from gateway.core.groups import Rules
from gateway.protocols.codec import InvalidBody
from gateway.rules import ruled
from gateway.rules.params import allowed
from tests.rules.bodies import ENDPOINTS

Params = dict[str, Any]


@pytest.mark.parametrize(
    ("default", "body", "wanted"),
    [
        ({"a": 1}, b'{ "x":2}', b'{"a":1, "x":2}'),
        ({"a": 1, "b": [None]}, b"{}", b'{"a":1,"b":[null]}'),
        ({"a": 1}, b'{"a":0}', None),
        ({"a": 1}, b'{"a":false}', None),
        ({"a": 1}, b'{"a":[]}', None),
        ({"a": 1}, b'{"a":null}', None),
        ({"a": 1}, b'{"a":{}}', None),
        ({"a": {"b": 1}}, b'{"a":null}', None),
        ({"a": {"b": 1}}, b'{"a":"s"}', None),
        ({"a": {"b": 1, "c": {"d": 2, "e": 3}}}, b'{"a": {"c" :{"d":0}}}', b'{"a": {"b":1,"c" :{"e":3,"d":0}}}'),
        ({"a": {"b": 1}}, b'{"a":{ }}', b'{"a":{"b":1 }}'),
        # another kind of thing is not completed
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, b'{"thinking":{"type":"disabled"}}', None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
            b'{"thinking":{"type":"enabled"}}',
            b'{"thinking":{"budget_tokens":9,"type":"enabled"}}',
        ),
        ({"o": {"type": "x", "b": 1}}, b'{"o":{"c":2}}', b'{"o":{"type":"x","b":1,"c":2}}'),
        ({"a": "\xe9\ud7ff"}, b"{}", '{"a":"\xe9\ud7ff"}'.encode()),
        ({"model": "x", "Messages": [], "system_instruction": {}, "tools": [], "stream": True}, b"{}", None),
    ],
)
def test_a_default_is_put_where_nothing_is(default: Params, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS["openai_chat"], Rules(params_default=default), "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


@pytest.mark.parametrize(
    ("override", "body", "wanted"),
    [
        ({"a": 1}, b'{"x":2, "a" : null }', b'{"x":2, "a" : 1 }'),
        ({"a": 1}, b'{"x":2}', b'{"a":1,"x":2}'),
        ({"a": None}, b'{"a":1}', b'{"a":null}'),
        ({"a": 1}, b'{"a":{"b":1}}', b'{"a":1}'),
        ({"a": {"b": 1}}, b'{"a":5}', b'{"a":{"b":1}}'),
        ({"a": {"b": 1, "c": {"d": 2}}}, b'{"a": {"b":0, "c":{"x":1}}}', b'{"a": {"b":1, "c":{"d":2,"x":1}}}'),
        ({"a": {}}, b'{"a":{"b":1}}', b'{"a":{"b":1}}'),
        (
            {"thinking": {"type": "disabled"}},
            b'{"thinking":{"type":"enabled","budget_tokens":9}}',
            b'{"thinking":{"type":"disabled"}}',
        ),
        ({"thinking": {"budget_tokens": 5}}, b'{"thinking":{"type":"enabled"}}', b'{"thinking":{"budget_tokens":5,"type":"enabled"}}'),
    ],
)  # fmt: skip
def test_an_override_replaces(override: Params, body: bytes, wanted: bytes):
    assert ruled(body, ENDPOINTS["openai_chat"], Rules(params_override=override), "m") == wanted


@pytest.mark.parametrize(
    ("default", "override", "body", "wanted"),
    [
        ({"a": 1}, {"a": 2}, b"{}", b'{"a":2}'),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}, b"{}", b'{"a":{"b":2,"c":1}}'),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2}}, b'{"a":{"b":0}}', b'{"a":{"c":1,"b":2}}'),
        ({"a": {"type": "x", "b": 1}}, {"a": {"type": "y"}}, b"{}", b'{"a":{"type":"y"}}'),
        ({"a": {"type": "x", "b": 1}}, {"a": {"type": "y"}}, b'{"a":{"c":1}}', b'{"a":{"type":"y"}}'),
        ({"a": {"b": 1}}, {"a": 2}, b"{}", b'{"a":2}'),
    ],
)
def test_an_override_comes_after_a_default(default: Params, override: Params, body: bytes, wanted: bytes):
    rules = Rules(params_default=default, params_override=override)
    assert ruled(body, ENDPOINTS["openai_chat"], rules, "m") == wanted


@pytest.mark.parametrize(
    ("given", "ratio", "wanted"),
    [
        ("1", 0.5, "0.5"),
        ("0.7", 0.1, "0.07"),
        ("0.1", 3, "0.3"),
        ("1", 1 / 3, "0.333333"),
        ("1.50", 10, "2"),
        ("2", 0.5, "1"),
        ("0.0", 0.5, "0.0"),
        ("1e-9", 0.5, "0"),
        ("-1", 0.5, "0"),
        ("1", 0, "0"),
        ("1e300", 10, "2"),
        ("1" + "0" * 400, 0.5, "2"),
        ("null", 0.5, "null"),
    ],
)
def test_a_temperature_is_scaled_in_range_and_short(given: str, ratio: float, wanted: str):
    body = f'{{"x":1,"temperature": {given} }}'.encode()
    result = ruled(body, ENDPOINTS["openai_chat"], Rules(temperature_ratio=ratio), "m")
    assert result == f'{{"x":1,"temperature": {wanted} }}'.encode()


@pytest.mark.parametrize("given", ['"1"', "true", "[]", "{}", "1e999"])
def test_what_is_no_temperature_is_refused(given: str):
    body = f'{{"temperature":{given}}}'.encode()
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ENDPOINTS["openai_chat"], Rules(temperature_ratio=0.5), "m")
    assert refused.value.field == "temperature"


@pytest.mark.parametrize(
    ("rules", "body", "wanted"),
    [
        # the client's own alone
        (Rules(temperature_ratio=0.5, params_default={"temperature": 1}), b"{}", b'{"temperature":1}'),
        (Rules(temperature_ratio=0.5, params_default={"temperature": 1}), b'{"temperature":0.8}', b'{"temperature":0.4}'),
        (Rules(temperature_ratio=0.5, params_override={"temperature": 1}), b'{"temperature":0.8}', b'{"temperature":1}'),
    ],
)  # fmt: skip
def test_what_a_rule_puts_is_not_scaled(rules: Rules, body: bytes, wanted: bytes):
    assert ruled(body, ENDPOINTS["anthropic"], rules, "m") == wanted


@pytest.mark.parametrize(
    ("rules", "body", "wanted"),
    [
        (Rules(params_default={"max_tokens": 7}), b'{"max_completion_tokens":5}', None),
        (Rules(params_default={"max_completion_tokens": 7}), b'{"max_tokens":5}', None),
        (Rules(params_default={"max_tokens": 7}), b"{}", b'{"max_tokens":7}'),
        (Rules(params_default={"max_completion_tokens": 7}), b"{}", b'{"max_completion_tokens":7}'),
        (Rules(params_override={"max_tokens": 7}), b'{"max_completion_tokens":5}', b'{"max_completion_tokens":7}'),
        (Rules(params_default={"max_tokens": 7}, params_override={"max_completion_tokens": 3}), b"{}", b'{"max_tokens":3}'),
    ],
)  # fmt: skip
def test_the_longest_answer_of_a_chat_is_one_by_both_names(rules: Rules, body: bytes, wanted: bytes | None):
    """OpenAI refuses the two beside each other."""
    result = ruled(body, ENDPOINTS["openai_chat"], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


def test_a_nested_temperature_is_scaled_among_what_is_merged():
    rules = Rules(
        temperature_ratio=0.5, params_default={"options": {"seed": 1}}, params_override={"options": {"top_k": 2}}
    )
    body = b'{"options":{"temperature":1,"top_k":9}}'
    assert ruled(body, ENDPOINTS["ollama chat"], rules, "m") == b'{"options":{"seed":1,"temperature":0.5,"top_k":2}}'


@pytest.mark.parametrize(
    "name",
    [
        *("model", "MODEL", "stream", "messages", "systemInstruction", "system_instruction", "tools"),
        "previous_response_id",
    ],
)
def test_some_members_are_no_parameters(name: str):
    assert allowed({name: 1, "top_p": 1}) == {"top_p": 1}
