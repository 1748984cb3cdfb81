"""The table of permissions against the routes: nothing without a permission, nothing beyond it."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from admin.app import create_app
from admin.permissions import PERMISSIONS, PERSONAL, Role, includes, known_scope
from gateway.core.settings import Settings
from tests.admin.conftest import ROLES, Api, Tenant

PAGES = {("GET", path) for path in ("/admin", "/admin/docs", "/admin/openapi.json", "/admin/{path}", "/health")}
PUBLIC = {*PAGES, ("POST", "/admin/v1/session")}
#: What each role may do, written out once more by hand; root may do it all.
MATRIX = {
    "owner": {*PERSONAL, *PERMISSIONS} - {"prices:write"},
    "operator": {
        *PERSONAL,
        *("tenants:read", "users:read", "keys:read", "keys:write", "accounts:read", "accounts:write"),
        *("pools:read", "pools:write", "proxies:read", "usage:read", "requests:read"),
        *("teams:read", "teams:write", "groups:read", "groups:write", "prices:read"),
    },
    "viewer": {
        *PERSONAL,
        *("tenants:read", "users:read", "keys:read", "accounts:read", "pools:read", "proxies:read"),
        *("usage:read", "requests:read", "teams:read", "groups:read", "prices:read"),
    },
    "member": {*PERSONAL, "keys:read", "keys:write", "usage:read", "requests:read"},
}


def routes(app: Litestar) -> list[tuple[str, str, HTTPRouteHandler]]:
    found: list[tuple[str, str, HTTPRouteHandler]] = []
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is not an HTTP route"
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS":
                found.append((method, route.path_format, handler))
    return found


@pytest.fixture(scope="module")
def app(settings: Settings) -> Litestar:
    return create_app(settings)


def test_every_route_names_its_permission_or_is_one_of_the_public_few(app: Litestar):
    public: set[tuple[str, str]] = set()
    for method, path, handler in routes(app):
        permission = handler.opt.get("permission")
        if permission is None:
            assert handler.opt.get("public"), f"{method} {path} names no permission"
            public.add((method, path))
            continue
        assert permission in {*PERMISSIONS, *PERSONAL}, f"{method} {path}: {permission}"
        # A question may need a body: explaining a route reads, and changes nothing.
        asks = method == "GET" or path.endswith(":explain")
        assert permission.endswith(":read") == asks, f"{method} {path}: {permission}"
    assert public == PUBLIC


async def test_without_credentials_nothing_is_answered(app: Litestar, url: str):
    async with Api(url) as nobody:
        for method, path, handler in routes(app):
            if not handler.opt.get("public"):
                answer = await nobody.http.request(method, url + path.format(**dict.fromkeys(_names(path), "x")))
                assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert (await nobody.http.request("OPTIONS", "/keys")).status_code == 401


@pytest.mark.parametrize("role", ROLES)
async def test_every_route_for_every_role(app: Litestar, url: str, north: Tenant, role: str):
    """An id that does not exist and no body: what is permitted fails later, on those; what is not is 403 at once."""
    api = north.as_(role)
    for method, path, handler in routes(app):
        permission: str | None = handler.opt.get("permission")
        if permission is None:
            continue
        answer = await api.http.request(method, url + path.format(**dict.fromkeys(_names(path), "x")))
        said = f"{role}: {method} {path}: {answer.status_code} {answer.text}"
        if permission in MATRIX[role]:
            lacks = f"you lack {permission}"
            assert answer.status_code not in (401, 405, 500) and lacks not in answer.text, said
        else:
            assert (answer.status_code, answer.json()["detail"]) == (403, f"you lack {permission}"), said


def test_the_table_is_about_all_roles():
    assert set(ROLES) == {role.value for role in Role}
    for grants in PERMISSIONS.values():
        assert set(grants) <= set(Role)


@pytest.mark.parametrize(
    ("scope", "known"),
    [
        *((scope, True) for scope in ("keys:read", "keys:*", "*:read", "*:*")),
        *((scope, False) for scope in ("keys", "*", "keys:", ":read", "keys:read:x", "nothing:read", "keys:drop", "")),
    ],
)
def test_known_scope(scope: str, known: bool):
    assert known_scope(scope) is known


@pytest.mark.parametrize(
    ("scope", "permission", "held"),
    [
        ("keys:read", "keys:read", True),
        ("keys:read", "keys:write", False),
        ("*:read", "keys:read", True),
        ("*:*", "keys:*", True),
        ("keys:read", "keys:*", False),
        ("keys:*", "*:*", False),
        ("keys:*", "users:read", False),
    ],
)
def test_includes(scope: str, permission: str, held: bool):
    assert includes(scope, permission) is held


def _names(path: str) -> list[Any]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
