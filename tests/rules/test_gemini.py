"""The rules in Gemini's requests, to the byte."""
# ruff: noqa: E501 - tables

import pytest

from gateway.core.groups import Rules
from gateway.protocols.codec import InvalidBody
from gateway.rules import ruled
from gateway.rules.gemini import spelled
from tests.rules.bodies import ENDPOINTS
from tests.rules.cases import Case, change, less, put

TOOLS: list[Case] = [
    (less("a"), b'{"tools":[{"functionDeclarations":[{"name":"a"}, {"name":"b"}]}]}', b'{"tools":[{"functionDeclarations":[{"name":"b"}]}]}'),
    (less("a"), b'{"tools":[{"function_declarations":[{"name":"b"}, {"name":"a"}]}]}', b'{"tools":[{"function_declarations":[{"name":"b"}]}]}'),
    (less("a"), b'{"tools":[{"functionDeclarations":[{"name":"a"}]},{"googleSearch":{}}]}', b'{"tools":[{"googleSearch":{}}]}'),
    (less("a"), b'{"tools":[{"functionDeclarations":[{"name":"a"}],"googleSearch":{}}]}', b'{"tools":[{"googleSearch":{}}]}'),
    (less("a"), b'{"tools":[{"functionDeclarations":[{"name":"a"}]}],"toolConfig":{"retrievalConfig":{}},"x":1}', b'{"x":1}'),
    (less("a"), b'{"tools":{"function_declarations":{"name":"a"}},"tool_config":{},"x":1}', b'{"x":1}'),
    (less("a"), b'{"tools":{"function_declarations":[{"name":"a"},{"name":"b"}]}}', b'{"tools":{"function_declarations":[{"name":"b"}]}}'),
    # Google's own, in either spelling
    (less("google_search"), b'{"tools":[{"googleSearch":{}},{"codeExecution":{}}]}', b'{"tools":[{"codeExecution":{}}]}'),
    (less("codeExecution"), b'{"tools":[{"googleSearch":{}, "code_execution":{}}]}', b'{"tools":[{"googleSearch":{}}]}'),
    (less("function*"), b'{"tools":[{"functionDeclarations":[{"name":"b"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}', None),
    # the functions that may be called
    (
        less("a"),
        b'{"tools":[{"functionDeclarations":[{"name":"b"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["a", "b"]}}}',
        b'{"tools":[{"functionDeclarations":[{"name":"b"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["b"]}}}',
    ),
    (
        less("a"),
        b'{"tools":[{"functionDeclarations":[{"name":"b"}]}],"tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["a"]},"x":1}}',
        b'{"tools":[{"functionDeclarations":[{"name":"b"}]}],"tool_config":{"x":1}}',
    ),
    (
        less("a"),
        b'{"toolConfig":{"functionCallingConfig":{"allowedFunctionNames":["a"]}},"tools":[{"functionDeclarations":[{"name":"b"}]}]}',
        b'{"tools":[{"functionDeclarations":[{"name":"b"}]}]}',
    ),
    (less("a"), b'{"tools":[{}]}', None),
]  # fmt: skip

SYSTEM: list[Case] = [
    (put("append"), b'{"contents":[]}', b'{"systemInstruction":{"parts":[{"text":"T"}]},"contents":[]}'),
    (put("append"), b'{"system_instruction":{"parts":[{"text":"s"}]}}', b'{"system_instruction":{"parts":[{"text":"s"},{"text":"T"}]}}'),
    (put("prepend"), b'{"systemInstruction":{"parts":[{"text":"s"}]}}', b'{"systemInstruction":{"parts":[{"text":"T"},{"text":"s"}]}}'),
    (put("replace"), b'{"systemInstruction":{"parts":[{"text":"s"},{"text":"t"}]}}', b'{"systemInstruction":{"parts":[{"text":"T"}]}}'),
    (put("append"), b'{"systemInstruction":{"parts":{"text":"s"}}}', b'{"systemInstruction":{"parts":{"text":"s\\n\\nT"}}}'),
    (put("append"), b'{"systemInstruction":{"role":"x"}}', b'{"systemInstruction":{"parts":[{"text":"T"}],"role":"x"}}'),
    (put("append"), b'{"systemInstruction":null}', b'{"systemInstruction":{"parts":[{"text":"T"}]}}'),
    (change(a="b"), b'{"systemInstruction":{"parts":{"text":"a"}},"contents":[{"role":"system","parts":[{"text":"a"}]},{"parts":[{"text":"a"}]}]}', b'{"systemInstruction":{"parts":{"text":"b"}},"contents":[{"role":"system","parts":[{"text":"b"}]},{"parts":[{"text":"a"}]}]}'),
    (change(a="b"), b'{"systemInstruction":{"parts":{"text":"c"}}}', None),
]  # fmt: skip

