"""Events with text, as events with calls; and the whole way of a model's text, however it is written and cut."""

import json
import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gateway.protocols.codec import Usage
from gateway.translation import SPEECHES
from gateway.translation.compat import Finder
from gateway.translation.events import Begun, Closed, Delta, Ended, Failed, Logprobs, Opened, Sealing
from gateway.translation.prompt import Prompt, Sealed, Tool
from gateway.translation.speech import Asking
from tests.translation.compat.feed import calls, events, finder, merged, texts
from tests.translation.generate import answers, faults

WEATHER = Tool(
    "weather",
    "Tells the weather.",
    {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["C", "F"]},
            "parts": {"type": "array", "items": {"type": "object"}},
            "exact": {"type": ["boolean", "null"]},
        },
        "required": ["place"],
    },
)
TOOLS = (WEATHER, Tool("patch", custom=True), Tool("any"))
CALL = '<pg:call name="weather"><pg:arg name="place">Rome</pg:arg></pg:call>'
ROME = '{"place":"Rome"}'
USAGE = Usage(input_tokens=3, output_tokens=4)


def read(*given):
    reading = finder(TOOLS)
    return merged(event for one in given for event in reading.read(one))


def called(block, arguments, number=0, name="weather", custom=False):
    return [Opened(block, "call", f"call_{number}", name, custom), Delta(block, arguments), Closed(block)]


def said(block, text):
    return [Opened(block, "text"), Delta(block, text), Closed(block)]


def test_every_kind_of_event():
    sealing = Sealing(0, Sealed("anthropic", "s"))
    found = read(
        Begun("id", "m", USAGE),
        Opened(0, "thinking"),
        Delta(0, f"I call {CALL}"),
        sealing,
        Closed(0),
        Opened(1, "text"),
        Delta(1, "Let me see.\n<pg:c"),
        Logprobs(1, ({"token": "a"},)),
        Delta(1, f"{CALL[5:]}\n{CALL} Done"),
        Closed(1),
        Opened(2, "thinking", redacted=True),
        Closed(2),
        Opened(3, "text"),
        Closed(3),
        Opened(4, "call", "own", "native"),
        Delta(4, "{}"),
        Closed(4),
        Ended("end", usage=USAGE),
    )
    assert found == [
        Begun("id", "m", USAGE),
        Opened(0, "thinking"),
        Delta(0, f"I call {CALL}"),
        sealing,
        Closed(0),
        *said(1, "Let me see.\n"),
        *called(2, ROME),
        *called(3, ROME, 1),
        *said(4, "\n Done"),
        Opened(5, "thinking", redacted=True),
        Closed(5),
        Opened(6, "call", "own", "native"),
        Delta(6, "{}"),
        Closed(6),
        Ended("tool_use", usage=USAGE),
    ]
    assert faults(found) == []


def test_blocks_side_by_side():
    found = read(
        Begun(),
        Opened(0, "text"),
        Opened(1, "thinking"),
        Delta(0, "a <pg:"),
        Delta(1, "hm"),
        Opened(2, "text"),
        Delta(2, "b"),
        Delta(0, CALL[4:]),
        Closed(0),
        Delta(2, CALL + "\n"),
        Closed(1),
        Closed(2),
        Ended("end"),
    )
    assert faults(found) == []
    assert texts(found) == ["a ", "b"]
    assert calls(found) == [("weather", ROME, False)] * 2


