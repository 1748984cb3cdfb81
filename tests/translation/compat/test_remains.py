"""What follows of a call that is none."""

import pytest

from gateway.translation.compat.draft import Draft
from gateway.translation.compat.remains import Remains
from gateway.translation.compat.schema import Schema
from gateway.translation.prompt import Tool

NO = '<pg:call name="none">'
ARG = '<pg:arg name="a">'
CALL = '<pg:call name="f"/>'


def given(pieces):
    """(what is given out as text, what is left for others to read)."""
    draft, remains, said = Draft({"f": Schema(Tool("f"))}), None, ""
    for number, piece in enumerate(pieces):
        if remains is None:
            assert draft.feed(piece) is None
            if not draft.broken:
                continue
            remains = Remains(draft)
        else:
            remains.add(piece)
        if (tag := remains.next()) is not None:
            said += remains.give(tag.start if tag.kind == "call" else tag.end)
            return said, remains.text + "".join(pieces[number + 1 :])
        said += remains.give()
    return said, remains.text


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (NO + "</pg:call>", "x"),
        (NO + ARG + "v</pg:arg></pg:call>", "x"),
        (NO + ARG + "v</pg:call>", "x"),
        (NO + ARG + CALL + "</pg:arg></pg:call>", CALL),
        (NO + ARG + '<pg:call name="f">' + ARG + "v</pg:arg></pg:call> w</pg:arg></pg:call>", CALL),
        (NO + " prose ", CALL),
        (NO + ARG + "v</pg:arg> prose ", CALL),
        (NO + '<pg:arg name="a"/> prose ', CALL),
        (NO + "</pg:arg></pg:arg>", CALL),
        ('<pg:call name="f"> prose ', CALL),
        ('<pg:call name="f"> prose ' + ARG + CALL + "</pg:arg> ", CALL),
        ('<pg:call name="f">' + ARG + "</pg:arg>" + ARG + CALL + "</pg:arg></pg:call>", CALL),
        ("<pg:call <b> ", CALL),
        (NO + ARG + " all of it " + CALL, ""),
        (NO + "a <", ""),
        (NO + "<![CDATA[" + CALL, ""),
    ],
)
def test_where_they_end(text, rest):
    assert given([text + rest]) == given(list(text + rest))
    said, left = given([text + rest])
    assert said + left == text + rest
    assert left == rest or (not rest and CALL not in left)


def test_text_goes_out_as_it_comes():
    draft = Draft({})
    draft.feed(NO)
    remains = Remains(draft)
    assert remains.next() is None
    assert remains.give() == NO
    remains.add("ab </pg:")
    assert remains.next() is None
    assert (remains.give(), remains.text) == ("ab ", "</pg:")
