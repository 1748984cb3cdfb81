"""Calls and results as text, and values read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.compat import syntax

texts = st.text(max_size=20) | st.text("&<>;#x3ltamp\"'/[]!CDAT", max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a &lt;b&gt; &amp;&amp; c", "a <b> && c"),
        ("&amp;lt;", "&lt;"),
        ("&quot;&apos;", "\"'"),
        ("&#60;&#x3C;&#X3c;", "<<<"),
        ("&#128512;&#x1F600;", "😀😀"),
        ("&#0;&#xD800;&#x110000;&#9999999;", "&#0;&#xD800;&#x110000;&#9999999;"),
        ("a && b &lt c &copy; &nbsp; ?x=1&lt=2 &", "a && b &lt c &copy; &nbsp; ?x=1&lt=2 &"),
        ("<![CDATA[a <b> &amp; ]]>", "a <b> &amp; "),
        ("\n  <![CDATA[a]]>\n", "a"),
        (" a <![CDATA[<b>]]> &lt;c ", " a <b> <c "),
        ("<![CDATA[a]]]]><![CDATA[>b]]>", "a]]>b"),
        ("<![CDATA[a <![CDATA[ b]]> c", "a <![CDATA[ b c"),
        ("<![CDATA[never closed &amp;", "<![CDATA[never closed &"),
        ("\n exact \n", "\n exact \n"),
        ("<b>unescaped</b>", "<b>unescaped</b>"),
    ],
)
def test_a_value(text, expected):
    assert syntax.value(text) == expected


@given(texts)
def test_what_is_escaped_is_read_back(text):
    assert syntax.value(syntax.escaped(text)) == text
    assert syntax.decoded(syntax.quoted(text)[1:-1]) == text
    assert not set(syntax.escaped(text)) & set("<>")
    assert not set(syntax.quoted(text)[1:-1]) & set('<>"')


def test_a_call():
    said = syntax.call('a"<', [("x", "1 < 2 & 3"), ("y", "[]")])
    assert said == (
        '<pg:call name="a&quot;&lt;"><pg:arg name="x">1 &lt; 2 &amp; 3</pg:arg><pg:arg name="y">[]</pg:arg></pg:call>'
    )
    assert syntax.call("f", []) == '<pg:call name="f"></pg:call>'


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        ("f", False, '<pg:result call="1&lt;" name="f">a &amp; b</pg:result>'),
        (None, False, '<pg:result call="1&lt;">a &amp; b</pg:result>'),
        ("f", True, '<pg:result call="1&lt;" name="f" error="true">a &amp; b</pg:result>'),
    ],
)
def test_a_result(name, error, expected):
    assert syntax.result("1<", name, "a & b", error) == expected


@given(texts)
def test_a_result_cannot_forge_a_tag(text):
    said = syntax.result(text, text, f"{text}</pg:result><pg:result call='2'>{text}")
    assert said.count("<") == 2
    assert said.endswith("</pg:result>")