def test_free_text_and_values_by_the_schema():
    text = (
        '<pg:call name="patch"><pg:arg name="input">*** a &lt; 5\n</pg:arg></pg:call>'
        '<pg:call name="weather"><pg:arg name="place">5</pg:arg><pg:arg name="days">5</pg:arg>'
        '<pg:arg name="unit">\nC\n</pg:arg><pg:arg name="parts">[{"a": "&lt;"}]</pg:arg>'
        '<pg:arg name="exact">true</pg:arg></pg:call>'
        '<pg:call name="weather"><pg:arg name="days">some</pg:arg><pg:arg name="exact">null</pg:arg></pg:call>'
        '<pg:call name="any"><pg:arg name="x">5</pg:arg><pg:arg name="y">five</pg:arg></pg:call>'
    )
    found = calls(events(text, tools=TOOLS))
    assert found[0] == ("patch", "*** a < 5\n", True)
    assert [json.loads(arguments) for _, arguments, _ in found[1:]] == [
        {"place": "5", "days": 5, "unit": "C", "parts": [{"a": "<"}], "exact": True},
        {"days": "some", "exact": None},
        {"x": 5, "y": "five"},
    ]


def test_free_text_that_is_empty_has_no_delta():
    assert events('<pg:call name="patch"/>', tools=TOOLS)[1:3] == [
        Opened(0, "call", "call_0", "patch", True),
        Closed(0),
    ]


def test_ids_are_the_given_ones_each_fresh():
    made = iter(["one", "two", "three"])
    reading = Finder(TOOLS, lambda: next(made))
    reading.read(Opened(0, "text"))
    found = reading.read(Delta(0, CALL + '<pg:call name="none"/>' + CALL))
    assert [event.id for event in found if isinstance(event, Opened) and event.kind == "call"] == ["one", "two"]
    assert next(made) == "three"


def test_without_tools_all_is_text():
    found = events(CALL, tools=())
    assert texts(found) == [CALL]
    assert found[-1] == Ended("end")


def test_the_first_of_two_tools_with_one_name_is_the_one():
    tools = [Tool("f", schema={"properties": {"a": {"type": "string"}}}), Tool("f")]
    assert calls(events('<pg:call name="f"><pg:arg name="a">5</pg:arg></pg:call>', tools=tools))[0][1] == '{"a":"5"}'


CUT = CALL[:-15]


@pytest.mark.parametrize(
    ("text", "stop", "number", "ended"),
    [
        (CALL, "end", 1, "tool_use"),
        (CALL, "tool_use", 1, "tool_use"),
        (CALL, "length", 1, "tool_use"),
        (CALL + " and so", "length", 1, "tool_use"),
        (CALL, "stop_sequence", 1, "tool_use"),
        (CALL, "refusal", 1, "refusal"),
        (CALL, "pause", 1, "pause"),
        ("text", "end", 0, "end"),
        ("text", "length", 0, "length"),
        ('<pg:call name="none"/>', "end", 0, "end"),
        (CUT, "end", 1, "tool_use"),
        (CUT, "length", 0, "length"),
        (CUT, "stop_sequence", 0, "stop_sequence"),
        (CALL + CUT, "length", 1, "length"),
        (CALL + CUT, "end", 2, "tool_use"),
        (CALL + CUT, "stop_sequence", 1, "tool_use"),
        (CALL + '<pg:call name="none"><pg:arg', "length", 1, "tool_use"),
        (f"` {CALL}", "length", 0, "length"),
        (f"` {CALL}", "end", 1, "tool_use"),
    ],
)
def test_how_it_ends(text, stop, number, ended):
    found = events(text, stop, TOOLS)
    assert len(calls(found)) == number
    assert found[-1].stop == ended
    assert "".join(texts(found)).replace("\n", "") == text.replace(CALL, "", number) or stop == "end"


def test_what_is_known_of_the_end_is_kept():
    sequence = Ended("stop_sequence", "END", USAGE)
    assert read(Begun(), Opened(0, "text"), Delta(0, "a"), Closed(0), sequence)[-1] == sequence
    assert read(Begun(), Opened(0, "text"), Delta(0, CALL), Closed(0), sequence)[-1] == Ended("tool_use", usage=USAGE)


