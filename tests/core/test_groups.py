"""Groups as values: which alias a name is, when nothing is to be done, and what an operator may write."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.groups import (
    LONGEST_HEADER,
    Alias,
    Group,
    InvalidGroup,
    PromptRule,
    Replacement,
    Rules,
    Target,
    check_aliases,
    check_params,
    check_prompt,
    checked_headers,
)

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"], exclude_characters="*?"), min_size=1)


def alias(match: str, *targets: Target) -> Alias:
    return Alias(match, targets or (Target(f"of {match}"),))


def group(*matches: str) -> Group:
    return Group("grp_1", "ten_1", "fast", aliases=tuple(alias(match) for match in matches))


@pytest.mark.parametrize(
    ("matches", "model", "found"),
    [
        ((), "a", None),
        (("a", "b"), "b", "b"),
        (("*", "a"), "a", "a"),
        (("a*", "*"), "ab", "a*"),
        (("*", "a*"), "ab", "*"),
        (("a?c",), "abc", "a?c"),
        (("a?c",), "ac", None),
        (("a[bc]*",), "a[bc]d", "a[bc]*"),
        (("a[bc]*",), "abd", None),
        (("A*",), "ab", None),
        (("gemma3:*",), "gemma3:12b", "gemma3:*"),
        (("*",), "models/a", "*"),
    ],
)
def test_exact_names_come_first_then_patterns_in_their_order(matches: tuple[str, ...], model: str, found: str | None):
    picked = group(*matches).alias(model)
    assert (None if picked is None else picked.match) == found


@given(NAMES)
def test_a_name_without_a_star_matches_itself_and_no_other(name: str):
    assert group(name).alias(name) is not None
    assert group(name).alias(name + "x") is None
    assert group(f"{name}*").alias(name + "x") is not None, "whatever letters come before the star"


@pytest.mark.parametrize(
    ("rules", "idle"),
    [
        (Rules(), True),
        (Rules(PromptRule(), 1.0, (), {}, {}), True),
        (Rules(temperature_ratio=0.0), False),
        (Rules(tools_removed=("*",)), False),
        (Rules(params_default={"top_k": 0}), False),
        (Rules(params_override={"top_k": None}), False),
        (Rules(PromptRule("append", text="x")), False),
        (Rules(PromptRule(replace=(Replacement("a"),))), False),
    ],
)
def test_without_rules_a_body_is_left_alone(rules: Rules, idle: bool):
    assert rules.idle is idle


ONE: dict[str, Any] = {"match": "a", "targets": [{"model": "m"}]}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"match": ""}, "match"),
        ({"match": "x" * 513}, "match"),
        ({"targets": []}, "targets"),
        ({"targets": [{"model": "m"}] * 51}, "targets"),
        ({"targets": [{}]}, "targets[0]"),
        ({"targets": [{"model": "m"}, {"model": ""}]}, "targets[1].model"),
        ({"targets": [{"model": "m", "weight": 0}]}, "targets[0].weight"),
        ({"targets": [{"model": "m", "weight": 1001}]}, "targets[0].weight"),
        ({"targets": [{"model": "m", "weight": 1.5}]}, "targets[0].weight"),
        ({"targets": [{"model": "m", "provider": "Not a slug"}]}, "targets[0].provider"),
        ({"targets": [{"model": "m", "colour": "red"}]}, "targets[0]"),
        ({"more": 1}, ""),
    ],
)
def test_bounds_of_an_alias(more: dict[str, Any], place: str):
    assert msgspec.to_builtins(msgspec.convert(ONE, Alias)) == {**ONE, "targets": ({"model": "m"},)}
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert({**ONE, **more}, Alias)
    assert str(raised.value).partition(" - at `$")[2].strip(".`") == place


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ({"mode": "before"}, "mode"),
        ({"position": "assistant"}, "position"),
        ({"text": "x" * 100_001}, "text"),
        ({"replace": [{"find": "a", "with": "b"}, {"find": ""}]}, "replace[1].find"),
        ({"replace": [{"find": "a", "with_": "b"}]}, "replace[0]"),
        ({"replace": [{"find": "a"}] * 101}, "replace"),
        ({"only_models": [""]}, "only_models[0]"),
    ],
)
def test_bounds_of_a_prompt(rule: dict[str, Any], place: str):
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(rule, PromptRule)
    assert str(raised.value).partition(" - at `$")[2].strip(".`") == place


@pytest.mark.parametrize(
    ("aliases", "field"),
    [
        ([alias("a"), alias("b"), alias("a")], "aliases[2].match"),
        ([alias("*"), alias("*")], "aliases[1].match"),
        ([alias("a"), alias("b\n")], "aliases[1].match"),
        ([alias("a"), alias("openai,gpt-5")], "aliases[1].match"),
        ([alias("*,a")], "aliases[0].match"),
        ([alias("models/gemini-2.5-pro")], "aliases[0].match"),
        ([alias("a", Target("m"), Target("m\x00"))], "aliases[0].targets[1].model"),
        ([alias("a", Target("m", platform="openai", provider="x"))], "aliases[0].targets[0].provider"),
        ([alias("a", Target("m", provider="x", pool_id="p"))], "aliases[0].targets[0].pool_id"),
        ([alias("a"), alias("b", Target("m", platform="x", account_id="a"))], "aliases[1].targets[0].account_id"),
    ],
)
def test_aliases_that_cannot_be(aliases: list[Alias], field: str):
    with pytest.raises(InvalidGroup) as raised:
        check_aliases(aliases)
    assert raised.value.field == field


def test_aliases_that_can_be():
    places = (Target("m"), Target("m", platform="openai"), Target("m", provider="x"), Target("m", pool_id="p"))
    check_aliases([alias("a", *places, Target("m", account_id="a")), alias("A"), alias("a*"), alias("ä b:c")])


def test_a_mode_needs_a_text():
    for mode in ("append", "prepend", "replace"):
        check_prompt(PromptRule(mode, text="x"))
        with pytest.raises(InvalidGroup) as raised:
            check_prompt(PromptRule(mode))
        assert raised.value.field == "prompt.text"
    check_prompt(PromptRule(replace=(Replacement("a"),)))


@pytest.mark.parametrize(
    "name",
    [
        *("model", "stream", "messages", "input", "contents", "tools", "system", "instructions", "prompt"),
        *("systemInstruction", "system_instruction", "requests", "generateContentRequest"),
        *("Model", "STREAM", "functions", "generate_content_request", "previous_response_id"),
    ],
)
def test_what_has_rules_of_its_own_is_no_parameter(name: str):
    with pytest.raises(InvalidGroup) as raised:
        check_params({"top_k": 1, name: None}, "params_override")
    assert raised.value.field == f"params_override.{name}"


def test_parameters_are_not_without_end():
    check_params({"temperature": 0, "generationConfig": {"topK": 1}, "tool_choice": "auto"}, "params_default")
    check_params({str(at): at for at in range(100)}, "params_default")
    with pytest.raises(InvalidGroup) as raised:
        check_params({str(at): at for at in range(101)}, "params_default")
    assert raised.value.field == "params_default"


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "X-Api-Key", "api-key", "x-goog-api-key", "Cookie", "proxy-authorization"),
        *("connection", "keep-alive", "te", "trailer", "Transfer-Encoding", "upgrade", "expect"),
        *("Host", "Content-Length", "content-type", "content-encoding", "accept-encoding"),
        *("X-Amz-Security-Token", "Idempotency-Key"),
        *("x-poolgate-x", "X-Poolgate-", "", "a b", "a:", "ä", "a\r\nb", "x" * 101),
    ],
)
def test_headers_that_cannot_be(name: str):
    with pytest.raises(InvalidGroup) as raised:
        checked_headers({"x-fine": "1", name: "1"})
    assert raised.value.field == f"headers.{name}"


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nx-more: 1", "a\x00", "ä", "\t", "x" * (LONGEST_HEADER + 1)])
def test_values_of_headers_that_cannot_be(value: str):
    with pytest.raises(InvalidGroup) as raised:
        checked_headers({"X-Team": value})
    assert raised.value.field == "headers.X-Team"


def test_headers_are_kept_in_lower_case_and_once():
    assert checked_headers({"X-Team": "a b", "anthropic-beta": "x"}) == {"x-team": "a b", "anthropic-beta": "x"}
    assert checked_headers({"x": "y" * LONGEST_HEADER})
    with pytest.raises(InvalidGroup) as raised:
        checked_headers({"x-team": "a", "X-Team": "a"})
    assert raised.value.field == "headers.X-Team"
    assert len(checked_headers({f"x-{at}": "1" for at in range(50)})) == 50
    with pytest.raises(InvalidGroup) as raised:
        checked_headers({f"x-{at}": "1" for at in range(51)})
    assert raised.value.field == "headers"