ANSWER = b'{"functionResponse":{"name":"f","response":{}}}'
USER: list[Case] = [
    (put("append", "user"), b'{"contents":[{"parts":[{"text":"u"}]}]}', b'{"contents":[{"parts":[{"text":"u"},{"text":"T"}]}]}'),
    (put("prepend", "user"), b'{"contents":[{"role":"user","parts":[{"inlineData":{}},{"text":"u"}]},{"role":"model","parts":[]}]}', b'{"contents":[{"role":"user","parts":[{"inlineData":{}},{"text":"T"},{"text":"u"}]},{"role":"model","parts":[]}]}'),
    (put("append", "user"), b'{"contents":{"parts":{"text":"u"}}}', b'{"contents":{"parts":{"text":"u\\n\\nT"}}}'),
    (put("append", "user"), b'{"contents":{"parts":{"inlineData":{}}}}', b'{"contents":{"parts":[{"inlineData":{}},{"text":"T"}]}}'),
    (put("replace", "user"), b'{"contents":[{"parts":[{"text":"u"},{"inlineData":{}}]}]}', b'{"contents":[{"parts":[{"text":"T"},{"inlineData":{}}]}]}'),
    (put("append", "user"), b'{"contents":[{"parts":[{"text":"u"}]},{"role":"user","parts":[%s]}]}' % ANSWER, b'{"contents":[{"parts":[{"text":"u"},{"text":"T"}]},{"role":"user","parts":[%s]}]}' % ANSWER),
    (put("append", "user"), b'{"contents":[{"parts":[{"text":"u"}]},{"role":"user","parts":%s}]}' % ANSWER, b'{"contents":[{"parts":[{"text":"u"},{"text":"T"}]},{"role":"user","parts":%s}]}' % ANSWER),
]  # fmt: skip

PARAMS: list[Case] = [
    (Rules(temperature_ratio=0.5), b'{"generationConfig":{"temperature":1}}', b'{"generationConfig":{"temperature":0.5}}'),
    (Rules(temperature_ratio=0.5), b'{"generation_config":{"temperature":1}}', b'{"generation_config":{"temperature":0.5}}'),
    (Rules(temperature_ratio=0.5), b'{"temperature":1}', None),
    (Rules(params_default={"generationConfig": {"topK": 1, "maxOutputTokens": 2}}), b'{"generation_config":{"max_output_tokens":0}}', b'{"generation_config":{"topK":1,"max_output_tokens":0}}'),
    (Rules(params_override={"generation_config": {"max_output_tokens": 2}}), b'{"generationConfig":{"maxOutputTokens": 9}}', b'{"generationConfig":{"maxOutputTokens": 2}}'),
    (Rules(params_default={"generation_config": {"topK": 1}}, params_override={"generationConfig": {"top_k": 2}}), b"{}", b'{"generation_config":{"topK":2}}'),
    (Rules(params_override={"generationConfig": {"topK": 1}}), b'{"generationConfig":null}', b'{"generationConfig":{"topK":1}}'),
    (Rules(params_default={"generationConfig": {"topK": 1}}), b'{"generationConfig":null}', None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "body", "wanted"), [*TOOLS, *SYSTEM, *USER, *PARAMS], ids=lambda each: str(each)[:60]
)
def test_to_the_byte(rules: Rules, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS["gemini"], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


COUNTS: list[Case] = [
    # bare contents take no system text
    (put("append"), b'{"contents":[]}', None),
    (put("append"), b'{"systemInstruction":{"parts":[]},"contents":[]}', b'{"systemInstruction":{"parts":[{"text":"T"}]},"contents":[]}'),
    (put("append", "user"), b'{"contents":[{"parts":[{"text":"u"}]}]}', b'{"contents":[{"parts":[{"text":"u"},{"text":"T"}]}]}'),
    (Rules(params_override={"generationConfig": {"topK": 1}}, temperature_ratio=0.5), b'{"generationConfig":{"temperature":1}}', None),
    # a whole request does
    (put("append"), b'{ "generateContentRequest" : { "contents":[]} }', b'{ "generateContentRequest" : {"systemInstruction":{"parts":[{"text":"T"}]}, "contents":[]} }'),
    (Rules(params_override={"labels": {}}), b'{"generate_content_request":{"contents":[]}}', b'{"generate_content_request":{"labels":{},"contents":[]}}'),
    (less("a"), b'{"generateContentRequest":{"tools":[]}}', None),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "body", "wanted"), COUNTS, ids=lambda each: str(each)[:60])
def test_counts_to_the_byte(rules: Rules, body: bytes, wanted: bytes | None):
    result = ruled(body, ENDPOINTS["gemini count"], rules, "m")
    if wanted is None:
        assert result is body
    else:
        assert result == wanted


@pytest.mark.parametrize(
    ("endpoint", "rules", "body", "field"),
    [
        ("gemini", put("append"), b'{"systemInstruction":"s"}', "systemInstruction"),
        ("gemini", put("append"), b'{"systemInstruction":{},"system_instruction":{}}', "system_instruction"),
        ("gemini", put("append"), b'{"systemInstruction":{"parts":"s"}}', "systemInstruction.parts"),
        ("gemini", put("append", "user"), b'{"contents":"u"}', "contents"),
        ("gemini", less("a"), b'{"tools":[{"functionDeclarations":"x"}]}', "functionDeclarations"),
        ("gemini", Rules(temperature_ratio=0.5), b'{"generationConfig":1}', "generationConfig"),
        (
            "gemini",
            Rules(temperature_ratio=0.5),
            b'{"generationConfig":{},"generation_config":{}}',
            "generation_config",
        ),
        ("gemini count", less("a"), b'{"generateContentRequest":1}', "generateContentRequest"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(endpoint: str, rules: Rules, body: bytes, field: str):
    with pytest.raises(InvalidBody) as refused:
        ruled(body, ENDPOINTS[endpoint], rules, "m")
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_both_spellings_are_one(name: str):
    assert spelled(name) == ("generationConfig", "generation_config")
    assert spelled("model") == ("model",)