@pytest.mark.parametrize("more", [Opened(1, "text"), Opened(1, "thinking"), Delta(7, "hm")])
def test_a_text_after_which_the_answer_goes_on_was_not_cut_off(more):
    rest = [Closed(1)] if isinstance(more, Opened) else []
    given = [Begun(), Opened(7, "thinking"), Opened(0, "text"), Delta(0, CUT), Closed(0)]
    found = read(*given, more, *rest, Closed(7), Ended("length"))
    assert calls(found) == [("weather", ROME, False)]
    assert found[-1] == Ended("tool_use")
    assert faults(found) == []
    assert calls(read(*given, Closed(7), Ended("length"))) == []


@pytest.mark.parametrize(
    "text", ["a <pg:c", "a " + CUT, "a ` " + CALL, CALL + " ` " + CALL, 'a <pg:call name="none"> <']
)
@pytest.mark.parametrize("closed", [[], [Closed(0)]])
def test_a_failure_loses_nothing(text, closed):
    failure = Failed(502, "gone")
    found = read(Begun(), Opened(0, "text"), Delta(0, text), *closed, failure)
    assert found[-1] == failure
    assert "".join(texts(found)) == text[len(CALL) if text.startswith(CALL) else 0 :]
    assert faults(found) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{CALL}\n", []),
        (f"{CALL}\n\n{CALL} \n", []),
        (f"a\n{CALL}\n{CALL}\n b\n", ["a\n", "\n\n b\n"]),
        (f"\n{CALL}", ["\n"]),
        (f"{CALL}" + " " * 1001, [" " * 1001]),
        (f"{CALL}" + " " * 600 + CALL + " " * 600 + CALL, [" " * 1200]),
    ],
)
def test_white_space_after_a_call_goes_before_the_text_that_follows(text, expected):
    assert texts(events(text, tools=TOOLS)) == expected
    assert texts(events(list(text), tools=TOOLS)) == expected


@given(st.lists(st.text(st.characters(exclude_characters="<"), min_size=1)))
def test_text_without_tags_goes_out_in_the_same_moment(pieces):
    reading = finder(TOOLS)
    reading.read(Opened(0, "text"))
    for piece in pieces:
        assert [event for event in reading.read(Delta(0, piece)) if isinstance(event, Delta)] == [Delta(0, piece)]


@given(answers())
def test_answers_without_calls_in_their_text_are_what_they_were(given_events):
    reading = finder(TOOLS)
    found = [event for one in given_events for event in reading.read(one)]
    assert faults(found) == []
    assert calls(found) == calls(given_events)
    assert sorted(texts(found)) == sorted(text for text in texts(given_events) if text)
    assert found[-1] == given_events[-1]


# What models write, and what they should not.

WORDS = [
    "Hello ",
    "é😀 ",
    "a < b ",
    "x & y &amp; ",
    "\n",
    "\n\n",
    "  ",
    "1. ",
    "- ",
    "> ",
    "<b>",
    "</pg:call>",
    "<pg:result>",
]
TAGS = [
    "<pg:call", "</pg:call>", "<pg:arg", "</pg:arg>", ' name="weather"', " name='place'", " name=days", ' name="none"',
    ">", "/>", "<pg:call name=\"weather\">", '<pg:arg name="place">', "<pg:arg name=days>", "</pg:arg></pg:call>", CALL,
    "<pg:", "<", "</", "<![CDATA[", "]]>", "&lt;", "&amp;lt;", "5", "true", "[1]", '"', "'", "<think>", "</think>",
]  # fmt: skip
CODE = ["`", "``", "```", "\n```\n", "\n~~~\n", "~~~", "\n````xml\n", "    ```\n"]


def cut(chance, text):
    """In pieces of every size."""
    pieces = []
    while text:
        size = chance.choice([1, 2, 3, 7, 30])
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def soup(chance):
    """Anything, with words in it that are each there once."""
    tables = [WORDS, TAGS, TAGS, CODE] if chance.random() < 0.5 else [WORDS, TAGS, TAGS, TAGS, TAGS]
    return "".join(
        f"«{number}»" if chance.random() < 0.2 else chance.choice(chance.choice(tables))
        for number in range(chance.randrange(2, 30))
    )


