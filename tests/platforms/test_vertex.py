import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.domain import Account
from gateway.platforms import vertex
from gateway.platforms.platform import Reply
from gateway.platforms.validation import InvalidAccount
from tests.platforms.scene import account

FILE = {
    "type": "service_account",
    "project_id": "my-project",
    "private_key_id": "k1",
    "private_key": "-----BEGIN PRIVATE KEY-----\n…",
    "client_email": "a@my-project.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
    "universe_domain": "googleapis.com",
}


def on_vertex(base_url: str = "", held: dict[str, Any] | None = None, **options: str) -> Account:
    return account("gemini", {"service_account": json.dumps(held or FILE)}, options, base_url)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "https://aiplatform.googleapis.com"),
        ("global", "https://aiplatform.googleapis.com"),
        ("us-east5", "https://us-east5-aiplatform.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_hosts(location, host) -> None:
    options = {"location": location} if location else {}
    assert vertex.base(on_vertex("https://other.example", **options), "https://other.example") == host
    assert vertex.base(on_vertex("https://my.example", **options), "https://other.example") == "https://my.example"


@pytest.mark.parametrize(
    ("options", "model", "path"),
    [
        ({}, "m", "/v1/projects/my-project/locations/global/publishers/p/models/{model}:act"),
        ({"project": "other"}, "m", "/v1/projects/other/locations/global/publishers/p/models/{model}:act"),
        ({"project": "x.example:y"}, "m", "/v1/projects/x.example:y/locations/global/publishers/p/models/{model}:act"),
        ({"location": "eu"}, "m", "/v1/projects/my-project/locations/eu/publishers/p/models/{model}:act"),
        ({}, "endpoints/12", "/v1/projects/my-project/locations/global/{model}:act"),
        ({}, "publishers/q/models/m", "/v1/projects/my-project/locations/global/{model}:act"),
    ],
)
def test_paths(options, model, path) -> None:
    assert vertex.template(on_vertex(**options), "p", model, "act") == path


@pytest.mark.parametrize("project", [None, "", "../x", "a/b"])
def test_a_project_must_be_known(project) -> None:
    held = {**FILE, "project_id": project} if project is not None else {"type": "service_account"}
    with pytest.raises(InvalidAccount) as raised:
        vertex.template(on_vertex(held=held), "p", "m", "act")
    assert raised.value.field == "options.project"


@pytest.mark.parametrize(
    ("model", "claude"),
    [
        ("claude-sonnet-4-5@20250929", True),
        ("publishers/anthropic/models/claude-opus-4-1", True),
        ("gemini-2.5-pro", False),
    ],
)
def test_whose_model_it_is(model, claude) -> None:
    assert vertex.is_claude(model) is claude


def test_a_renewal_asks_the_files_own_endpoint() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    renewal = vertex.renew(on_vertex(held={**FILE, "private_key": text}), 1_790_000_000.0)
    assert next(renewal).url == "https://oauth2.googleapis.com/token"
    with pytest.raises(StopIteration) as done:
        renewal.send(Reply(200, {}, b'{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}'))
    assert done.value.value == {"access_token": "ya29.x", "expires_at": 1_790_003_599.0}
