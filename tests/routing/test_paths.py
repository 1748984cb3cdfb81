"""Paths and what they are."""

import pytest

from gateway.routing.paths import NoRoute, match, protocol_near

PREFIXES = {
    "": ("", False),
    "/claude": ("claude", False),
    "/openai": ("openai", False),
    "/gemini": ("gemini", False),
    "/team": ("team", False),
    "/switch": ("switch", False),
    "/te%20am": ("te am", False),
    "/compat": ("", True),
    "/compat_mode": ("", True),
    "/team/compat": ("team", True),
    "/claude/compat_mode": ("claude", True),
}
TAILS = {
    "/v1/messages": ("anthropic", "generate"),
    "/v1/messages/count_tokens": ("anthropic", "count"),
    "/v1/chat/completions": ("openai_chat", "generate"),
    "/v1/embeddings": ("openai_chat", "embed"),
    "/v1/responses": ("openai_responses", "generate"),
    "/api/chat": ("ollama", "generate"),
    "/api/generate": ("ollama", "generate"),
    "/api/embed": ("ollama", "embed"),
    "/api/embeddings": ("ollama", "embed"),
}
ACTIONS = ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("tail", TAILS)
def test_prefixes(prefix: str, tail: str) -> None:
    found = match("POST", (prefix + tail).encode())
    assert found.endpoint is not None
    assert (found.endpoint.protocol, found.endpoint.operation) == TAILS[tail]
    assert (found.group, found.compat) == PREFIXES[prefix]
    with pytest.raises(NoRoute) as caught:
        match("GET", (prefix + tail).encode())
    assert caught.value.allow == "POST"


MODELS = {
    "gemini-2.5-flash": "gemini-2.5-flash",
    "a/b": "a/b",
    "tunedModels/x-1": "tunedModels/x-1",
    "gemma3:12b": "gemma3:12b",
    "models%2Fa": "models/a",
    "a:generateContent": "a:generateContent",
    "gemini,x": "gemini,x",
    "a%3Ab": "a:b",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("separator", [":", "%3A", "%3a", "/"])
def test_gemini(prefix: str, version: str, separator: str) -> None:
    for action in ACTIONS:
        for written, model in MODELS.items():
            path = f"{prefix}/{version}/models/{written}{separator}{action}"
            found = match("POST", path.encode())
            assert found.endpoint is not None
            assert (found.endpoint.action, found.model, found.group) == (action, model, PREFIXES[prefix][0]), path


@pytest.mark.parametrize("prefix", PREFIXES)
def test_lists(prefix: str) -> None:
    for path, name, model in (
        ("/v1/models", "models", None),
        ("/v1beta/models", "gemini_models", None),
        ("/v1/models/a/b:c", "model", "a/b:c"),
        ("/v1beta/models/a", "gemini_model", "a"),
    ):
        found = match("GET", (prefix + path).encode())
        assert (found.name, found.model, found.group, found.endpoint) == (name, model, PREFIXES[prefix][0], None)
        with pytest.raises(NoRoute):
            match("POST", (prefix + path).encode())


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("tail", "name", "allow"),
    [
        ("/api/tags", "tags", "GET, HEAD"),
        ("/api/show", "show", "POST"),
        ("/api/hello", "hello", "GET, HEAD"),
        ("/api/ps", "ps", "GET, HEAD"),
        ("/api/version", "version", "GET, HEAD"),
    ],
)
def test_ollamas_own(prefix: str, tail: str, name: str, allow: str) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        if method in allow.split(", "):
            found = match(method, (prefix + tail).encode())
            assert (found.name, found.endpoint, (found.group, found.compat)) == (name, None, PREFIXES[prefix])
        else:
            with pytest.raises(NoRoute) as caught:
                match(method, (prefix + tail).encode())
            assert caught.value.allow == allow


@pytest.mark.parametrize(
    ("path", "protocol", "group", "model"),
    [
        ("/responses", "openai_responses", "", None),
        ("/openai/responses", "openai_responses", "openai", None),
        ("/openai/deployments/gpt-5/chat/completions", "openai_chat", "openai", "gpt-5"),
        ("/openai/deployments/a%2Fb/embeddings", "openai_chat", "openai", "a/b"),
        ("/openai/deployments/gpt-5/responses", "openai_responses", "openai", "gpt-5"),
        ("/gemini/v1/chat", "gemini", "gemini", None),
    ],
)
def test_fixed(path: str, protocol: str, group: str, model: str | None) -> None:
    """Where they stand below a prefix, the group of its name has rules for them."""
    found = match("POST", path.encode())
    assert found.endpoint is not None
    assert (found.endpoint.protocol, found.group, found.model) == (protocol, group, model)


