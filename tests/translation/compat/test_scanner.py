"""Text and calls, told apart."""

import pytest

from gateway.translation.compat.draft import LONGEST, Found
from gateway.translation.compat.scanner import Scanner
from gateway.translation.compat.schema import Schema
from gateway.translation.prompt import Tool

TOOLS = {name: Schema(Tool(name, schema={"properties": {"a": {"type": "string"}}})) for name in "fg"}
CALL = '<pg:call name="f"><pg:arg name="a">x</pg:arg></pg:call>'
OTHER = '<pg:call name="g"></pg:call>'
X = Found("f", '{"a":"x"}')
Y = Found("g", "{}")
TICKS = Found("f", '{"a":"`\\n```\\n~~~"}')
LOST = '<pg:call name="none"><pg:arg name="a">x</pg:arg></pg:call>'


def scan(pieces, cut=False):
    scanner = Scanner(TOOLS)
    found = [each for piece in pieces for each in scanner.feed(piece)]
    found += scanner.close(cut)
    joined = []
    for each in found:
        if joined and isinstance(each, str) and isinstance(joined[-1], str):
            joined[-1] += each
        elif each:
            joined.append(each)
    return joined


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("plain", ["plain"]),
        (CALL, [X]),
        (f"a {CALL} b", ["a ", X, " b"]),
        (f"{CALL}\n{OTHER}{CALL}", [X, "\n", Y, X]),
        ("a < b <b> <p <pg <pg: <pg:c <pg:call", ["a < b <b> <p <pg <pg: <pg:c <pg:call"]),
        ("<pg:calls> <pg:arg> </pg:call>", ["<pg:calls> <pg:arg> </pg:call>"]),
        (f"<<{CALL}>", ["<<", X, ">"]),
        (f"{LOST} {CALL}", [LOST + " ", X]),
        (f'Write <pg:call name="f"> so: {CALL}', ['Write <pg:call name="f"> so: ', X]),
        (f'<pg:call name="none"><pg:arg name="a">{CALL}</pg:arg></pg:call>', None),
        (f'<pg:call name="f">! <pg:arg name="a">{CALL}</pg:arg></pg:call>', None),
        (f'<pg:call name="f">\n{CALL}', [Found("f", "{}"), X]),
        (f'<pg:call name="f"><pg:arg name="a">x</pg:call> and {OTHER}', [X, " and ", Y]),
        ('<pg:call name="f"><pg:arg name="a">x', [X]),
        ('<pg:call name="f"><pg:arg name="a">x</pg:call> and <pg:call name', [X, " and <pg:call name"]),
        ('<pg:call name="f"><pg:arg name="a">x</pg:call> and `', [X, " and `"]),
        (f"```\n{CALL}\n```", None),
        (f"```\n{CALL}\n```\n{CALL}", [f"```\n{CALL}\n```\n", X]),
        (f"  ~~~~ xml\n{CALL}\n~~~\n{CALL}\n  ~~~~\n{OTHER}", [f"  ~~~~ xml\n{CALL}\n~~~\n{CALL}\n  ~~~~\n", Y]),
        (f"```\n{CALL}", None),
        (f"``` {CALL} ``` {OTHER}", [f"``` {CALL} ``` ", Y]),
        (f'```\n<pg:call name="f">\n``` {CALL}', None),
        (f'<pg:call name="f"> so:\n```\n{CALL}\n```\n{OTHER}', [f'<pg:call name="f"> so:\n```\n{CALL}\n```\n', Y]),
        (f'<pg:call name="f"> so ```{CALL}```', None),
        (f"`{CALL}`", None),
        (f"`` a ` {CALL} `` {OTHER}", [f"`` a ` {CALL} `` ", Y]),
        (f"`{CALL}` {OTHER}", [f"`{CALL}` ", Y]),
        (f"`{CALL} and {OTHER}`", None),
        (f"a ` b {CALL}", ["a ` b ", X]),
        (f"a ` b {CALL} `` c\n\n` {OTHER}", ["a ` b ", X, " `` c\n\n` ", Y]),
        (f"a ` b\n{CALL}\n` {OTHER}", [f"a ` b\n{CALL}\n` ", Y]),
        (f"a ` `` b\n{CALL} `` {OTHER} ``", [f"a ` `` b\n{CALL} `` ", Y, " ``"]),
        (f"a ` b\n\n{CALL} `", ["a ` b\n\n", X, " `"]),
        (f"`a` {CALL} `b`", ["`a` ", X, " `b`"]),
        (f"a ` {CALL} " + "b" * 1000 + "`", ["a ` ", X, " " + "b" * 1000 + "`"]),
        (f"a ` {CALL} {'b' * 1000} ` {CALL} `", ["a ` ", X, f" {'b' * 1000} ` {CALL} `"]),
        (f"a ` {CALL} " + "b" * 990 + f"`{OTHER}", [f"a ` {CALL} " + "b" * 990 + "`", Y]),
        ('`<pg:call name="f"><pg:arg name="a">l1\nl2</pg:arg></pg:call>`', None),
        (f'<pg:call name="f"><pg:arg name="a">`\n```\n~~~</pg:arg></pg:call>{CALL}', [TICKS, X]),
        (f"{CALL}```\n{CALL}", [X, f"```\n{CALL}"]),
        (f"<think>I could {CALL}</think>{OTHER}", [f"<think>I could {CALL}</think>", Y]),
        (f"\n <thinking>\n{CALL}\n</thinking>\n{OTHER}", [f"\n <thinking>\n{CALL}\n</thinking>\n", Y]),
        (f"<think>{CALL}", None),
        (f"I <think> {CALL}", ["I <think> ", X]),
        (f"<thin>{CALL}", ["<thin>", X]),
    ],
)  # fmt: skip
def test_scanning(text, expected):
    expected = [text] if expected is None else expected
    assert scan([text]) == expected
    assert scan(text) == expected
    for at in range(len(text)):
        assert scan([text[:at], text[at:]]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a <pg:call name="f"><pg:arg name="a">x', None),
        ('a <pg:call name="f"><pg:arg name="a">x</pg:arg></pg:call', None),
        ('<pg:call name="f"><pg:arg name="a">x</pg:call>', None),
        (f"a {CALL} b <pg:ca", ["a ", X, " b <pg:ca"]),
        (f"a ` {CALL} b", None),
        (f"a ` {CALL}\n \n", ["a ` ", X, "\n \n"]),
    ],
)
def test_what_was_cut_off_is_no_call(text, expected):
    expected = [text] if expected is None else expected
    assert scan([text], cut=True) == expected
    assert scan(text, cut=True) == expected


