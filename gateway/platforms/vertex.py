"""Vertex AI: what Gemini and Claude share there. A service account, its token, its project, and where a model is.

Hosts and locations: cloud.google.com/vertex-ai/generative-ai/docs/learn/locations; service accounts:
developers.google.com/identity/protocols/oauth2/service-account.
"""

import re
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from gateway.core.domain import Account
from gateway.platforms import grants
from gateway.platforms.platform import Renewal
from gateway.platforms.validation import HeaderText, HttpUrl, InvalidAccount

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ANTHROPIC_VERSION = b'"vertex-2023-10-16"'
"""As JSON: it stands in the body (docs.claude.com/en/api/claude-on-vertex-ai)."""

ProjectId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9.:-]*\Z", max_length=100)]
Location = Annotated[str, Meta(pattern=r"\A[a-z0-9-]+\Z", max_length=50)]

#: Where data stays within several regions: hosts of another form.
_MULTI_REGIONS = frozenset({"us", "eu"})
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*\Z")
#: Names that are whole resources below the location: another publisher's model, a tuned model's endpoint.
_RESOURCES = ("publishers/", "endpoints/")


class ServiceAccount(Struct, frozen=True):
    """The key file as Google writes it. Members that are not needed here may stand in it."""

    type: Literal["service_account"]
    client_email: HeaderText
    private_key: str
    token_uri: HttpUrl
    project_id: ProjectId | None = None
    private_key_id: HeaderText | None = None


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    service_account: ServiceAccount


class _Project(Struct):
    project_id: str = ""


def is_vertex(account: Account) -> bool:
    return "service_account" in account.credentials


def is_claude(model: str) -> bool:
    return "claude" in model.lower()


def base(account: Account, otherwise: str | None) -> str:
    """The account's own base URL; where it has none (or the other API's, `otherwise`), that of its location."""
    if account.base_url and account.base_url != otherwise:
        return account.base_url
    location = _location(account)
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def template(account: Account, publisher: str, model: str, action: str) -> str:
    """The path of an action; `{model}` is still to be filled in. Raises InvalidAccount when no project is known."""
    place = f"/v1/projects/{quote(_project(account), safe=':')}/locations/{_location(account)}"
    if model.startswith(_RESOURCES):
        return f"{place}/{{model}}:{action}"
    return f"{place}/publishers/{publisher}/models/{{model}}:{action}"


def renew(account: Account, now: float) -> Renewal:
    held = account.credentials["service_account"].reveal()
    return grants.jwt_bearer(msgspec.json.decode(held, type=dict[str, object]), SCOPE, now)


def _location(account: Account) -> str:
    return str(account.options.get("location") or "global")


def _project(account: Account) -> str:
    named = account.options.get("project")
    if not named:
        held = account.credentials["service_account"].reveal()
        named = msgspec.json.decode(held, type=_Project).project_id
    if not _PROJECT.match(str(named)):
        raise InvalidAccount("options.project", "required: the service account names no project")
    return str(named)
