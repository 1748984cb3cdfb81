"""The response object."""

import json

import pytest

from gateway.protocols.codec import Usage
from gateway.translation.openai_responses import snapshot
from gateway.translation.prompt import Choice, Format, Reasoning, Text, Tool
from tests.translation.grammar_openai_responses import RESPONSE
from tests.translation.openai_responses.asked import asking

SCHEMA = {"type": "object", "properties": {}}
NOT_ASKED = {
    "id": "resp_0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    "object": "response",
    "created_at": 1_790_000_000,
    "completed_at": None,
    "status": "in_progress",
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "model": "gpt-5",
    "output": [],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
    "usage": None,
    "user": None,
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
}


def test_what_was_not_asked_for_is_said_with_its_default():
    assert snapshot.begun(asking()) == NOT_ASKED
    assert set(RESPONSE) <= set(NOT_ASKED)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"system": (Text("a"), Text("b"))}, {"instructions": "a\n\nb"}),
        ({"max_tokens": 0}, {"max_output_tokens": 0}),
        ({"temperature": 0, "top_p": 0}, {"temperature": 0, "top_p": 0}),
        ({"presence_penalty": 1, "frequency_penalty": 2}, {"presence_penalty": 1, "frequency_penalty": 2}),
        ({"logprobs": 3}, {"top_logprobs": 3}),
        ({"choice": Choice("required", parallel=False)}, {"tool_choice": "required", "parallel_tool_calls": False}),
        ({"reasoning": Reasoning(True, "low", shown=True)}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        ({"reasoning": Reasoning(False)}, {"reasoning": {"effort": "none", "summary": None}}),
        ({"user": "u"}, {"user": "u", "safety_identifier": "u"}),
        ({"metadata": {"a": "b"}, "service_tier": "flex"}, {"metadata": {"a": "b"}, "service_tier": "flex"}),
        ({"format": Format("json")}, {"text": {"format": {"type": "json_object"}, "verbosity": "medium"}}),
        (
            {"format": Format("schema", SCHEMA, "n")},
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "schema": SCHEMA,
                        "description": None,
                        "strict": False,
                    },
                    "verbosity": "medium",
                }
            },
        ),
        (
            {"tools": (Tool("ns_-_f", "d", SCHEMA),), "choice": Choice("one", "ns_-_f")},
            {
                "tools": [
                    {
                        "type": "namespace",
                        "name": "ns",
                        "description": "",
                        "tools": [
                            {
                                "type": "function",
                                "name": "f",
                                "description": "d",
                                "parameters": SCHEMA,
                                "strict": True,
                            }
                        ],
                    }
                ],
                "tool_choice": {"type": "function", "name": "f", "namespace": "ns"},
            },
        ),
    ],
)
def test_what_was_asked_for_is_said_again(members, said):
    assert snapshot.begun(asking(**members)) == {**NOT_ASKED, **said}


@pytest.mark.parametrize(
    ("usage", "figures"),
    [
        (None, (0, 0, 0, 0, 0, 0)),
        (Usage(5, 4, 1, 2, 7, 3), (12, 4, 3, 7, 3, 19)),
        (Usage(output_tokens=2), (0, 0, 0, 2, 0, 2)),
    ],
)
def test_figures_are_always_whole(usage, figures):
    said = json.loads(json.dumps(snapshot.figures(usage)))
    asked, spent = said.pop("input_tokens_details"), said.pop("output_tokens_details")
    assert (said["input_tokens"], asked["cached_tokens"], asked["cache_write_tokens"]) == figures[:3]
    assert (said["output_tokens"], spent["reasoning_tokens"], said["total_tokens"]) == figures[3:]