def at_once(text):
    """What is still held after the text."""
    scanner = Scanner(TOOLS)
    said = "".join(each for each in scanner.feed(text) if isinstance(each, str))
    assert text.startswith(said)
    return text[len(said) :]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("plain", ""),
        ("a `b", ""),
        ("a ```", ""),
        ("a ~~~\n", ""),
        ("a <", "<"),
        ("a <pg:call", "<pg:call"),
        ("a <pg:callx", ""),
        ("a <b", ""),
        ("a </pg:call", ""),
        ("<thi", "<thi"),
        ("<think>", ""),
        ("<think> <pg:call ", ""),
        ("a <thi", ""),
        ("```\n<pg:call name=", ""),
        ('<pg:call name="none">', ""),
        ('<pg:call name="none"><pg:arg name="a">x </pg', "</pg"),
        ('<pg:call name="f"> no', ""),
        ('<pg:call name="f" <', "<"),
    ],
)
def test_only_what_could_begin_a_tag_is_held(text, held):
    assert at_once(text) == held


@pytest.mark.parametrize("size", [LONGEST - 200, LONGEST, 3 * LONGEST])
def test_what_is_held_is_bounded(size):
    opening = '<pg:call name="f"><pg:arg name="a">'
    value = "y" * size
    text = f"{opening}{value}{CALL} </pg:arg></pg:call>{OTHER}"
    for pieces in ([text], [text[at : at + 5000] for at in range(0, len(text), 5000)]):
        if size < LONGEST:
            assert len(scan(pieces)) == 2
        else:
            assert scan(pieces) == [text.removesuffix(OTHER), Y]
    assert len(at_once(opening + value)) == (len(opening + value) if size < LONGEST else 0)
