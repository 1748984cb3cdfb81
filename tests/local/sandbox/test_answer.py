import pytest

from gateway.local.sandbox.answer import Ask, Invalid, Tool, compose, members_of, pieces, prompt_tokens
from gateway.local.sandbox.script import Script, read
from gateway.protocols.codec import Usage

TOOL = Tool("add", {"properties": {"a": {"type": "integer"}}, "required": ["a"]})


def ask(text: str = "say hello", **more) -> Ask:
    return Ask(model="m", stream=False, text=text, usage=Usage(input_tokens=9), **more)


def composed(asked: Ask, script: str = ""):
    return compose(asked, read(script) if script else Script(), "serial", 1)


@pytest.mark.parametrize("text", ["", " ", "a", " lead  and trail \n", "é" * 40, "one\ttwo"])
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_an_echo_says_the_last_user_text() -> None:
    answer = composed(ask("  twice\n two "), "echo")
    assert "".join(answer.text) == "  twice\n two "
    assert answer.usage.output_tokens == len(answer.text)


def test_tokens_are_exact_and_thinking_is_part_of_them() -> None:
    answer = composed(ask(), "tokens-500-think-40")
    assert (answer.usage.output_tokens, answer.usage.reasoning_tokens) == (500, 40)
    assert (len(answer.thinking), len(answer.text), answer.stop) == (40, 460, "end")


def test_max_tokens_ends_an_answer() -> None:
    answer = composed(ask(max_tokens=5), "tokens-500-think-3")
    assert (len(answer.thinking), len(answer.text), answer.stop, answer.usage.output_tokens) == (3, 2, "length", 5)


def test_the_same_request_gives_the_same_answer() -> None:
    assert composed(ask(), "think") == composed(ask(), "think")


def test_a_tool_is_called_with_conforming_arguments_until_its_result_is_there() -> None:
    called = composed(ask(tools=(TOOL,)), "tool")
    assert called.call and called.call.arguments == {"a": 1}
    assert (called.stop, called.text) == ("tool", ())
    done = composed(ask(tools=(TOOL,), result="42"), "tool")
    assert done.call is None
    assert "42" in "".join(done.text)


@pytest.mark.parametrize(("forced", "name"), [("", "add"), ("mul", "mul"), (None, None)])
def test_a_forced_tool_is_called(forced, name) -> None:
    answer = composed(ask(tools=(TOOL, Tool("mul", {})), forced=forced))
    assert (answer.call.tool.name if answer.call else None) == name


def test_a_directive_in_the_text_calls_a_tool() -> None:
    answer = composed(ask('please MOCK_TOOL exec_command {"cmd": "echo {}"} ; go', tools=(TOOL,)))
    assert answer.call
    assert (answer.call.tool.name, answer.call.arguments) == ("exec_command", {"cmd": "echo {}"})
    assert composed(ask("MOCK_TOOL broken {oops", tools=(TOOL,))).call is None
    assert composed(ask('MOCK_TOOL exec_command {"cmd": "ls"}')).call is None


def test_a_given_text_is_the_answer_whatever_is_asked() -> None:
    script = Script(say="<pg:call>", think=2)
    for asked in (ask("MOCK_TOOL add {}", tools=(TOOL,), forced=""), ask(schema={}), ask(result="42")):
        answer = compose(asked, script, "serial", 1)
        assert ("".join(answer.text), answer.call, answer.stop) == ("<pg:call>", None, "end")
        assert answer.usage.output_tokens == 2 + len(answer.text)


def test_a_schema_is_answered_with_json_whatever_the_limit() -> None:
    answer = composed(ask(schema={"properties": {"a": {"const": "x y z"}}, "required": ["a"]}, max_tokens=1))
    assert "".join(answer.text) == '{"a": "x y z"}'
    assert "".join(composed(ask(schema={})).text).startswith("{")


def test_refusal_and_length() -> None:
    assert composed(ask(tools=(TOOL,)), "refuse-tool").stop == "refusal"
    assert composed(ask(), "length").stop == "length"


def test_the_script_sets_caches() -> None:
    usage = composed(ask(), "cached-100-wrote-20-wrote-1h-3").usage
    assert (usage.input_tokens, usage.cache_read_tokens) == (9, 100)
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (20, 3)


def test_a_prompt_has_a_token_for_four_bytes() -> None:
    members = members_of(b'{"messages": "12345678901234", "other": "xxxxxxxxxxxxxxxxxxxx"}')
    assert prompt_tokens(members, "messages", "system") == 4


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        members_of(body)
