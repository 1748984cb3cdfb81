"""Tags, however their source is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.compat.markup import LONGEST, Markup
from tests.protocols.cuts import places


def tags(pieces):
    markup, found = Markup(), []
    for piece in pieces:
        markup.add(piece)
        while (tag := markup.next()) is not None:
            found.append(tag)
    return found, markup.decided, markup.bare, markup.in_cdata


def seen(text):
    found = tags([text])
    assert tags(text) == found
    for tag in found[0]:
        assert text[tag.start : tag.end] == tag.text
    return found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('<pg:call name="f">', "f"),
        ("<pg:call name='f'>", "f"),
        ("<pg:call name=f>", "f"),
        ("<pg:call name=f/>", "f"),
        ('<pg:call\n  name = "f"\t>', "f"),
        ('<pg:call type="x" name="f" id=3>', "f"),
        ('<pg:call name="f"id="3">', "f"),
        ("<pg:call name=\"a 'b' > /\">", "a 'b' > /"),
        ("<pg:call name='\"'/>", '"'),
        ('<pg:call name="&quot;&amp;lt;">', '"&lt;'),
        ('<pg:call name="">', ""),
        ('<pg:call name="a" name="b">', "a"),
    ],
)
def test_attributes(text, name):
    [tag] = seen(text)[0]
    assert tag.attributes()["name"] == name
    assert tag.empty == text.endswith("/>")


@pytest.mark.parametrize("text", ["<pg:call f>", '<pg:call ="f">', "<pg:call name=>", '<pg:call name="f" required>'])
def test_attributes_that_cannot_be_read(text):
    assert seen(text)[0][0].attributes() is None


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("<pg:call><pg:arg></pg:arg></pg:call>", ["call", "arg", "/arg", "/call"]),
        ("<pg:call></pg:arg \n></pg:call\t>", ["call", "/arg", "/call"]),
        ("<pg:caller><pg:args></pg:argument>", []),
        ("< pg:call><PG:call></ pg:call>", []),
        ("a < b <pg:call>", ["call"]),
        ('<pg:call name="<pg:arg>">', ["arg"]),
        ("<pg:call <pg:call>", ["call"]),
        ("<<pg:call>>", ["call"]),
        ("<![CDATA[<pg:call>]]><pg:arg>", ["arg"]),
        ("<![CDATA[]]]]><pg:arg>", ["arg"]),
        ("<![CDATA[<pg:call>]] ><pg:arg>", []),
        ("<pg:call " + "x" * (LONGEST - 9) + "><pg:arg>", ["arg"]),
        ("<pg:call " + "x" * (LONGEST - 10) + ">", ["call"]),
        ('<pg:call name="f', []),
    ],
)
def test_tags(text, kinds):
    assert [tag.kind for tag in seen(text)[0]] == kinds


@pytest.mark.parametrize(
    ("text", "decided", "bare", "in_cdata"),
    [
        ("", 0, True, False),
        (" \n", 2, True, False),
        (" <", 1, True, False),
        (" <a", 3, False, False),
        ("a</pg:ar", 1, False, False),
        ("<pg:arg> <pg:arg name=", 9, True, False),
        ("<![CDATA[ab]]", 11, False, True),
    ],
)
def test_what_is_decided(text, decided, bare, in_cdata):
    assert seen(text)[1:] == (decided, bare, in_cdata)


def test_bare():
    assert [tag.bare for tag in seen("<pg:call> <pg:arg>x</pg:arg>\n</pg:call>")[0]] == [True, True, False, True]
    assert [tag.bare for tag in seen("<pg:call><![CDATA[]]></pg:call>")[0]] == [True, False]


_SOUP = [
    "<pg:call",
    "<pg:arg",
    "</pg:call>",
    "</pg:arg>",
    " name=",
    '"',
    "'",
    ">",
    "/>",
    "<![CDATA[",
    "]]>",
    "]",
    "<",
    "a",
    " ",
]


@given(st.lists(st.sampled_from(_SOUP), max_size=20).map("".join), places)
def test_however_it_is_cut(text, cuts):
    marks = sorted(place % (len(text) + 1) for place in cuts)
    pieces = [text[low:high] for low, high in zip([0, *marks], [*marks, len(text)], strict=True)]
    assert tags(pieces) == seen(text)
