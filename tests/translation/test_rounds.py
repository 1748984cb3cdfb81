"""Rounds of calls and their results, for upstreams that want them together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.prompt import Call, Image, Part, Result, Text, Turn
from gateway.translation.rounds import settled


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", parts)


A, B, SO = Text("a"), Text("b"), Text("so")
ONE, TWO = Call("1", "f"), Call("2", "g")
FIRST, SECOND = Result("1", (A,)), Result("2", (B,))
NOTE = Turn("system", (Text("s"),))


@pytest.mark.parametrize(
    "turns",
    [
        (),
        (user(A), assistant(B)),
        (user(A), assistant(ONE, TWO), user(SECOND, FIRST, SO)),
        (assistant(ONE), assistant(TWO), user(SO), NOTE, user(FIRST), user(SECOND)),
        (assistant(ONE), assistant(B), user(FIRST)),
        (assistant(ONE), user(SO)),
    ],
)
def test_what_is_together_stays_the_same_object(turns: tuple[Turn, ...]) -> None:
    assert settled(turns) is turns


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ((user(FIRST, SO),), [user(A, SO)]),
        ((user(FIRST), assistant(ONE), user(SO)), [user(A), assistant(ONE), user(SO)]),
        ((user(FIRST), assistant(ONE), user(Result("1"))), [user(A), assistant(ONE), user(Result("1")), user()]),
        (
            (assistant(ONE), user(SO), assistant(B), NOTE, user(FIRST, A)),
            [assistant(ONE), user(FIRST), user(SO), assistant(B), NOTE, user(A)],
        ),
        (
            (assistant(ONE), user(FIRST, Result("1", (B, Image(url="u"))))),
            [assistant(ONE), user(FIRST), user(B, Image(url="u"))],
        ),
        (
            (assistant(ONE), user(FIRST), assistant(ONE), user(SO), assistant(B), user(Result("1", (B,)))),
            [
                *(assistant(ONE), user(FIRST), user()),
                *(assistant(ONE), user(Result("1", (B,))), user(SO), assistant(B), user()),
            ],
        ),
    ],
)
def test_results_are_brought_to_their_calls(turns: tuple[Turn, ...], expected: list[Turn]) -> None:
    assert [*settled(turns)] == expected


MISSING = Result("2", (Text("none"),), "g", error=True)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ((assistant(ONE, TWO), user(SO, FIRST)), [assistant(ONE, TWO), user(FIRST, MISSING), user(SO)]),
        ((assistant(ONE, TWO), user(SECOND, FIRST)), [assistant(ONE, TWO), user(FIRST, SECOND), user()]),
        ((assistant(TWO),), [assistant(TWO), user(MISSING)]),
        ((assistant(TWO), user(SO)), [assistant(TWO), user(MISSING), user(SO)]),
    ],
)
def test_all_calls_are_answered_in_order(turns: tuple[Turn, ...], expected: list[Turn]) -> None:
    assert [*settled(turns, "none")] == expected


ids = st.sampled_from("123")
parts = {
    "user": st.just(SO) | st.builds(Result, ids),
    "assistant": st.just(A) | st.builds(Call, ids, st.just("f")),
    "system": st.just(A),
}
histories = st.lists(
    st.sampled_from([*parts]).flatmap(lambda role: st.builds(Turn, st.just(role), st.lists(parts[role]).map(tuple)))
)


@given(histories, st.none() | st.just("none"))
def test_every_result_has_its_call_and_with_an_answer_for_the_others_every_call_its_result(
    turns: list[Turn], unanswered: str | None
) -> None:
    found = settled(turns, unanswered)
    assert settled(found, unanswered) is found
    asked: list[str] = []
    for at, turn in enumerate(found):
        if turn.role == "assistant":
            fresh = at == 0 or found[at - 1].role != "assistant"
            assert not (unanswered and fresh and asked)
            asked = ([] if fresh else asked) + [part.id for part in turn.parts if isinstance(part, Call)]
        for part in turn.parts:
            if isinstance(part, Result):
                asked.remove(part.call_id)
    assert not (unanswered and asked)
