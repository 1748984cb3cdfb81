"""Ids: RFC 9562's layout, order in time, and which id is of which kind."""

import time
from uuid import RFC_4122, UUID, uuid4

import pytest

from gateway.core.ids import milliseconds_of, new_id, text7, uuid7, uuid_of


@pytest.mark.parametrize("moment", [0, 1, 1_700_000_000_123, (1 << 48) - 1])
def test_the_millisecond_is_inside(moment: int) -> None:
    made = uuid7(moment)
    assert (milliseconds_of(made), made.version, made.variant) == (moment, 7, "specified in RFC 4122")


def test_without_a_moment_it_is_now() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= milliseconds_of(uuid7()) <= time.time_ns() // 1_000_000


def test_they_sort_by_time_and_differ_within_a_millisecond() -> None:
    made = [uuid7(moment) for moment in range(1_700_000_000_000, 1_700_000_000_500)]
    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(str(one) for one in made)
    assert len({uuid7(5) for _ in range(2000)}) == 2000


def test_every_random_bit_is_used() -> None:
    union = 0
    common = (1 << 128) - 1
    for _ in range(200):
        union |= uuid7(0).int
        common &= uuid7(0).int
    assert union ^ common == (0xFFF << 64) | 0x3FFF_FFFF_FFFF_FFFF


@pytest.mark.parametrize("prefix", ["req", "key", "acct"])
def test_a_public_id_comes_back(prefix: str) -> None:
    made = new_id(prefix)
    assert f"{prefix}_{uuid_of(made, prefix)}" == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key",
        "key_",
        f"usr_{uuid4()}",
        f"key{uuid4()}",
        f"key_{uuid4().hex}",
        f"key_{{{uuid4()}}}",
        "key_" + "z" * 36,
    ],
    ids=range(8),  # the texts are new in each process
)
def test_what_is_not_a_key_id(text: str) -> None:
    with pytest.raises(ValueError):
        uuid_of(text, "key")


def test_a_uuid_is_parsed_whatever_its_case() -> None:
    one = UUID("018f0000-0000-7000-8000-00000000ABCD")
    assert uuid_of(f"key_{str(one).upper()}", "key") == one


def test_the_text_is_that_of_a_uuid7() -> None:
    made = [text7(moment) for moment in range(1_700_000_000_000, 1_700_000_000_500) for _ in range(4)]
    read = [UUID(one) for one in made]
    assert [str(one) for one in read] == made
    assert {(one.version, one.variant) for one in read} == {(7, RFC_4122)}
    assert [milliseconds_of(one) for one in read[::4]] == list(range(1_700_000_000_000, 1_700_000_000_500))
    assert len(set(made)) == 2000
    assert len({one[19] for one in made}) == 4
