"""A server of Ollama's as an upstream."""

import json

import pytest

from gateway.platforms import PLATFORMS, validate
from gateway.platforms import target as target_of
from gateway.platforms.ollama import judge, probe
from gateway.platforms.platform import Asked, Kind, Scope, Speech, Verdict
from gateway.platforms.target import speech
from tests.platforms.scene import (
    CHAT,
    COUNT,
    EMBED,
    GEMINI,
    GENERATE,
    KEPT,
    RESPONSES,
    account,
    fault,
    signed,
    target,
)

NAME = "ollama"
HOST = "http://10.0.0.7:11434"
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("credentials", "own"),
    [({}, []), ({"api_key": "k"}, [(b"authorization", b"Bearer k")])],
)
def test_sign(credentials, own):
    assert signed(NAME, credentials) == [*KEPT, *own]


@pytest.mark.parametrize(
    ("base", "what", "expected"),
    [
        (HOST, CHAT, HOST + "/v1/chat/completions"),
        (HOST + "/", EMBED, HOST + "/v1/embeddings"),
        (HOST + "/v1", CHAT, HOST + "/v1/chat/completions"),
        (HOST + "/v1/", RESPONSES, HOST + "/v1/responses"),
        (HOST, GENERATE, HOST + "/v1/messages"),
        ("https://ollama.com", CHAT, "https://ollama.com/v1/chat/completions"),
        ("https://host/ollama", GENERATE, "https://host/ollama/v1/messages"),
    ],
)
def test_url(base, what, expected):
    assert target(NAME, base, what) == expected


NATIVE = [("ollama", action) for action in ("chat", "generate", "embed", "embeddings")]


def placed(base, what, query=b""):
    asked = Asked(*what, "gemma3:12b", True, query, [(b"a", b"b")], b'{"model":"gemma3:12b"}')
    outgoing = target_of.placed(asked, account(NAME, {}, base_url=base), PLATFORMS[NAME])
    assert (outgoing.method, outgoing.headers, outgoing.body) == ("POST", asked.headers, asked.body)
    return outgoing.url


@pytest.mark.parametrize("what", NATIVE)
@pytest.mark.parametrize(
    ("base", "root"),
    [
        (HOST, HOST),
        (HOST + "/", HOST),
        (HOST + "/v1", HOST),
        (HOST + "/v1/", HOST),
        (HOST + "/api", HOST),
        ("https://ollama.com/api//", "https://ollama.com"),
        ("https://host/ollama", "https://host/ollama"),
        ("https://host/ollama/v1", "https://host/ollama"),
        ("https://host/my-api", "https://host/my-api"),
        ("https://host/v1/x", "https://host/v1/x"),
    ],
)
def test_its_own_api_is_below_the_root(base, root, what):
    assert placed(base, what) == f"{root}/api/{what[1]}"
    assert placed(base, what, b"a=%20b&c") == f"{root}/api/{what[1]}?a=%20b&c"


def test_the_compatible_apis_stay_where_they_are():
    for base in (HOST, HOST + "/v1", "https://host/api/v1"):
        for what in (CHAT, EMBED, RESPONSES, GENERATE):
            assert placed(base, what) == target(NAME, base, what, "gemma3:12b")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        *((what, Speech.NATIVE) for what in NATIVE),
        (("ollama", "show"), Speech.NONE),
        (CHAT, Speech.NATIVE),
        (EMBED, Speech.NATIVE),
        (RESPONSES, Speech.NATIVE),
        (GENERATE, Speech.NATIVE),
        (COUNT, Speech.NONE),
        (GEMINI, Speech.NONE),
    ],
)
def test_what_it_serves_itself(what, expected):
    assert speech(PLATFORMS[NAME], account(NAME, {}), "gemma3:12b", *what, True) is expected


@pytest.mark.parametrize(
    ("credentials", "options"),
    [({}, {}), ({"api_key": "k"}, {"usage_probe": False}), ({"api_key": None}, {})],
)
def test_accepted(credentials, options):
    validate(NAME, credentials, options, HOST)


