"""What upstreams said of their limits: near or not, kept, shown."""

import pytest

from gateway.core.learned import Learned, Window, decode, encode, learned, shown

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("window", "until"),
    [
        (Window("requests", used=0.94, resets_at=NOW + 9), 0),
        (Window("requests", used=0.95, resets_at=NOW + 9), NOW + 9),
        (Window("requests", used=1.2, resets_at=NOW + 9), NOW + 9),
        (Window("requests", used=0.99), NOW + 60),
        (Window("requests", remaining=0.0), 0),
        (Window("5h", used=0.5, resets_at=NOW + 9, status="allowed"), 0),
        (Window("5h", used=0.5, resets_at=NOW + 9, status="allowed_warning"), NOW + 9),
        (Window("5h", resets_at=NOW + 9, status="rejected"), NOW + 9),
    ],
)
def test_near_its_limit(window: Window, until: float) -> None:
    assert learned((window,), NOW).near_until() == until


def test_the_last_of_the_windows_that_are_near_counts() -> None:
    found = learned(
        (
            Window("a", used=0.99, resets_at=NOW + 5),
            Window("b", used=0.99, resets_at=NOW + 7),
            Window("c", used=0.1, resets_at=NOW + 100),
        ),
        NOW,
    )
    assert (found.near_until(), found.until) == (NOW + 7, NOW + 100)


def test_it_is_read_as_it_was_written() -> None:
    found = learned((Window("a", 10, 1, 0.9, NOW + 5, "allowed"), Window("b", used=0.5)), NOW)
    assert decode(encode(found)) == found
    assert decode("{}") is None
    assert decode("what another version wrote") is None
    assert decode(b'{"windows":[{"name":"a","new":1}],"at":1,"until":2}') == Learned((Window("a"),), 1, 2)


def test_what_is_shown() -> None:
    own = learned((Window("tokens", 100, 3, 0.97, NOW + 5), Window("old", used=0.1, resets_at=NOW - 5)), NOW - 10)
    fields = {"acct_1|sonnet": encode(own).decode(), "acct_2|sonnet": encode(own).decode(), "acct_1|opus": "junk"}
    assert shown(fields, "acct_1", NOW) == [
        {
            "family": "sonnet",
            "name": "tokens",
            "limit": 100,
            "remaining": 3,
            "used": 0.97,
            "status": None,
            "resets_at": "1970-01-12T13:46:45.000Z",
            "near": True,
            "seen_at": "1970-01-12T13:46:30.000Z",
        }
    ]
    assert shown(fields, "acct_1", NOW + 6) == []
