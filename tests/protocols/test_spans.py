"""The spans of top-level members, over JSON in every formatting."""

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.codec import InvalidBody
from gateway.protocols.spans import MAX_MEMBERS, elements, inner, members, splice, typed

WATCHED = {"model", "stream"}
blanks = st.text(alphabet=" \t\r\n", max_size=3)
_plain = re.compile(r'["\\\x00-\x1f]')


@st.composite
def written_string(draw: st.DrawFn, value: st.SearchStrategy[str]) -> tuple[str, str]:
    """A string and one of its many spellings in JSON."""
    text = draw(value)
    out: list[str] = []
    for char in text:
        escape = draw(st.integers(0, 4)) == 0 or _plain.match(char)
        if not escape:
            out.append(char)
        elif char == "/" and draw(st.booleans()):
            out.append("\\/")
        else:
            units = char.encode("utf-16-be")
            out += [f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)]
    return text, '"' + "".join(out) + '"'


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.sampled_from(["model", "stream", "a", "b", "", "mod\u00e9l", "x\\y", '"', "{", "\u0000", "😀"]) | texts
numbers = st.sampled_from(["0", "-0", "1.0", "1E+2", "-12e-3", "123456789012345678901234567890", "1e999"])
scalars = st.one_of(
    numbers, st.sampled_from(["true", "false", "null"]), written_string(texts).map(lambda pair: pair[1])
)


@st.composite
def written_value(draw: st.DrawFn, depth: int = 3) -> str:
    kind = draw(st.integers(0, 4)) if depth else 0
    if kind < 3:
        return draw(scalars)
    inside = [draw(written_value(depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    gap = draw(blanks)
    if kind == 3:
        return "[" + gap + f"{gap},{draw(blanks)}".join(inside) + gap + "]"
    keyed = [draw(written_string(names))[1] + gap + ":" + draw(blanks) + value for value in inside]
    return "{" + gap + f"{gap},{draw(blanks)}".join(keyed) + gap + "}"


@st.composite
def written_object(draw: st.DrawFn, keys: st.SearchStrategy[str] = names) -> tuple[bytes, list[tuple[str, str]]]:
    """The bytes of an object and its members as (key, text of the value) in order, equal keys and all."""
    found: list[tuple[str, str]] = []
    written: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        key, spelled = draw(written_string(keys))
        value = draw(written_value())
        found.append((key, value))
        written.append(draw(blanks) + spelled + draw(blanks) + ":" + draw(blanks) + value + draw(blanks))
    text = draw(blanks) + "{" + (",".join(written) or draw(blanks)) + "}" + draw(blanks)
    return text.encode(), found


@settings(max_examples=400, deadline=None)
@given(written_object())
def test_each_span_is_the_text_of_its_value(case):
    body, expected = case
    twice = [key for at, (key, _) in enumerate(expected) if key in WATCHED and key in dict(expected[:at])]
    if twice:
        with pytest.raises(InvalidBody) as caught:
            members(body, WATCHED)
        assert caught.value.field == twice[0]
        return
    found = members(body, WATCHED)
    assert {name: body[low:high].decode() for name, (low, high) in found.spans.items()} == dict(expected)
    assert {name: bytes(memoryview(raw)).decode() for name, raw in found.raw.items()} == dict(expected)
    assert body[found.insert_at - 1 : found.insert_at] == b"{"


@settings(max_examples=200, deadline=None)
@given(written_object(st.sampled_from(["a", "b", "c", "model"])))
def test_a_replaced_value_leaves_every_other_byte(case):
    body, expected = case
    if [key for key, _ in expected].count("model") != 1:
        return
    low, high = members(body, WATCHED).spans["model"]
    edited = splice(body, [(low, high, b'"other"')])
    assert edited[:low] == body[:low]
    assert edited[low + 7 :] == body[high:]
    assert json.loads(edited)["model"] == "other"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30) | st.text(alphabet='{}[]":,\\u01.e-+ tn\ufeff\ud7ff', max_size=25).map(str.encode))
def test_junk_is_refused_and_never_crashes(body):
    try:
        found = members(body, WATCHED)
    except InvalidBody:
        return
    assert isinstance(json.loads(body), dict)
    assert set(found.spans) == set(found.raw)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not valid JSON"),
        (b"   ", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"a":1,}', "not valid JSON"),
        (b'{"a":1} x', "not valid JSON"),
        (b'{"a":1}\x00', "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":Infinity}', "not valid JSON"),
        (b'{"a":01}', "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b'{"a":"\x01"}', "not valid JSON"),
        (b'{"a":1/*x*/}', "not valid JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not valid JSON"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b'{"a":["\xed\xa0\x80"]}', "not valid UTF-8"),
        (b'{"\xff":1}', "not valid UTF-8"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":' + b'{"b":' * 50_000 + b"1" + b"}" * 50_001, "nested too deeply"),
    ],
)
def test_a_body_that_is_no_object(body, says):
    with pytest.raises(InvalidBody, match=says) as caught:
        members(body, WATCHED)
    assert caught.value.field is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","model":"a"}', "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model"),
        (b'{"\\u006dodel":"a","x":[1,{"model":2}],"model":"b"}', "model"),
        (b'{"stream":true , "x" : "y" , "stream" : false}', "stream"),
        (b'{"model":1,"model":12}', "model"),
        (b'{"model":{"x":1,"b":2},"b":2,"model":{"x":1,"b":2}}', "model"),
    ],
)
def test_a_watched_key_twice_is_refused(body, field):
    with pytest.raises(InvalidBody, match="given twice") as caught:
        members(body, WATCHED)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"model":"m","a":22}',
        b'{"a":[1,2,"]"],"model":"m","a":{"x":[]}}',
        b'{ "a" : { "y" : "}\\"" } , "model" : "m" , "a" : [ ] , "\\u0061" : 1 }',
        b'{"a":-1.5e3,"model":"m","a":null,"a":"x"}',
    ],
)
def test_another_key_twice_rides_along(body):
    found = members(body, WATCHED)
    low, high = found.spans["model"]
    assert body[low:high] == b'"m"'
    low, high = found.spans["a"]
    assert json.loads(body[low:high]) == json.loads(body)["a"]


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"x":"cut \\ud83d","model":"m","y":["\\uDE00"]}', b'"m"'),
        (b'{"model":"\\ud83d\\ude00","x":"\\ud83d "}', b'"\\ud83d\\ude00"'),
        (b'{"x":"\\ud83d","\\ud83d":1,"\\udbff":2,"model":"\\\\ud83d"}', b'"\\\\ud83d"'),
        (b'{"x":["\\ud83d"],"model":"m","x":["\\ud83d"]}', b'"m"'),
    ],
)
def test_lone_surrogates_ride_along(body, model):
    found = members(body, WATCHED)
    low, high = found.spans["model"]
    assert body[low:high] == model == bytes(memoryview(found.raw["model"]))