@pytest.mark.parametrize(
    ("credentials", "options", "base", "field"),
    [
        ({}, {}, None, "base_url"),
        ({"token": "x"}, {}, HOST, "credentials.token"),
        ({"api_key": "org\r\n"}, {}, HOST, "credentials.api_key"),
        ({}, {"keep_alive": "5m"}, HOST, "options.keep_alive"),
    ],
)
def test_refused(credentials, options, base, field):
    assert fault(NAME, credentials, options, base) == field


def test_probe():
    assert probe("gemma3:12b")[:2] == CHAT
    assert probe("nomic-embed-text") == (*EMBED, {"model": "nomic-embed-text", "input": "hi"})


NO_MODEL = Verdict(Kind.COOL_DOWN, "model", NOW + 1800, Scope.MODEL)
NOT_LOADED = Verdict(Kind.COOL_DOWN, "fault", NOW + 60, Scope.MODEL)
UNMET = Verdict(Kind.ELSEWHERE, "unmet")
FAULT = Verdict(Kind.ELSEWHERE, "fault", counts=True, transient=True)
CALLER = Verdict(Kind.CALLER, "request")


def openai(message, kind="api_error"):
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def anthropic(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {}, Verdict(Kind.OK)),
        (404, openai('model "llama3.9" not found, try pulling it first', "not_found_error"), NO_MODEL),
        (404, openai("model 'llama3.9' not found", "not_found_error"), NO_MODEL),
        (404, {"error": 'model "llama3.9" not found, try pulling it first'}, NO_MODEL),
        (404, anthropic("not_found_error", "model 'llama3.9' not found"), NO_MODEL),
        (
            503,
            openai("server busy, please try again.  maximum pending requests exceeded"),
            Verdict(Kind.COOL_DOWN, "overloaded", NOW + 60, transient=True, overload=True),
        ),
        (500, openai("model requires more system memory (63.6 GiB) than is available (18.9 GiB)"), NOT_LOADED),
        (500, {"error": "unable to load model: /models/blobs/sha256-1"}, NOT_LOADED),
        (
            500,
            openai(
                "llama runner process has terminated: exit status 1: error loading model: unknown architecture: 'x'"
            ),
            NOT_LOADED,
        ),
        (500, anthropic("api_error", "error loading model: unknown model architecture: 'mllama'"), NOT_LOADED),
        (500, {"error": "model requires more system memory (9 GiB) than is available (1 GiB)"}, NOT_LOADED),
        (500, {"error": "failed to load model"}, NOT_LOADED),
        (500, {"error": "this model does not support embeddings"}, UNMET),
        (501, {"error": "this model does not support embeddings"}, UNMET),
        (400, {"error": "this model does not support embeddings"}, CALLER),
        (500, {"error": "this model does not support embeddings, says the prompt"}, FAULT),
        (400, {"error": "model is required"}, CALLER),
        (400, {"error": '"nomic-embed-text" does not support chat'}, CALLER),
        # A request may have done this.
        (500, openai("llama runner process has terminated: exit status 2"), FAULT),
        (500, openai("an unknown error was encountered while running the model"), FAULT),
        (400, openai("registry.ollama.ai/library/gemma3:12b does not support tools", "invalid_request_error"), CALLER),
        (400, openai("model requires more system memory"), CALLER),
        (401, openai("unauthorized"), Verdict(Kind.COOL_DOWN, "credentials", NOW + 1800, Scope.ACCOUNT, renew=True)),
    ],
)
def test_judge(status, body, expected):
    assert judge(status, {}, json.dumps(body).encode(), NOW) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"404 page not found", UNMET), (b"404 page not found\n", UNMET), (b"", CALLER), (b"not found", CALLER)],
)
def test_a_server_without_this_api(body, expected):
    assert judge(404, {"content-type": "text/plain"}, body, NOW) == expected
