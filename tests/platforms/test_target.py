"""Nothing that a client names leads a request elsewhere. Where each platform's go is in its own test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.codec import InvalidBody
from tests.platforms.scene import CHAT, GEMINI, GENERATE, target


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
        ("publishers/google/models/gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro"),
        ("vendor/gemma3:12b", "models/vendor/gemma3%3A12b"),
        ("x:batchEmbedContents?a=b#c", "models/x%3AbatchEmbedContents%3Fa%3Db%23c"),
        ("a b%2e\r\n", "models/a%20b%252e%0D%0A"),
        ("模型", "models/%E6%A8%A1%E5%9E%8B"),
    ],
)
def test_a_models_name_in_the_path(model, path):
    assert target("gemini", "https://host", GEMINI, model) == f"https://host/v1beta/{path}:generateContent"


@pytest.mark.parametrize(
    "model", ["", "..", "../../v1/files", "a//b", "/a", "a/", ".", "a/./b", "tunedModels/..", "\ud800"]
)
def test_a_name_that_would_lead_elsewhere_is_refused(model):
    with pytest.raises(InvalidBody) as raised:
        target("gemini", "https://host", GEMINI, model)
    assert raised.value.field == "model"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", ""),
        (b"beta=true", "?beta=true"),
        (b"alt=sse&%24alt=json%3B&x=%2e{}|^", "?alt=sse&%24alt=json%3B&x=%2e{}|^"),
        (b"a=b c#d\xff\r\nHost: x", "?a=b%20c%23d%FF%0D%0AHost:%20x"),
    ],
)
def test_the_clients_query_goes_along(query, expected):
    assert target("claude-official", "", GENERATE, query=query) == f"https://api.anthropic.com/v1/messages{expected}"


def test_what_a_platform_does_not_serve():
    with pytest.raises(KeyError):
        target("claude-official", "", CHAT)


@given(st.text(max_size=40), st.binary(max_size=40))
def test_nothing_of_a_clients_leaves_the_request_line_or_the_host(model, query):
    try:
        found = target("gemini", "https://host/base", GEMINI, model, query)
    except InvalidBody:
        return
    path = found.partition("?")[0]
    assert found.startswith("https://host/base/v1beta/")
    assert path.endswith(":generateContent")
    assert path.count(":") == 2
    assert all("!" <= character <= "~" for character in found)
    assert "#" not in found
    assert not {"", ".", ".."} & set(path.split("/")[3:])