def test_lone_surrogates_hide_no_second_model():
    with pytest.raises(InvalidBody, match="model is given twice"):
        members(b'{"model":"a","x":"\\ud83d","mod\\u0065l":"b"}', WATCHED)


@pytest.mark.parametrize("key", [b'"k%d":1', b'"k":%d'])
def test_a_body_of_very_many_members_is_refused(key):
    body = b"{" + b",".join(key % at for at in range(MAX_MEMBERS + 1)) + b"}"
    with pytest.raises(InvalidBody, match="members"):
        members(body, WATCHED)


def test_spans_inside_an_object_and_an_array():
    body = b'{"x": [ {"model":"a"} ,3, "]" , { "model" : "b" } ] , "y":7}'
    found = members(body, ())
    spans = elements(body, found.spans["x"], "x")
    assert [body[low:high] for low, high in spans] == [b'{"model":"a"}', b"3", b'"]"', b'{ "model" : "b" }']
    nested = inner(body, spans[3], WATCHED, "x")
    low, high = nested.spans["model"]
    assert body[low:high] == b'"b"'
    assert body[nested.insert_at - 1 : nested.insert_at] == b"{"
    assert elements(body, found.spans["y"], "y") == []
    assert elements(b'{"x":[ ]}', (5, 8), "x") == []
    assert elements(b'["\\ud800",1]', (0, 12), "x") == [(1, 9), (10, 11)]


def test_edits_are_made_in_one_pass():
    assert splice(b"0123456789", [(8, 9, b"E"), (0, 0, b"S"), (2, 4, b"")]) == b"S014567E9"


class Named(msgspec.Struct):
    name: str = ""


named = msgspec.json.Decoder(Named)


def test_a_value_inside_is_read_as_a_type():
    body = b'{"a":{"name":"n","x":"\\ud83d"},"b":{"name":"\\ud83d"}}'
    spans = members(body, ()).spans
    assert typed(named, body, spans["a"], "a") == Named("n")
    assert typed(named, body, spans["b"], "b") == Named("\ufffd")


@pytest.mark.parametrize("body", [b"5", b'{"name":5}', b'{"name":"\\ud83d","name":5}', b'{"x":', b'{"x":"\\ud83d"'])
def test_one_of_another_type_is_refused(body):
    with pytest.raises(InvalidBody) as refused:
        typed(named, body, (0, len(body)), "a.b")
    assert refused.value.field == "a.b"
