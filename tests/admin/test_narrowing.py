"""Narrower or wider, field by field; what is called narrower lets nothing through that was not let through before."""

import itertools
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from admin.narrowing import require_narrower
from admin.schemas.keys import KeyView
from gateway.core.services.failures import Denied
from gateway.routing.authorise import matches

FREE = KeyView(
    id="key_x", tenant_id="ten_x", name="", prefix="", last_four="", user_id="usr_x", platforms=["*"], models=["*"],
    groups=["*"], limits=[], pools=[], account_id=None, allowed_ips=[], allowed_clients=[], mcp_servers=[],
    expires_at=None, on_disconnect=None, price_multiplier="1", debug=False, metadata={}, tags=[], enabled=True,
    created_at="", updated_at="", last_used_at=None,
)  # fmt: skip
SOON, LATE = "2030-01-01T00:00:00.000Z", "2030-01-01T00:00:00.001Z"
NARROWER: list[tuple[str, Any, Any]] = [
    ("platforms", ["*"], ["claude"]),
    ("platforms", ["claude"], ["claude-console", "bedrock"]),
    ("platforms", ["claude", "gemini"], []),
    ("models", ["*"], ["sandbox-*", "gpt-?", "[ab]"]),
    ("models", ["sandbox-*"], ["sandbox-e*", "sandbox-echo", "sandbox-?"]),
    ("models", ["gpt-?"], ["gpt-5"]),
    ("models", ["a", "b"], ["b"]),
    ("models", ["a*"], []),
    ("groups", ["*"], ["g*"]),
    ("allowed_ips", [], ["10.0.0.0/8"]),
    ("allowed_ips", ["10.0.0.0/8", "2001:db8::/32"], ["10.1.2.3/32", "2001:db8:1::/48"]),
    ("allowed_clients", [], ["claude-cli/*"]),
    ("allowed_clients", ["Claude-CLI/*"], ["claude-cli/2*"]),
    ("expires_at", None, LATE),
    ("expires_at", LATE, SOON),
]
WIDER: list[tuple[str, Any, Any]] = [
    ("platforms", ["claude"], ["*"]),
    ("platforms", ["claude-console"], ["claude"]),
    ("platforms", ["claude"], ["claude", "gemini"]),
    ("platforms", [], ["claude"]),
    ("platforms", ["claude", "openai", "gemini", "ollama"], ["*"]),
    ("models", ["sandbox-e*"], ["*"]),
    ("models", ["sandbox-e*"], ["sandbox-*"]),
    ("models", ["sandbox-e*"], ["sandbox-e*", "gpt-5"]),
    ("models", ["a?"], ["a*"]),
    ("models", ["a[*]"], ["a*"]),
    ("models", ["*]b"], ["[a]b"]),
    ("models", [], ["a"]),
    ("groups", ["g"], ["*"]),
    ("allowed_ips", ["10.0.0.0/8"], []),
    ("allowed_ips", ["10.0.0.0/8"], ["10.0.0.0/7"]),
    ("allowed_ips", ["10.0.0.0/8"], ["11.0.0.1/32"]),
    ("allowed_ips", ["0.0.0.0/0"], ["::/0"]),
    ("allowed_clients", ["claude-cli/*"], []),
    ("allowed_clients", ["claude-cli/*"], ["*"]),
    ("expires_at", SOON, LATE),
    ("expires_at", SOON, None),
]


@pytest.mark.parametrize(("field", "old", "new"), [*NARROWER, *((field, old, old) for field, old, _ in WIDER)])
def test_narrower(field: str, old: Any, new: Any):
    require_narrower(replace(FREE, **{field: old}), replace(FREE, **{field: new}))


@pytest.mark.parametrize(("field", "old", "new"), [*WIDER, *((field, new, old) for field, old, new in NARROWER)])
def test_wider(field: str, old: Any, new: Any):
    with pytest.raises(Denied) as raised:
        require_narrower(replace(FREE, **{field: old}), replace(FREE, **{field: new}))
    assert raised.value.field == field


NAMES = ["".join(name) for length in range(4) for name in itertools.product("ab]*", repeat=length)]
patterns = st.text("ab*?[]!", min_size=1, max_size=4)


@given(st.lists(patterns, min_size=1, max_size=3), patterns)
def test_no_name_is_let_through_that_was_not(old: list[str], new: str):
    before = tuple(old)
    try:
        require_narrower(replace(FREE, models=old), replace(FREE, models=[new]))
    except Denied:
        assume(re.search(r"[*?\[]", new))
        return
    assert all(matches(name, before) for name in NAMES if matches(name, (new,)))
