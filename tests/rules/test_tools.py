"""Names of tools, and lists thinned by them."""

import pytest

from gateway.protocols.codec import InvalidBody
from gateway.protocols.spans import splice
from gateway.rules.tools import by_name, matching, thinned, tool


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"name":"a","type":"x"}', "a"),
        (b'{"type":"function","function":{"name":"a"}}', "a"),
        (b'{"type":"custom","custom":{"name":"a"}}', "a"),
        (b'{"type":"custom","name":"a"}', "a"),
        (b'{"type":"web_search"}', "web_search"),
        (b'{"type":"function"}', ""),
        (b'{"type":"auto"}', ""),
        (b'{"name":5,"type":7}', ""),
        (b"{}", ""),
    ],
)
def test_a_tool_is_known_by_its_name_or_its_type(text: bytes, name: str):
    assert tool.decode(text).known_as == name


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "ab", True),
        ("?b", "ab", True),
        ("*", "", True),
        ("A", "a", False),
        ("[ab]", "a", False),
        ("[ab]*", "[ab]c", True),
        ("[!a]", "[!a]", True),
    ],
)
def test_only_two_letters_are_wild(pattern: str, name: str, matches: bool):
    assert matching(["z", pattern])(name) == matches


@pytest.mark.parametrize(
    ("body", "wanted", "left"),
    [
        (b'[{"name":"x"} , {"name":"a"}]', b'[{"name":"a"}]', 1),
        (b'[ {"name":"a"} , {"name":"x"} ]', b'[ {"name":"a"} ]', 1),
        (b'[{"name":"x"},{"name":"x"}]', b"[]", 0),
        (b'{"name":"a"}', b'{"name":"a"}', 1),
        (b'{"name":"x"}', b"[]", 0),
        (b"[ ]", b"[ ]", 0),
    ],
)
def test_a_list_is_thinned(body: bytes, wanted: bytes, left: int):
    edits, count = thinned(body, (0, len(body)), "tools", by_name(matching(["x"]), "tools"), lone=True)
    assert (splice(body, edits), count) == (wanted, left)
    assert bool(edits) == (body != wanted)


@pytest.mark.parametrize("body", [b"{}", b'"x"', b"5"])
def test_what_is_no_list_is_refused(body: bytes):
    with pytest.raises(InvalidBody) as refused:
        thinned(body, (0, len(body)), "tools", by_name(matching(["x"]), "tools"))
    assert refused.value.field == "tools"
