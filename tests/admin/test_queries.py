"""Query parameters: known to the handler, or refused by their name."""

from litestar import Litestar

from admin.app import create_app
from admin.queries import known
from gateway.core.settings import Settings
from tests.admin.conftest import Api, Tenant
from tests.admin.test_permissions import routes


def test_known_are_the_handlers_own_and_those_of_its_dependencies(settings: Settings):
    found = known(create_app(settings))
    assert found["GET", "/admin/v1/audit"] == {"tenant_id", "actor", "action", "target", "from", "to"} | {
        "cursor",
        "limit",
        "count",
    }
    assert found["GET", "/admin/v1/keys/{key_id}"] == frozenset()
    assert {"from", "to", "team_id", "group_by", "format"} <= found["GET", "/admin/v1/usage/export"]


async def test_on_every_handler_an_unknown_parameter_is_named(settings: Settings, url: str, root: Api):
    app: Litestar = create_app(settings)
    tried = 0
    for method, path, _ in routes(app):
        if path.startswith("/admin/v1/"):
            answer = await root.http.request(
                method, url + path.replace("{", "").replace("}", ""), params={"colour": "x"}
            )
            assert answer.status_code == 400, f"{method} {path}: {answer.text}"
            assert answer.json()["errors"] == [{"field": "colour", "message": "unknown parameter"}]
            tried += 1
    assert tried > 70


async def test_what_was_meant_as_a_filter_is_not_left_out(root: Api):
    problem = await root("GET /audit", target_id="key_x", expect=400)
    assert [error["field"] for error in problem["errors"]] == ["target_id"]


async def test_the_permission_is_asked_first(north: Tenant):
    await north.as_("member")("GET /audit", target_id="key_x", expect=403)


async def test_a_nul_is_named(root: Api):
    for path, field in (
        ("/keys?q=%00", "q"),
        ("/prices/in-force?model=a%00", "model"),
        ("/audit?actor=x&to=%00", "to"),
    ):
        answer = await root.http.get(path)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
