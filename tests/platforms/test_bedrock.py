"""Bedrock as a platform: where a request goes, what of its body and headers, and how it is signed."""

import json
from urllib.parse import urlsplit

import pytest

from gateway.platforms import PLATFORMS, validate
from gateway.platforms.bedrock import BETAS
from gateway.platforms.eventstream import AnthropicFraming, ConverseFraming
from gateway.platforms.platform import Asked, Speech
from gateway.platforms.target import placed, speech
from gateway.protocols.codec import InvalidBody
from gateway.routing.authorise import matches
from tests.platforms.scene import account, fault
from tests.translation.converse.judge import judged

NAME = "bedrock"
PLATFORM = PLATFORMS[NAME]
REGION = {"region": "eu-west-1"}
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret/+="}
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"


def _asked(body: bytes = b"{}", *, model: str = MODEL, stream: bool = False, headers=(), query: bytes = b"") -> Asked:
    return Asked("anthropic", "generate", model, stream, query, list(headers), body)


def _conversing(body: bytes = b"{}", *, model: str = NOVA, stream: bool = False, headers=()) -> Asked:
    return Asked("converse", "converse", model, stream, b"", list(headers), body)


def _placed(asked: Asked, *, base: str = PLATFORM.base_url or "", **options):
    return placed(asked, account(NAME, KEYS, REGION | options, base), PLATFORM)


@pytest.mark.parametrize(
    ("model", "stream", "base", "expected"),
    [
        (MODEL, False, "", ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/us.anthropic.claude-sonnet-4-5-"
         "20250929-v1%3A0/invoke")),
        ("anthropic.claude-v2", True, "", ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-v2/"
         "invoke-with-response-stream")),
        (ARN, False, "", ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A"
         "123456789012%3Aapplication-inference-profile%2Fabc123/invoke")),
        ("a.claude", False, "http://127.0.0.1:9/base/", "http://127.0.0.1:9/base/model/a.claude/invoke"),
        ("../claude?x#y", False, "http://h", "http://h/model/..%2Fclaude%3Fx%23y/invoke"),
    ],
)  # fmt: skip
def test_where_it_goes(model, stream, base, expected) -> None:
    query = b"beta=true"
    outgoing = _placed(_asked(model=model, stream=stream, query=query), base=base or PLATFORM.base_url or "")
    assert (outgoing.method, outgoing.url) == ("POST", expected)


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        (NOVA, False, "/model/amazon.nova-pro-v1%3A0/converse"),
        (NOVA, True, "/model/amazon.nova-pro-v1%3A0/converse-stream"),
        ("gemma3:12b", True, "/model/gemma3%3A12b/converse-stream"),
        (ARN, False, ("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123/"
                      "converse")),
        ("../nova?x#y", False, "/model/..%2Fnova%3Fx%23y/converse"),
    ],
)  # fmt: skip
def test_where_converse_goes(model, stream, path) -> None:
    outgoing = _placed(_conversing(model=model, stream=stream))
    assert (outgoing.method, outgoing.url) == ("POST", f"https://bedrock-runtime.eu-west-1.amazonaws.com{path}")
    assert _placed(_conversing(model=model, stream=stream), base="http://h/base/").url == f"http://h/base{path}"


@pytest.mark.parametrize("asked", [_asked, _conversing])
def test_a_name_that_is_no_text_is_refused(asked) -> None:
    with pytest.raises(InvalidBody):
        _placed(asked(model="claude-\ud800"))


@pytest.mark.parametrize("body", [b'{"messages":[]}', b'{ "stream":true,"anthropic_beta":["a"] }', b"not JSON"])
def test_a_body_of_converse_passes_as_it_is(body: bytes) -> None:
    """Translation has written it; the flags of Anthropic's protocol are none of Converse."""
    headers = [(b"anthropic-beta", b"context-1m-2025-08-07"), (b"user-agent", b"sdk/1"), (b"x-amz-tier", b"priority")]
    outgoing = _placed(_conversing(body, headers=headers), betas=["context-1m-2025-08-07"])
    assert outgoing.body == body
    assert outgoing.headers == [
        (b"user-agent", b"sdk/1"), (b"content-type", b"application/json"), (b"accept", b"application/json"),
    ]  # fmt: skip
    signed = PLATFORM.sign(outgoing, account(NAME, KEYS, REGION), 1.0)
    assert [name for name, _ in signed.headers][3:] == [b"x-amz-date", b"authorization"]


_VERSION = '"anthropic_version":"bedrock-2023-05-31"'


