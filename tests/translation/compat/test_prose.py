"""Where no call can begin: code and thinking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.compat.prose import Prose

#: `@` stands where a call is asked about; whether one can begin there, apart from spans.
FENCES = [
    ("@", True),
    ("a@", True),
    ("```\n@", False),
    ("```python title='x'\n@", False),
    ("```\n@\n```\n@", None),
    ("````\n```\n@", False),
    ("```\n````\n@", True),
    ("```\ncode ```\n@", False),
    ("```\n``` x\n@", False),
    ("```\n```  \r\n@", True),
    ("```\r\n@", False),
    ("      ```\n@", False),
    ("\t```\n@", False),
    ("> ```\n> @", False),
    ("> ```\n> ```\n@", True),
    ("> ```\n> > ```\n@", False),
    ("> ```\n@", False),
    (" > ~~~\n ~~~\n@", True),
    ("```\n> ```\n@", False),
    ("```\n   ```\n@", True),
    ("```\n    ```\n@", False),
    ("    ```\n    ```\n@", True),
    ("    ```\n```\n@", False),
    ("      ```\n    ```\n@", True),
    ("\t```\n     ```\n@", False),
    ("1. ```\n   ```\n@", True),
    (" text ~~~\n    ```\n    ```\n@", True),
    ("- ```\n@", False),
    ("- ```\n  @", False),
    ("1. ~~~\n   @", False),
    ("~~~\n@", False),
    ("~~~ `info`\n@", False),
    ("~~~\n```\n@", False),
    ("~~~\n~~~~\n@", True),
    ("```\n~~~\n@", False),
    ("text ~~~\n@", True),
    ("~~gone~~ @", True),
    ("text ```xml\n@", False),
    ("text ```xml\n\n@", False),
    ("text ```xml\n```\n@", False),
    ("text ```xml\n```\n```\n@", True),
    ("text ```xml\n~~~\n~~~\n@", False),
    ("text ```xml\n\n@``` @", None),
    ("text ```xml\n```` @", False),
    ("text ```xml\n``` sh\n@", False),
    ("text ```xml\n``` `a`\n@", False),
    ("text ```xml\n`a` ``` `@", True),
    ("text ```xml\n\na ```@", True),
    ("text ``` with words\n@", True),
    ("text ``` with words\n\n```\n@", False),
    ("text ```" + "x" * 100 + "\n@", True),
    ("text ``` with @", False),
    ("```@", False),
    ("``` a ``` @", True),
    ("```a`\n@", True),
    ("`a ``` b` @", True),
    ("`a\n```\n@", False),
    ("``\n@", True),
    ("```\n```@", False),
    ("```\n```", True),
    ("<think>@", True),
]


def where(pieces):
    """For each `@`: whether a call can begin there, and the spans that may be open."""
    prose, found = Prose(), []
    for piece in pieces:
        for number, part in enumerate(piece.split("@")):
            if number:
                admitted = prose.advance("<", 0) == 0
                found.append((admitted, tuple(prose.spans)))
                prose.skip()
            prose.read(part)
    return found


@pytest.mark.parametrize(("text", "expected"), FENCES)
def test_fences(text, expected):
    found = [admitted for admitted, _ in where([text])]
    if expected is None:
        assert found == [False, True]
    else:
        assert found == [expected] * text.count("@")
    assert where(text) == where([text])


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("`@", [1]),
        ("``a`@", [2, 1]),
        ("`a`@", []),
        ("`a``@", [1, 2]),
        ("`a`` b`` @", [1]),
        ("`a`` b` @", []),
        ("``a`b``@", []),
        ("`a\nb@", [1]),
        ("`a\n\n@", []),
        ("`a\n \t\r\n@", []),
        ("`a` `@", [1]),
        ("````a```` `@", [1]),
        ("a ```b`` c@", [3, 2]),
        ("a ``` b c\n@", [3]),
        ("a ``` b c\nd ``` @", []),
        ("`a\n```\ncode\n```\n@", []),
        ("`a\n~~~\n~~~\n@", []),
        ("text ```xml\n`` a ``` @", []),
        ("text ```xml\n\na ``` @", [3]),
    ],
)
def test_spans(text, spans):
    assert where([text]) == [(True, tuple(spans))]
    assert where(text) == [(True, tuple(spans))]


@given(st.text("`~\n> -1.a@\r\t", max_size=60), st.lists(st.integers(1, 9)))
def test_however_it_is_cut(text, sizes):
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert where([*pieces, rest]) == where([text]) == where(text)


def test_it_stops_where_a_call_could_begin():
    prose = Prose()
    assert prose.advance("a <b", 0) == 2
    assert prose.advance("a <b", 2) == 2
    prose.skip()
    assert prose.advance("a <b", 3) == 4
    assert prose.advance("\n```\n<", 0) == 6
    assert prose.advance("\n```\n<", 0) == 5


@pytest.mark.parametrize("end", ["</think>", "</thinking>"])
def test_thinking(end):
    prose = Prose()
    prose.read(" \n")
    assert not prose.begun
    prose.think()
    text = f"think> <pg:call ``` </thin k </thi{end} <"
    assert [prose.advance(character, 0) for character in text] == [1] * (len(text) - 1) + [0]
    again = Prose()
    again.think()
    assert again.advance(text, 0) == len(text) - 1
    assert again.begun