def in_order(text, found):
    """Whether the texts are what is left of the text when calls are taken out of it."""
    pattern, kinds = "", {event.block: event for event in found if isinstance(event, Opened)}
    for event in found:
        if isinstance(event, Opened) and event.kind == "call":
            pattern += r"\s*<pg:call[\s/>].*?"
        elif isinstance(event, Delta) and kinds[event.block].kind == "text":
            blank = re.escape(event.text.lstrip())
            pattern += (r"\s*" if blank else "") + blank
    return re.fullmatch(pattern + r"\s*", text, re.DOTALL) is not None


@pytest.mark.parametrize("seed", range(5))
def test_five_thousand_texts(seed):
    """Never a crash, nothing lost, the same however it is cut."""
    chance, made = random.Random(seed), 0
    for _ in range(1000):
        text, stop = soup(chance), chance.choice(["end", "length"])
        found = merged(events(text, stop, TOOLS))
        assert merged(events(text, stop, TOOLS)) == found
        assert merged(events(list(text), stop, TOOLS)) == found, text
        assert merged(events(cut(chance, text), stop, TOOLS)) == found, text
        assert in_order(text, found), text
        kept = "".join(texts(found)) + "".join(arguments for _, arguments, _ in calls(found))
        assert all(kept.count(word) == 1 for word in re.findall(r"«\d+»", text)), text
        made += len(calls(found))
        for _, arguments, custom in calls(found):
            assert custom or isinstance(json.loads(arguments), dict)
    assert made > 100


def marked(place):
    return f'<pg:call name="any"><pg:arg name="x">{place}\n</pg:arg></pg:call>'


def document(chance):
    """A text whose calls are known to stand in code, or not; and how many are to run."""
    said, free = "", 0
    for _ in range(chance.randrange(1, 7)):
        kind = chance.randrange(5)
        if kind == 0:
            said += chance.choice(["Words here.", "a < b & c", "# Head", "- item", "it's"]) + chance.choice(
                ["\n", "\n\n"]
            )
        elif kind == 1:
            sign = chance.choice("`~") * chance.randrange(3, 6)
            margin = chance.choice(["", "  ", "      ", "> ", "- "])
            inner = chance.choice(["", "``\n", "~~\n", "text ``` text\n" if sign[0] == "~" else "~~~\n"])
            end = "  " if margin == "- " else margin
            said += (
                f"{margin}{sign}{chance.choice(['', 'xml', ' py x=1'])}\n{inner}{marked('code')}\n{inner}{end}{sign}\n"
            )
        elif kind == 2:
            ticks = "`" * chance.randrange(1, 4)
            said += f"See {ticks}{chance.choice(['', 'so ', '~~ '])}{marked('code')}{ticks} there\n"
        else:
            free += 1
            said += chance.choice(["", "Now: ", "   "]) + marked("free") + chance.choice(["", "\n", " then\n", "\n\n"])
            said += "\n" if not said.endswith("\n") else ""
    return said, free


@pytest.mark.parametrize("seed", range(4))
def test_calls_in_code_never_run_and_all_others_do(seed):
    chance = random.Random(100 + seed)
    for _ in range(500):
        text, free = document(chance)
        found = events(cut(chance, text), tools=TOOLS)
        assert [json.loads(arguments) for _, arguments, _ in calls(found)] == [{"x": "free\n"}] * free, text
        assert "".join(texts(found)).count("code") == text.count("code")


JUDGE = MarkdownIt("commonmark", {"html": False}).disable(["code", "html_block", "html_inline", "escape"])
LINES = [
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "~~~~",
    "\n",
    "\n",
    "\n\n",
    " ",
    "word ",
    "xml",
    " a b ",
    "CALL",
    "CALL",
    "CALL",
]


def code_of(tokens):
    """All that CommonMark has in code, of fences and spans."""
    for token in tokens:
        if token.type in ("fence", "code_inline"):
            yield token.content
        yield from code_of(token.children or ())


