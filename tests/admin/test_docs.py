"""The OpenAPI document and its page."""

import base64
import hashlib
import json
import re
from typing import Any

from tests.admin.conftest import raw


async def test_the_page_works_without_anyone_else(url: str):
    status, headers, content = await raw(url, "GET /admin/docs HTTP/1.1", "host: localhost")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert b"https://" not in content and b"http://" not in content and b"//cdn" not in content
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_the_document_is_openapi_3_1_and_knows_every_path(url: str):
    status, headers, content = await raw(url, "GET /admin/openapi.json HTTP/1.1", "host: localhost")
    document: dict[str, Any] = json.loads(content)
    assert (status, headers["content-type"].partition(";")[0]) == (200, "application/json")
    assert document["openapi"].startswith("3.1")
    for path in ("/admin/v1/keys/{key_id}/rotate", "/admin/v1/accounts/{account_id}/test", "/admin/v1/session"):
        assert path in document["paths"]
    draft = document["components"]["schemas"]["KeyDraft"]
    assert {"platforms", "models"} <= set(draft["required"])
    assert draft["properties"]["name"]


async def test_the_policy_allows_the_page_its_own_elements_and_no_others(url: str):
    _, headers, content = await raw(url, "GET /admin/docs HTTP/1.1", "host: localhost")
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    for tag in ("script", "style"):
        elements = re.findall(f"<{tag}[^>]*>(.*?)</{tag}>".encode(), content, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(element).digest()).decode().lower() for element in elements]
        assert policy[f"{tag}-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert b" style=" not in content and not re.search(rb"<[^>]* on[a-z]+=", content)


async def test_an_unknown_page_is_a_problem(url: str):
    status, headers, content = await raw(url, "GET /admin/nothing HTTP/1.1", "host: localhost")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(content)["code"] == "not_found"
