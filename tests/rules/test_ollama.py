"""The rules in requests of Ollama's own API, to the byte."""
# ruff: noqa: E501 - tables

import pytest

from gateway.core.groups import Rules
from gateway.protocols.codec import InvalidBody
from gateway.rules import ruled
from tests.rules.bodies import ENDPOINTS
from tests.rules.cases import Case, change, less, put

CHAT: list[Case] = [
    (less("a"), b'{"tools":[{"type":"function","function":{"name":"a"}},{"function":{"name":"b"}}]}', b'{"tools":[{"function":{"name":"b"}}]}'),
    (less("*"), b'{"tools":[{"type":"function","function":{"name":"a"}}],"think":true}', b'{"think":true}'),
    (put("append"), b'{"messages":[{"role":"system","content":"s"}]}', b'{"messages":[{"role":"system","content":"s\\n\\nT"}]}'),
    (put("append"), b'{"messages":[{"role":"user","content":"u"}]}', b'{"messages":[{"role":"system","content":"T"},{"role":"user","content":"u"}]}'),
    (put("append", "user"), b'{"messages":[{"role":"user","content":"u","images":["AA=="]}]}', b'{"messages":[{"role":"user","content":"u\\n\\nT","images":["AA=="]}]}'),
    (change(a="b"), b'{"messages":[{"role":"system","content":"a"}]}', b'{"messages":[{"role":"system","content":"b"}]}'),
    # what only loads a model does not begin to ask
    (put("append"), b'{"messages":[]}', None),
    (put("append"), b'{"model":"m"}', None),
    (Rules(temperature_ratio=0.5), b'{"options":{"temperature":1.0}}', b'{"options":{"temperature":0.5}}'),
    (Rules(temperature_ratio=3), b'{"options":{"temperature":1.0}}', b'{"options":{"temperature":2}}'),
    (Rules(temperature_ratio=0.5), b'{"options":null}', None),
    (Rules(params_default={"options": {"num_ctx": 4, "seed": 1}}), b'{"options":{"seed":0}}', b'{"options":{"num_ctx":4,"seed":0}}'),
    (Rules(params_default={"options": {"num_ctx": 4}}), b"{}", b'{"options":{"num_ctx":4}}'),
]  # fmt: skip

GENERATE: list[Case] = [
    (put("append"), b'{"prompt":"u"}', b'{"system":"T","prompt":"u"}'),
    (put("prepend"), b'{"prompt":"u","system":"s"}', b'{"prompt":"u","system":"T\\n\\ns"}'),
    (put("replace", "user"), b'{"prompt":"u","images":[]}', b'{"prompt":"T","images":[]}'),
    (put("append", "user", a="b"), b'{"prompt":"a","system":"a"}', b'{"prompt":"a\\n\\nT","system":"b"}'),
    (put("append"), b'{"prompt":""}', None),
    (put("append"), b'{"model":"m"}', None),
]


@pytest.mark.parametrize(
    ("endpoint", "rules", "body", "wanted"),
    [*(("ollama chat", *case) for case in CHAT), *(("ollama generate", *case) for case in GENERATE)],
    ids=lambda each: str(each)[:60],
)
def test_to_the_byte(endpoint: str, rules: Rules, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS[endpoint], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


@pytest.mark.parametrize(
    ("endpoint", "rules", "body", "field"),
    [
        (
            "ollama chat",
            put("append", "user"),
            b'{"messages":[{"role":"user","content":["u"]}]}',
            "messages[0].content",
        ),
        ("ollama generate", put("append", "user"), b'{"prompt":["u"]}', "prompt"),
        ("ollama generate", put("append"), b'{"prompt":"u","system":1}', "system"),
        ("ollama chat", Rules(temperature_ratio=0.5), b'{"options":[]}', "options"),
        ("ollama chat", Rules(temperature_ratio=0.5), b'{"Options":{}}', "Options"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(endpoint: str, rules: Rules, body: bytes, field: str):
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ENDPOINTS[endpoint], rules, "m")
    assert refused.value.field == field