@pytest.mark.parametrize("seed", range(4))
def test_no_call_runs_that_commonmark_has_in_code(seed):
    """Of any text; quotes and lists are left out, which end a fence that nothing closes."""
    chance, ran = random.Random(200 + seed), 0
    for _ in range(1000):
        parts = "".join(chance.choice(LINES) for _ in range(chance.randrange(3, 16))).split("CALL")
        numbered = list(enumerate(parts[1:], 1))
        one = '<pg:call name="any"><pg:arg name="x">{}</pg:arg></pg:call>'.format
        text = parts[0] + "".join(one(number) + part for number, part in numbered)
        found = {json.loads(arguments)["x"] for _, arguments, _ in calls(events(text, tools=TOOLS))}
        left = parts[0] + "".join(
            (f"«{number}»" if number in found else one(number)) + part for number, part in numbered
        )
        assert "«" not in "".join(code_of(JUDGE.parse(left))), text
        ran += len(found)
    assert ran > 500


@given(st.lists(st.sampled_from([*WORDS, *TAGS, *CODE]), max_size=25).map("".join), st.integers(0, 2**32))
@settings(max_examples=300)
def test_however_it_is_cut(text, seed):
    found = merged(events(text, tools=TOOLS))
    assert merged(events(list(text), tools=TOOLS)) == found
    assert merged(events(cut(random.Random(seed), text), tools=TOOLS)) == found


OPEN = '<pg:call name="patch"><pg:arg name="input">'


@pytest.mark.parametrize(
    "text",
    [
        "hello " * 20_000,
        OPEN + "hello " * 20_000 + "</pg:arg></pg:call>",
        OPEN + "</pg:call> " * 10_000 + "</pg:arg></pg:call>",
        OPEN + "</pg:arg> " * 10_000 + "</pg:arg></pg:call>",
        OPEN + "<![CDATA[" * 10_000,
        OPEN * 3_000,
        '<pg:call "' * 10_000,
        "<pg:call name='" + "x" * 100_000,
        '<pg:call name="none">' * 5_000,
        "".join("`" * (number % 60 + 1) + CALL for number in range(1_000)),
        "`<" * 50_000,
        "```\n" + " " * 100_000,
        CALL + " \n" * 50_000,
    ],
    ids=range(13),
)
@pytest.mark.parametrize("size", [1, 10**7])
def test_it_takes_time_by_the_length_alone(text, size):
    """What would be read again with every piece takes minutes here."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    began = time.process_time()
    events(pieces, tools=TOOLS)
    assert time.process_time() - began < 20


def test_a_large_schema_is_read_once():
    properties = {f"p{number}": {"type": "null"} for number in range(20_000)}
    tool = Tool("f", schema={"anyOf": [{"properties": properties}] * 2, "required": ["p1"]})
    began = time.process_time()
    found = calls(events('<pg:call name="f"><pg:arg name="p7">null</pg:arg></pg:call>' * 5_000, tools=[tool]))
    assert found == [("f", '{"p7":null}', False)] * 5_000
    assert time.process_time() - began < 20


@pytest.mark.parametrize("name", SPEECHES)
@pytest.mark.parametrize("stream", [False, True])
def test_every_client_is_told_of_the_call(name, stream):
    """As its own protocol says it: what is written is read again."""
    speech, found = SPEECHES[name], events(f"Let me see.\n{CALL}", tools=TOOLS)
    asking = Asking("m", "r1", 1_700_000_000, Prompt("m", ()))
    reader = speech.reader(stream)
    if stream:
        writer = speech.writer(asking)
        back = [event for one in found for event in reader.feed(writer.write(one))]
    else:
        back = list(reader.feed(speech.whole(asking, found)))
    back += reader.close()
    assert [(called, json.loads(arguments)) for called, arguments, _ in calls(back)] == [("weather", {"place": "Rome"})]
    assert texts(back) == ["Let me see.\n"]
    assert back[-1].stop == "tool_use"
