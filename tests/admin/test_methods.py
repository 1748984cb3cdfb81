"""OPTIONS of every path says the methods that its handlers are for."""

from litestar import Litestar

from admin.app import create_app
from gateway.core.settings import Settings
from tests.admin.conftest import Api
from tests.admin.test_permissions import routes


async def test_every_path_says_its_methods(settings: Settings, url: str, root: Api):
    app: Litestar = create_app(settings)
    known: dict[str, set[str]] = {}
    for method, path, _ in routes(app):
        if path.startswith("/admin/v1/"):
            known.setdefault(path, {"OPTIONS"}).add(method)
    assert known["/admin/v1/keys/{key_id}"] == {"GET", "PATCH", "DELETE", "OPTIONS"}
    for path, methods in known.items():
        answer = await root.http.options(url + path.replace("{", "").replace("}", ""))
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.headers["allow"].split(", ")) == methods, path
