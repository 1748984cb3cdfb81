"""What is read of a request body in the protocols that name the model there."""

import json

import pytest

from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody

UUID = "0e1eedd0-11e1-4c20-9699-cc47a9ec4819"
NAMED = ["anthropic", "openai_chat", "openai_responses"]
ALL = [(name, endpoint) for name in NAMED for endpoint in CODECS[name].endpoints]


def peek(name: str, body: object):
    codec = CODECS[name]
    return codec.peek(codec.endpoints[0], body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        ({"model": "m", "stream": True}, "m", True),
        ({"stream": False, "model": "é😀/x:y"}, "é😀/x:y", False),
        ({"model": "m", "stream": None}, "m", False),
        ({"messages": []}, None, False),
        ({"model": None}, None, False),
        (b'{"mod\\u0065l" : "\\u006d" , "str\\u0065am":true}', "m", True),
    ],
)
def test_model_and_stream(name, body, model, stream):
    found = peek(name, body)
    assert (found.model, found.stream) == (model, stream)


@pytest.mark.parametrize(("name", "endpoint"), ALL)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model"),
        (b'{"stream":true,"stream":false}', "stream"),
        (b'{"max_tokens":1,"max_tokens":2}', "max_tokens"),
        (b'{"max_completion_tokens":1,"max_completion_tokens":2}', "max_completion_tokens"),
        (b'{"max_output_tokens":1,"max_output_tokens":2}', "max_output_tokens"),
        (b'{"stream_options":{},"stream_options":{}}', "stream_options"),
        (b'{"previous_response_id":"a","previous_response_id":"b"}', "previous_response_id"),
        (b'{"model":7}', "model"),
        (b'{"model":["a"]}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":"a","stream":"true"}', "stream"),
        (b'{"model":"a","stream":1}', "stream"),
        (b'{"model":"\\ud800"}', "model"),
        (b"[]", None),
        (b"", None),
        (b"model=a", None),
    ],
)
def test_what_cannot_be_used_names_the_field(name, endpoint, body, field):
    with pytest.raises(InvalidBody) as caught:
        CODECS[name].peek(endpoint, body)
    assert caught.value.field == field
    assert caught.value.message


@pytest.mark.parametrize(
    ("name", "body", "limit"),
    [
        ("anthropic", {"max_tokens": 128000}, 128000),
        ("anthropic", {"max_output_tokens": 5}, None),
        ("openai_chat", {"max_tokens": 5}, 5),
        ("openai_chat", {"max_tokens": 5, "max_completion_tokens": 9}, 9),
        ("openai_chat", {"max_tokens": 5, "max_completion_tokens": None}, 5),
        ("openai_responses", {"max_output_tokens": 7, "max_tokens": 9}, 7),
        ("anthropic", {"max_tokens": 1000.0}, 1000),
        ("anthropic", {"max_tokens": -1}, None),
        ("anthropic", {"max_tokens": True}, None),
        ("anthropic", {"max_tokens": "12"}, None),
        ("anthropic", {"max_tokens": 1.5}, None),
        ("anthropic", {"max_tokens": {}}, None),
    ],
)
def test_the_limit_of_the_output(name, body, limit):
    assert peek(name, body).max_tokens == limit


def test_a_limit_out_of_range_is_refused():
    with pytest.raises(InvalidBody) as caught:
        peek("anthropic", b'{"max_tokens":1e999}')
    assert caught.value.field == "max_tokens"


SESSIONS = [
    ({"metadata": {"user_id": f"user_{'a' * 64}_account__session_{UUID}"}}, UUID),
    ({"metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s-1"})}}, "s-1"),
    ({"metadata": {"user_id": "someone"}}, None),
    ({"metadata": {"user_id": "x_session_short"}}, None),
    ({"metadata": {"user_id": "{broken"}}, None),
    ({"metadata": {"user_id": "{}"}}, None),
    ({"metadata": {"user_id": '{"session_id":7}'}}, None),
    ({"metadata": {"user_id": 7}}, None),
    ({"metadata": "x"}, None),
    ({"metadata": None, "prompt_cache_key": "p"}, "p"),
    ({"metadata": {"user_id": f"_session_{UUID}"}, "prompt_cache_key": "p", "session_id": "s"}, UUID),
    ({"session_id": "s", "prompt_cache_key": "p"}, "p"),
    ({"session_id": "s", "prompt_cache_key": 5}, "s"),
    ({"session_id": "s"}, "s"),
    ({"session_id": ""}, None),
    ({"metadata": {"user_id": "\ud800"}, "prompt_cache_key": "\udc00", "session_id": "s"}, "s"),
    ({}, None),
]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("body", "session"), SESSIONS)
def test_the_session_in_the_body(name, body, session):
    assert peek(name, {"model": "m", **body}).session == session


@pytest.mark.parametrize(("name", "endpoint"), ALL)
@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        (b'{"model":"a","x":1.0}', b'{"model":"new","x":1.0}'),
        (b' { "x" : [1 , {"model":"a"}], "model" :  "a" }\n', b' { "x" : [1 , {"model":"a"}], "model" :  "new" }\n'),
        (b'{"mod\\u0065l":"a","big":12345678901234567890}', b'{"mod\\u0065l":"new","big":12345678901234567890}'),
        (b'{"model":null,"x":"\\u00e9\xc3\xa9"}', b'{"model":"new","x":"\\u00e9\xc3\xa9"}'),
        (b'{"messages":[]}', b'{"model":"new","messages":[]}'),
        (b" { }", b' {"model":"new" }'),
        (b'{"a":1,"a":2,"model":"x"}', b'{"a":1,"a":2,"model":"new"}'),
        (b'{"model":"n\\u0065w"}', b'{"model":"n\\u0065w"}'),
    ],
)
def test_rename_replaces_one_value_and_no_other_byte(name, endpoint, body, renamed):
    codec = CODECS[name]
    assert codec.rename(endpoint, body, codec.peek(endpoint, body), "new") == renamed


def test_a_name_is_written_as_json():
    codec = CODECS["anthropic"]
    body = b'{"model":"a"}'
    named = codec.rename(codec.endpoints[0], body, codec.peek(codec.endpoints[0], body), 'a"\\\n😀')
    assert json.loads(named)["model"] == 'a"\\\n😀'


def test_previous_response_id():
    assert peek("openai_responses", {"model": "m", "previous_response_id": "resp_1"}).previous_response_id == "resp_1"
    assert peek("openai_responses", {"model": "m", "previous_response_id": None}).previous_response_id is None
    assert peek("openai_responses", {"model": "m"}).previous_response_id is None
    with pytest.raises(InvalidBody) as caught:
        peek("openai_responses", {"model": "m", "previous_response_id": 5})
    assert caught.value.field == "previous_response_id"