@pytest.mark.parametrize(
    ("body", "betas", "expected"),
    [
        ('{"model":"m","stream":true,"max_tokens":5}', [], "{%s,\"max_tokens\":5}"),
        ('{ "max_tokens" : 5 , "stream":false }', [], '{%s, "max_tokens" : 5  }'),
        ('{"service_tier":"auto","diagnostics":null,"metadata":{"id":"u"}}', [], '{%s,"metadata":{"id":"u"}}'),
        ('{"anthropic_version":"bedrock-2023-05-31","a":1}', [], '{"anthropic_version":"bedrock-2023-05-31","a":1}'),
        ('{"a":1,"anthropic_version":"vertex-2023-10-16"}', [], '{"a":1,%s}'),
        ('{"anthropic_version":null,"a":1}', [], "{%s,\"a\":1}"),
        ('{"a":1}', ["context-1m-2025-08-07"], '{%s,"anthropic_beta":["context-1m-2025-08-07"],"a":1}'),
        ('{"a":1}', ["claude-code-20250219, interleaved-thinking-2025-05-14", "oauth-2025-04-20"],
         '{%s,"anthropic_beta":["interleaved-thinking-2025-05-14"],"a":1}'),
        ('{"anthropic_beta":["effort-2025-11-24"],"a":1}', ["context-1m-2025-08-07,effort-2025-11-24"],
         '{%s,"anthropic_beta":["effort-2025-11-24","context-1m-2025-08-07"],"a":1}'),
        ('{"anthropic_beta":["no-such-2020-01-01"],"a":1}', [], '{%s,"a":1}'),
        ('{"context_management":{"edits":[]},"a":1}', [], '{%s,"a":1}'),
        ('{"context_management":{"edits":[]}}', ["context-management-2025-06-27"],
         '{%s,"anthropic_beta":["context-management-2025-06-27"],"context_management":{"edits":[]}}'),
        ('{"a":1}', ["advanced-tool-use-2025-11-20"], '{%s,"a":1}'),
        ('{"tools":[{"type":"tool_search_tool_regex_20251119"}]}', ["advanced-tool-use-2025-11-20"],
         '{%s,"anthropic_beta":["tool-search-tool-2025-10-19"],"tools":[{"type":"tool_search_tool_regex_20251119"}]}'),
        ('{"inference_geo":"us","mcp_servers":[]}', [], '{%s,"inference_geo":"us","mcp_servers":[]}'),
    ],
)  # fmt: skip
def test_the_body(body: str, betas: list[str], expected: str) -> None:
    headers = [(b"anthropic-beta", beta.encode()) for beta in betas]
    found = _placed(_asked(body.encode(), headers=headers)).body.decode()
    assert found == (expected % _VERSION if "%s" in expected else expected)
    json.loads(found)


def test_the_betas_of_an_account_stand_in_the_place_of_the_known_ones() -> None:
    headers = [(b"anthropic-beta", b"new-2027-01-01,context-1m-2025-08-07")]
    found = json.loads(_placed(_asked(headers=headers), betas=["new-2027-01-01"]).body)
    assert found["anthropic_beta"] == ["new-2027-01-01"]
    assert "anthropic_beta" not in json.loads(_placed(_asked(headers=headers), betas=[]).body)
    assert len(set(BETAS)) == len(BETAS)


@pytest.mark.parametrize("value", ["1", '"a"', "[1]", "{}"])
def test_betas_that_are_no_list_of_texts_are_refused(value: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        _placed(_asked(b'{"anthropic_beta":%b}' % value.encode()))
    assert refused.value.field == "anthropic_beta"


def test_nothing_of_the_clients_that_aws_acts_upon_reaches_it() -> None:
    headers = [
        (b"user-agent", b"sdk/1"),
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"context-1m-2025-08-07"),
        (b"x-stainless-os", b"Linux"),
        (b"x-amzn-bedrock-guardrailidentifier", b"g"),
        (b"x-amz-security-token", b"t"),
        (b"content-type", b"text/plain"),
        (b"accept", b"text/event-stream"),
        (b"authorization", b"Bearer client"),
    ]
    outgoing = _placed(_asked(headers=headers))
    assert outgoing.headers == [
        (b"user-agent", b"sdk/1"), (b"content-type", b"application/json"), (b"accept", b"application/json"),
    ]  # fmt: skip
    names = [name for name, _ in PLATFORM.sign(outgoing, account(NAME, KEYS, REGION), 1.0).headers]
    assert names == [b"user-agent", b"content-type", b"accept", b"x-amz-date", b"authorization"]


