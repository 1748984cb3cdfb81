"""How far a caller reaches: the user's roles, narrowed by a token's scopes, never widened."""

import pytest
from msgspec import structs

from admin.caller import Caller
from admin.permissions import PERMISSIONS
from gateway.core.services.audit import Actor
from gateway.core.services.failures import Denied
from gateway.core.services.reach import Reach

A, B, ME = "ten_a", "ten_b", "usr_me"
ACTOR = Actor("tok_x")
ROOT = Caller(ACTOR, ME, root=True)
MIXED = Caller(ACTOR, ME, roles={A: "viewer", B: "member"})


@pytest.mark.parametrize(
    ("caller", "permission", "may"),
    [
        (ROOT, "tenants:write", True),
        (structs.replace(ROOT, scopes=("keys:*",)), "tenants:write", False),
        (structs.replace(ROOT, scopes=("keys:*",)), "keys:write", True),
        (structs.replace(ROOT, scopes=()), "me:read", False),
        (MIXED, "accounts:read", True),
        (MIXED, "accounts:write", False),
        (MIXED, "keys:write", True),
        (structs.replace(MIXED, scopes=("*:*",)), "accounts:write", False),
        (structs.replace(MIXED, scopes=("*:read",)), "keys:write", False),
        (Caller(ACTOR, ME), "me:write", True),
        (Caller(ACTOR, ME), "keys:read", False),
        (Caller(ACTOR, ME, roles={A: "owner"}), "no:such", False),
    ],
)
def test_may(caller: Caller, permission: str, may: bool):
    assert caller.may(permission) is may


@pytest.mark.parametrize(
    ("caller", "permission", "reach"),
    [
        (ROOT, "keys:read", Reach(everything=True, user_id=ME)),
        (structs.replace(ROOT, scopes=("users:*",)), "keys:read", Reach()),
        (MIXED, "keys:read", Reach(tenants=frozenset({A}), own=frozenset({B}), user_id=ME)),
        (MIXED, "keys:write", Reach(own=frozenset({B}), user_id=ME)),
        (MIXED, "accounts:read", Reach(tenants=frozenset({A}), user_id=ME)),
        (MIXED, "audit:read", Reach(user_id=ME)),
        (structs.replace(MIXED, scopes=("accounts:read",)), "keys:read", Reach()),
    ],
)
def test_reach(caller: Caller, permission: str, reach: Reach):
    assert caller.reach(permission) == reach


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_without_a_role_nothing_is_reached(permission: str):
    nobody = Caller(ACTOR, ME)
    assert not nobody.may(permission)
    assert nobody.reach(permission) == Reach(user_id=ME)


@pytest.mark.parametrize(
    ("caller", "fields", "refused"),
    [
        (ROOT, ["price_multiplier"], None),
        (Caller(ACTOR, ME, roles={A: "owner"}), ["price_multiplier"], None),
        (Caller(ACTOR, ME, roles={A: "operator"}), ["name", "limits"], None),
        (Caller(ACTOR, ME, roles={A: "operator"}), ["name", "price_multiplier"], "price_multiplier"),
        (Caller(ACTOR, ME, roles={A: "member"}), ["name", "models"], None),
        (Caller(ACTOR, ME, roles={A: "member"}), ["name", "limits", "pools"], "limits"),
    ],
)
def test_require_writable(caller: Caller, fields: list[str], refused: str | None):
    if refused is None:
        caller.require_writable("keys", A, fields)
        return
    with pytest.raises(Denied) as raised:
        caller.require_writable("keys", A, fields)
    assert raised.value.field == refused
