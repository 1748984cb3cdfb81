"""The steps together: agreement with plain dicts over drawn requests, rules and layouts, and what stays to the byte."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.groups import PromptRule, Replacement, Rules
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody
from gateway.protocols.spans import elements, members
from gateway.rules import DIALECTS, ruled
from tests.rules import bodies
from tests.rules.reference import expected

BLANKS = b" \t\n\r"


def kept(old: bytes, new: bytes, skip: frozenset[str] = frozenset()) -> None:
    """What means the same is the same to the byte, down to where two values differ."""
    if json.loads(old) == json.loads(new):
        assert old == new
    elif old[:1] == new[:1] == b"{":
        before, after = members(old, ()), members(new, ())
        for name in before.raw.keys() & after.raw.keys() - skip:
            kept(bytes(before.raw[name]), bytes(after.raw[name]))
    elif old[:1] == new[:1] == b"[":
        was = [old[slice(*span)] for span in elements(old, (0, len(old)), "")]
        now = [new[slice(*span)] for span in elements(new, (0, len(new)), "")]
        if len(was) == len(now):
            for pair in zip(was, now, strict=True):
                kept(*pair)


@pytest.mark.parametrize("name", bodies.BODIES)
@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_it_is_what_dicts_would_be(name: str, data: st.DataObject):
    value = data.draw(bodies.BODIES[name])
    rules = data.draw(bodies.rules)
    body = data.draw(bodies.laid_out(value))
    result = ruled(body, bodies.ENDPOINTS[name], rules, "model")
    wanted = expected(value, bodies.ENDPOINTS[name], rules, "model")
    assert json.loads(result) == wanted
    if wanted == value and not rules.params_override:
        assert result is body
    kept(body.strip(BLANKS), result.strip(BLANKS), frozenset(rules.params_override))
    # blanks outside, and the order of what stays
    assert result[: len(result) - len(result.lstrip(BLANKS))] == body[: len(body) - len(body.lstrip(BLANKS))]
    was = [each for each in value if each in wanted and each not in {*rules.params_default, *rules.params_override}]
    assert [each for each in json.loads(result) if each in was] == was


words = [
    *("messages", "system", "tools", "tool_choice", "role", "content", "type", "text", "name", "function", "input"),
    *("instructions", "contents", "parts", "systemInstruction", "generationConfig", "toolConfig", "options", "prompt"),
    *("functionDeclarations", "functionCallingConfig", "allowedFunctionNames", "temperature", "functions", "thinking"),
    *("generateContentRequest", "Role", "allowed_tools", "namespace", "additional_tools", "user", "tool_result"),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(words),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(words), inner, max_size=4),
    max_leaves=25,
)


@pytest.mark.parametrize("name", bodies.ENDPOINTS)
@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_json_is_ruled_or_refused(name: str, data: st.DataObject):
    body = data.draw(bodies.laid_out(data.draw(st.dictionaries(st.sampled_from(words), anything, max_size=5))))
    try:
        result = ruled(body, bodies.ENDPOINTS[name], data.draw(bodies.rules), "model")
    except InvalidBody as refused:
        assert refused.message
    else:
        json.loads(result)


@pytest.mark.parametrize("name", bodies.BODIES)
@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_any_bytes_are_ruled_or_refused(name: str, data: st.DataObject):
    body = data.draw(bodies.laid_out(data.draw(bodies.BODIES[name])))
    at = data.draw(st.integers(0, len(body)))
    cut = body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 3)) :]
    try:
        ruled(cut, bodies.ENDPOINTS[name], data.draw(bodies.rules), "model")
    except InvalidBody as refused:
        assert refused.message


EVERYTHING = Rules(
    prompt=PromptRule(mode="append", text="T", replace=(Replacement("a", "b"),)),
    temperature_ratio=0.5,
    tools_removed=("x",),
    params_default={"top_p": 1},
    params_override={"stop": []},
)
ANTHROPIC = bodies.ENDPOINTS["anthropic"]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_every_protocol_has_its_rules(codec: Any):
    assert DIALECTS.keys() == CODECS.keys()
    for endpoint in codec.endpoints:
        body = b'{"x":1}'
        if endpoint.operation == "embed":
            assert ruled(body, endpoint, EVERYTHING, "m") is body
        else:
            assert (ruled(body, endpoint, EVERYTHING, "m") == body) == (
                endpoint.operation == "count" and codec.name == "gemini"
            )


def test_idle_rules_read_nothing():
    body = b"no JSON at all"
    assert ruled(body, ANTHROPIC, Rules(), "m") is body
    assert (
        ruled(body, ANTHROPIC, Rules(prompt=PromptRule(mode="append", text="T", only_models=("gpt-*",))), "claude")
        is body
    )
    assert ruled(body, ANTHROPIC, Rules(prompt=PromptRule(mode="append")), "m") is body
    assert ruled(body, ANTHROPIC, Rules(params_override={"model": "x"}), "m") is body


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a":1}x', b'{"a":"\xff"}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
def test_what_is_no_object_is_refused(body: bytes):
    with pytest.raises(InvalidBody):
        ruled(body, ANTHROPIC, EVERYTHING, "m")


def test_deep_nesting_outside_of_what_is_touched_stays():
    deep = b"[" * 400 + b"]" * 400
    body = b'{"x":' + deep + b',"system":"s","messages":[]}'
    wanted = b'{"stop":[],"top_p":1,"x":' + deep + b',"system":"s\\n\\nT","messages":[]}'
    rules = Rules(prompt=PromptRule(mode="append", text="T"), params_default={"top_p": 1}, params_override={"stop": []})
    assert sorted(ruled(body, ANTHROPIC, rules, "m")) == sorted(wanted)


@pytest.mark.parametrize("name", ["messages", "system", "temperature", "tools", "top_p", "stop"])
def test_a_member_that_is_touched_stands_once(name: str):
    body = f'{{"{name}":null,"{name}":null}}'.encode()
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ANTHROPIC, EVERYTHING, "m")
    assert refused.value.field == name


def test_one_that_is_not_may_stand_twice():
    body = b'{"x":1, "x" :2,"temperature":1,"messages":1,"messages":2}'
    wanted = b'{"x":1, "x" :2,"temperature":0.5,"messages":1,"messages":2}'
    assert ruled(body, ANTHROPIC, Rules(temperature_ratio=0.5), "m") == wanted


@pytest.mark.parametrize(
    ("rules", "asked", "body", "wanted"),
    [
        # after removal there are no tools
        (("get_x",), False, b'{"tools":[{"name":"get_x"}],"system":"s"}', b'{"system":"s"}'),
        (
            ("get_x",),
            True,
            b'{"tools":[{"name":"get_y"}],"system":"s"}',
            b'{"tools":[{"name":"get_y"}],"system":"s\\n\\nT"}',
        ),
        ((), False, b'{"system":"s"}', b'{"system":"s"}'),
        ((), False, b'{"tools":[],"system":"s"}', b'{"tools":[],"system":"s"}'),
        ((), False, b'{"tools":null,"system":"s"}', b'{"tools":null,"system":"s"}'),
        ((), True, b'{"system":"s","tools":[{}]}', b'{"system":"s\\n\\nT","tools":[{}]}'),
    ],
)
def test_a_text_that_goes_with_tools(rules: tuple[str, ...], asked: bool, body: bytes, wanted: bytes):
    prompt = PromptRule(mode="append", text="T", only_with_tools=True)
    result = ruled(body, ANTHROPIC, Rules(prompt=prompt, tools_removed=rules), "m")
    assert result == wanted
    assert (b"T" in result) == asked


def test_replacements_need_neither_a_mode_nor_a_model_nor_tools():
    pairs = (Replacement("a", "b"), Replacement("bb", "c"))
    for prompt in (
        PromptRule(replace=pairs),
        PromptRule(mode="append", text="T", only_models=("x",), replace=pairs),
        PromptRule(mode="append", text="T", only_with_tools=True, replace=pairs),
    ):
        assert ruled(b'{"system":"abx"}', ANTHROPIC, Rules(prompt=prompt), "m") == b'{"system":"cx"}'


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        # set where tools are, in what the removal has left
        (
            b'{"tools":[{"type":"function","name":"a"},{"type":"function","name":"x"}],"tool_choice":{"type":"function","name":"x"}}',
            b'{"tool_choice":"required","tools":[{"type":"function","name":"a"}]}',
        ),
        (b'{"tools":[{"type":"function","name":"x"}],"tool_choice":"auto"}', b"{}"),
        (b'{"input":"hi"}', b'{"input":"hi"}'),
        (b'{"tools":[{"name":"a"}],"tool_choice":"auto"}', b'{"tools":[{"name":"a"}],"tool_choice":"required"}'),
    ],
)
def test_a_choice_among_tools_goes_with_tools(body: bytes, wanted: bytes):
    rules = Rules(tools_removed=("x",), params_override={"tool_choice": "required"})
    result = ruled(body, bodies.ENDPOINTS["openai_responses"], rules, "m")
    assert result == wanted


def test_a_count_takes_what_changes_it():
    rules = Rules(
        prompt=PromptRule(mode="append", text="T"),
        temperature_ratio=0.5,
        tools_removed=("x",),
        params_default={"top_p": 1, "thinking": {"type": "disabled"}},
        params_override={"max_tokens": 5},
    )
    body = b'{"temperature":1,"system":"s","messages":[],"tools":[{"name":"x"},{"name":"y"}]}'
    count = bodies.ENDPOINTS["anthropic count"]
    assert ruled(body, count, rules, "m") == (
        b'{"thinking":{"type":"disabled"},"temperature":1,"system":"s\\n\\nT","messages":[],"tools":[{"name":"y"}]}'
    )
    assert ruled(b"{}", count, Rules(temperature_ratio=0.5, params_override={"top_p": 1}), "m") == b"{}"


def test_it_is_quick():
    """Generous: a tenth of it was measured."""
    block = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "é\n" * 300}]}
    turns = [{"role": "user", "content": "x" * 800}, {"role": "assistant", "content": "y" * 800}, block] * 40
    body = json.dumps(
        {"temperature": 0.8, "system": [{"type": "text", "text": "s" * 20_000}], "messages": turns}
    ).encode()
    assert len(body) > 100_000

    def best(body: bytes, rules: Rules) -> float:
        taken: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            ruled(body, ANTHROPIC, rules, "m")
            taken.append(time.perf_counter() - began)
        return min(taken)

    assert best(body, Rules(prompt=PromptRule(mode="append", text="T"), temperature_ratio=0.5)) < 0.002
    assert best(body, Rules(prompt=PromptRule(mode="append", position="user", text="T"))) < 0.01
    many = json.dumps({"messages": [{"role": "system", "content": "a"}] * 9000}).encode()
    replacing = Rules(prompt=PromptRule(mode="replace", text="T", replace=(Replacement("a", "b"),)))
    assert once(many, replacing) < 1
    parts = [{"type": "text", "text": "a"}] * 9000
    assert once(json.dumps({"messages": [{"role": "system", "content": parts}]}).encode(), replacing) < 1


def once(body: bytes, rules: Rules) -> float:
    began = time.perf_counter()
    ruled(body, bodies.ENDPOINTS["openai_chat"], rules, "m")
    return time.perf_counter() - began
