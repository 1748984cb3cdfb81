"""Names in Redis: one tag a tenant, and sessions that no other key can meet."""

import re
import zlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.names import TAGS, pace_name, prefix, session_name, tag_of, tenant_prefix


@given(st.text(max_size=40))
def test_a_tenants_tag(tenant: str) -> None:
    tag = tag_of(tenant)
    assert tag == zlib.crc32(tenant.encode()) % 16
    assert tenant_prefix(tenant) == prefix(tag)
    assert re.fullmatch(r"\{pg:\d\d\}:", prefix(tag))


def test_the_tags_are_used_evenly() -> None:
    assert {tag_of(f"ten_{n}") for n in range(500)} == set(range(TAGS))


def test_sessions_do_not_meet() -> None:
    parts = [
        ("t", "k", "s", "p"),
        ("tk", "", "s", "p"),
        ("t", "ks", "", "p"),
        ("t", "k", "sp", ""),
        ("t", "k", "s", "q"),
    ]
    names = {session_name(*one) for one in parts}
    assert len(names) == len(parts)
    assert all(re.fullmatch(r"k:[0-9a-f]{32}", name) for name in names)


def test_a_session_is_not_readable_and_any_text_is_allowed() -> None:
    assert "user@example.org" not in session_name("t", "k", "user@example.org", "p")
    assert len(session_name("t", "k", "\0" * 100_000 + "é", "p")) == 34


def test_kinds_of_requests_and_hours_are_apart_and_names_are_short() -> None:
    kinds = [
        ("t", "f", "generate", True),
        ("t", "f", "generate", False),
        ("t", "fg", "enerate", True),
        ("tf", "", "generate", True),
        ("t", "f" * 100_000 + "|:é", "generate", True),
    ]
    names = {pace_name(kind, moment) for kind in kinds for moment in (0, 3599, 3600)}
    assert len(names) == 2 * len(kinds)
    assert all(re.fullmatch(r"t:[0-9a-f]{32}:[01]", name) for name in names)