NOTHING = [
    "//v1/messages",
    "/v1//messages",
    "/v1/messages/",
    "/v1/messages;x=1",
    "/v1/./messages",
    "/v1/../v1/messages",
    "/v1/%6Dessages",
    "/v1%2Fmessages",
    "/V1/messages",
    "/a/b/v1/messages",
    "/Switch/v1/messages",
    "/team/switch/v1/messages",
    "/admin/v1/messages",
    "/Admin/v1/messages",
    "/MCP/v1/messages",
    "/v1beta/v1/messages",
    "/compat/compat/v1/messages",
    "/compat/team/v1/messages",
    "/v1",
    "/team",
    "/team//",
    "/favicon.ico",
    "/team/compat",
    "/claude//",
    "/Claude",
    "/messages",
    "/v1/models/",
    "/v1beta/models/",
    "/openai/deployments//chat/completions",
    "/openai/deployments/gpt-5",
    "/openai/deployments/gpt-5/images",
    "/te%ffam/v1/messages",
    "/api",
    "/api/",
    "/api/tags/",
    "/api/show/x",
    "/a/b/api/tags",
    "/api/api/tags",
    "/v1/api/tags",
    "/api/pull",
    "/" + "a" * 8192,
    "/%00/v1/messages/x",
]


@pytest.mark.parametrize("path", NOTHING)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing(path: str, method: str) -> None:
    with pytest.raises(NoRoute) as caught:
        match(method, path.encode())
    assert not caught.value.allow


@pytest.mark.parametrize("action", ["predict", "chat", "generate", "embed"])
def test_an_unknown_action_is_no_action(action: str) -> None:
    with pytest.raises(NoRoute) as caught:
        match("POST", f"/v1beta/models/gemini:{action}".encode())
    assert caught.value.allow == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "group", "compat"),
    [
        ("/", "", False),
        ("/claude", "claude", False),
        ("/claude/", "claude", False),
        ("/openai", "openai", False),
        ("/gemini/", "gemini", False),
        ("/compat_mode", "", True),
        ("/compat/", "", True),
        ("/claude/compat", "claude", True),
        ("/team/", "team", False),
        ("/team/compat_mode/", "team", True),
    ],
)
def test_the_root_of_a_base_url(path: str, group: str, compat: bool) -> None:
    for method in ("GET", "HEAD"):
        found = match(method, path.encode())
        assert (found.name, found.group, found.compat, found.endpoint) == ("root", group, compat, None)
    with pytest.raises(NoRoute) as caught:
        match("POST", path.encode())
    assert caught.value.allow == "GET, HEAD"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/x", "/v1beta/models", "/v1/key", "/v1/usage", "/v1/providers", "/openai/models", "/api/ps"])  # fmt: skip  # noqa: E501
def test_head_is_where_get_is(path: str) -> None:
    assert match("HEAD", path.encode()) == match("GET", path.encode())


@pytest.mark.parametrize(
    ("path", "headers", "query", "protocol"),
    [
        ("/nothing", {}, "", "openai_chat"),
        ("/nothing", {b"anthropic-version": b"1"}, "", "anthropic"),
        ("/nothing", {b"x-goog-api-key": b"1"}, "", "gemini"),
        ("/v1/models", {}, "key=1", "gemini"),
        ("/v1/models", {}, "monkey=1", "openai_chat"),
        ("/v1/models", {}, "a=1&k%65y=1", "gemini"),
        ("/claude/nothing", {}, "", "anthropic"),
        ("/gemini/nothing", {b"anthropic-version": b"1"}, "", "gemini"),
        ("/openai/nothing", {b"anthropic-version": b"1"}, "", "openai_chat"),
        ("/claude/v1/chat/completions", {}, "", "openai_chat"),
        ("/openai/v1/messages", {}, "", "anthropic"),
        ("/openai/v1/responses", {}, "", "openai_responses"),
        ("/v1beta/x", {}, "", "gemini"),
        ("/v1/models/x:generateContent", {}, "", "gemini"),
        ("/api/nothing", {}, "", "ollama"),
        ("/api/hello", {}, "", "anthropic"),
        ("/claude/api/nothing", {b"anthropic-version": b"1"}, "", "ollama"),
        ("/messages-of/api/tags", {b"x-goog-api-key": b"1"}, "", "ollama"),
        ("/responses-of/api/show", {}, "", "ollama"),
        ("/embed", {}, "", "openai_chat"),
    ],
)
def test_the_nearest_protocol(path: str, headers: dict[bytes, bytes], query: str, protocol: str) -> None:
    assert protocol_near(path.encode(), headers, query.encode()) == protocol