def test_signed_by_keys_and_by_a_token() -> None:
    outgoing = _placed(_asked())
    signed = dict(
        PLATFORM.sign(outgoing, account(NAME, KEYS | {"session_token": "t/+="}, REGION), 1440938160.0).headers
    )
    assert signed[b"x-amz-date"] == b"20150830T123600Z"
    assert signed[b"x-amz-security-token"] == b"t/+="
    authorization = signed[b"authorization"].decode()
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/bedrock/aws4_request,")
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in authorization
    bearer = dict(PLATFORM.sign(outgoing, account(NAME, {"bearer_token": "ABSK1"}, REGION), 1.0).headers)
    assert bearer[b"authorization"] == b"Bearer ABSK1"
    assert b"x-amz-date" not in bearer
    assert urlsplit(outgoing.url).query == ""


@pytest.mark.parametrize(
    ("model", "protocol", "operation", "expected"),
    [
        (MODEL, "anthropic", "generate", Speech.NATIVE),
        ("arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-v2", "anthropic", "generate", Speech.NATIVE),
        (ARN, "anthropic", "generate", Speech.NATIVE),
        (ARN.replace("abc", "xyz"), "anthropic", "generate", Speech.NONE),
        ("meta.llama3-70b-instruct-v1:0", "anthropic", "generate", Speech.NONE),
        ("arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3", "anthropic", "generate", Speech.NONE),
        (MODEL, "anthropic", "count", Speech.NONE),
        (MODEL, "openai_chat", "generate", Speech.NONE),
        (NOVA, "converse", "converse", Speech.NATIVE),
        ("us.meta.llama3-3-70b-instruct-v1:0", "converse", "converse", Speech.NATIVE),
        ("arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3", "converse", "converse", Speech.NATIVE),
        ("gemma3:12b", "converse", "converse", Speech.NATIVE),
        (MODEL, "converse", "converse", Speech.NONE),
        (MODEL.upper(), "converse", "converse", Speech.NONE),
        (ARN, "converse", "converse", Speech.NONE),
        (ARN.replace("abc", "xyz"), "converse", "converse", Speech.NATIVE),
        (NOVA, "converse", "generate", Speech.NONE),
        (NOVA, "openai_chat", "generate", Speech.NONE),
        (NOVA, "gemini", "generateContent", Speech.NONE),
    ],
)
def test_what_it_speaks(model, protocol, operation, expected) -> None:
    from msgspec.structs import replace

    mapped = {"sonnet": ARN, "llama": "arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3"}
    held = replace(account(NAME, KEYS, REGION), model_map=mapped)
    assert speech(PLATFORM, held, model, protocol, operation, True) is expected
    waiting = replace(held, credentials={})
    assert speech(PLATFORM, waiting, model, protocol, operation, True) is Speech.NONE


@pytest.mark.parametrize(
    ("content_type", "framed"),
    [
        (b"application/vnd.amazon.eventstream", True),
        (b"application/vnd.amazon.eventstream; x=y", True),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_only_event_streams_are_reframed(content_type: bytes, framed: bool) -> None:
    assert PLATFORM.framing is not None
    assert isinstance(PLATFORM.framing(_asked(stream=True), content_type), AnthropicFraming) is framed
    assert isinstance(PLATFORM.framing(_conversing(stream=True), content_type), ConverseFraming) is framed


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-3-haiku-20240307-v1:0", MODEL, "global.anthropic.claude-opus-4-6-v1",
        NOVA, "us-gov.amazon.nova-lite-v1:0", "apac.amazon.nova-micro-v1:0", "eu.amazon.nova-2-lite-v1:0",
        "ai21.jamba-1-5-large-v1:0", "cohere.command-r-plus-v1:0", "deepseek.v3-v1:0", "us.deepseek.r1-v1:0",
        "meta.llama3-1-8b-instruct-v1:0", "us.meta.llama4-scout-17b-instruct-v1:0", "minimax.minimax-m2",
        "mistral.mistral-large-2402-v1:0", "eu.mistral.pixtral-large-2502-v1:0", "moonshot.kimi-k2-thinking",
        "moonshotai.kimi-k2.5", "nvidia.nemotron-nano-9b-v2", "openai.gpt-oss-120b-1:0",
        "qwen.qwen3-coder-480b-a35b-v1:0", "us.writer.palmyra-x5-v1:0", "zai.glm-4.7",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama4-scout-17b-instruct-v1:0",
    ],
)  # fmt: skip
def test_models_of_bedrocks_own_names_are_served_unless_an_account_names_others(model: str) -> None:
    assert matches(model, tuple(PLATFORM.models))


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4.1", "gpt-5.1-codex", "o3", "chatgpt-4o-latest", "text-embedding-3-small", "openai/gpt-4.1",
        "claude-sonnet-4-5", "claude-3-5-haiku-latest", "claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4.5",
        "gemini-2.5-pro", "models/gemini-2.5-pro", "google/gemini-2.5-flash", "gemma3:12b", "deepseek-chat",
        "deepseek-ai/DeepSeek-V3.1", "deepseek/deepseek-r1", "meta-llama/Llama-3.3-70B-Instruct",
        "meta-llama/llama-4-scout:free", "llama-3.3-70b-versatile", "llama3.2:latest", "mistral-large-latest",
        "mistralai/Mistral-7B-Instruct-v0.3", "command-r-plus", "kimi-k2-0905-preview", "moonshotai/kimi-k2",
        "qwen2.5:7b", "qwen3.5-plus", "Qwen/Qwen3-32B", "qwen/qwen3-32b", "grok-4.1", "glm-4.7", "z-ai/glm-4.7",
        "MiniMax-M2.1", "nvidia/llama-3.1-nemotron-70b", "amazon/nova-pro-v1", "amazon-nova-pro",
        "accounts/fireworks/models/llama-v3p1-8b-instruct", "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF",
    ],
)  # fmt: skip
def test_names_of_other_vendors_are_none_of_its_own(model: str) -> None:
    assert not matches(model, tuple(PLATFORM.models))


