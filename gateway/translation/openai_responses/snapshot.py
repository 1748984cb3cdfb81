"""The response object: https://platform.openai.com/docs/api-reference/responses/object

It has every member that strict clients look for (the schemas of https://www.openresponses.org among them), and says
again what was asked for.
"""

from typing import Any

from gateway.protocols.codec import Usage
from gateway.translation.openai_responses import tools
from gateway.translation.openai_responses.build import effort_said, write_format
from gateway.translation.prompt import Prompt
from gateway.translation.speech import Asking


def response_id(asking: Asking) -> str:
    return "resp_" + _own(asking)


def item_id(asking: Asking, prefix: str, index: int) -> str:
    """Of the item at this place of the output."""
    return f"{prefix}_{_own(asking)}_{index}"


def _own(asking: Asking) -> str:
    return asking.request_id.removeprefix("req_")


def begun(asking: Asking) -> dict[str, Any]:
    """A response of which nothing has been said yet."""
    prompt = asking.prompt
    return {
        "id": response_id(asking),
        "object": "response",
        "created_at": asking.created,
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "\n\n".join(text.text for text in prompt.system) if prompt.system else None,
        "max_output_tokens": prompt.max_tokens,
        "max_tool_calls": None,
        "model": asking.model,
        "output": [],
        "parallel_tool_calls": prompt.choice.parallel is not False,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": effort_said(prompt.reasoning), "summary": "auto" if prompt.reasoning.shown else None},
        "safety_identifier": prompt.user,
        "service_tier": prompt.service_tier or "default",
        "store": False,
        "text": _text(prompt),
        "tool_choice": tools.write_choice(prompt.choice, prompt.tools) or "auto",
        "tools": tools.write(prompt.tools, strict=True),
        "truncation": "disabled",
        "usage": None,
        "user": prompt.user,
        "metadata": {} if prompt.metadata is None else prompt.metadata,
        **_sampling(prompt),
    }


def _text(prompt: Prompt) -> dict[str, Any]:
    form = {"type": "text"} if prompt.format is None else write_format(prompt.format)
    if prompt.format is not None and prompt.format.kind == "schema":
        form = {"description": None, "strict": False, **form}
    return {"format": form, "verbosity": "medium"}


def _sampling(prompt: Prompt) -> dict[str, Any]:
    said = (
        ("temperature", prompt.temperature, 1.0),
        ("top_p", prompt.top_p, 1.0),
        ("presence_penalty", prompt.presence_penalty, 0.0),
        ("frequency_penalty", prompt.frequency_penalty, 0.0),
        ("top_logprobs", prompt.logprobs, 0),
    )
    return {name: default if value is None else value for name, value, default in said}


def figures(usage: Usage | None) -> dict[str, Any]:
    """Always whole: Codex asks again and again without the details."""
    usage = usage or Usage()
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    asked = usage.input_tokens + usage.cache_read_tokens + written
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": written},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": asked + usage.output_tokens,
    }