def test_when_credentials_end() -> None:
    assert PLATFORM.expires is not None
    role = KEYS | {"session_token": "t", "expires_at": "1700000000"}
    assert PLATFORM.expires(account(NAME, role)) == 1_700_000_000
    assert PLATFORM.expires(account(NAME, KEYS)) is None
    assert PLATFORM.expires(account(NAME, {"bearer_token": "t"})) is None
    assert PLATFORM.expires(account(NAME, {})) == 0
    assert PLATFORM.renew is None  # that is the work of jobs


@pytest.mark.parametrize(
    ("credentials", "options", "base"),
    [
        (KEYS, REGION, None),
        (KEYS | {"session_token": "t"}, {"region": "us-gov-west-1"}, "https://vpce.example/x"),
        ({"bearer_token": "ABSK"}, {"region": "cn-north-1", "betas": ["a-2027-01-01"]}, None),
        ({}, {"region": "ap-southeast-2"}, None),
    ],
)
def test_accepted(credentials, options, base) -> None:
    validate(NAME, credentials, options, base)


@pytest.mark.parametrize(
    ("credentials", "options", "field"),
    [
        (KEYS, {}, "options.region"),
        (KEYS, {"region": "evil.example/"}, "options.region"),
        (KEYS, {"region": "EU-WEST-1"}, "options.region"),
        (KEYS, {"region": "eu-west-1\n"}, "options.region"),
        (KEYS, REGION | {"betas": "a"}, "options.betas"),
        (KEYS, REGION | {"profile": "p"}, "options.profile"),
        ({"access_key_id": "A"}, REGION, "credentials.secret_access_key"),
        ({"secret_access_key": "A"}, REGION, "credentials.access_key_id"),
        (KEYS | {"bearer_token": "t"}, REGION, "credentials.bearer_token"),
        ({"api_key": "k"}, REGION, "credentials.api_key"),
        (KEYS | {"session_token": "x: y"}, REGION, "credentials.session_token"),
    ],
)
def test_refused(credentials, options, field) -> None:
    assert fault(NAME, credentials, options) == field


@pytest.mark.parametrize("model", [MODEL, ARN])
def test_probe(model: str) -> None:
    assert PLATFORM.probe is not None
    protocol, operation, body = PLATFORM.probe(model)
    outgoing = _placed(Asked(protocol, operation, model, False, b"", [], json.dumps(body).encode()))
    assert outgoing.url.endswith("/invoke")
    assert json.loads(outgoing.body) == {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": body["messages"],
    }  # fmt: skip


def test_probe_of_another_model() -> None:
    assert PLATFORM.probe is not None
    protocol, operation, body = PLATFORM.probe(NOVA)
    outgoing = _placed(Asked(protocol, operation, NOVA, False, b"", [], json.dumps(body).encode()))
    assert outgoing.url.endswith("/model/amazon.nova-pro-v1%3A0/converse")
    assert judged(outgoing.body)["inferenceConfig"] == {"maxTokens": 1}
