"""Pieces of an answer that a stream and an answer in one piece share, with every member that the vendor's schema names:
https://docs.anthropic.com/en/api/messages (response)."""

import hashlib
import re
from typing import Any

from gateway.protocols.codec import Usage
from gateway.translation.events import Ended, Stop
from gateway.translation.speech import Asking

DIRECT = {"type": "direct"}
"""Who called a tool: the model itself."""
_STOPS: dict[Stop, str] = {
    "end": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_ID = re.compile(r"[A-Za-z0-9]{1,40}\Z")


def identify(asking: Asking) -> str:
    """Of the request's id, what may stand in ours: its letters and digits, or a digest."""
    found = asking.request_id.removeprefix("req_").replace("-", "")
    if _ID.match(found):
        return found
    return hashlib.blake2b(asking.request_id.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def message(asking: Asking) -> dict[str, Any]:
    """One that has said nothing yet."""
    return {
        "id": f"msg_{identify(asking)}",
        "type": "message",
        "role": "assistant",
        "model": asking.model,
        "content": [],
        "container": None,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def ending(ended: Ended) -> dict[str, Any]:
    refused = ended.stop == "refusal"
    return {
        "stop_reason": _STOPS[ended.stop],
        "stop_sequence": ended.sequence,
        "stop_details": {"type": "refusal", "category": None, "explanation": None} if refused else None,
        "container": None,
    }


def usage_of(usage: Usage) -> dict[str, Any]:
    """All figures. Anthropic's input leaves caches out, as ours does."""
    return delta_usage(usage) | {"inference_geo": None, "service_tier": "standard"}


def delta_usage(usage: Usage) -> dict[str, Any]:
    """Those of a stream's end. The vendor tells the two kinds of cache writes at its beginning alone, where another
    upstream does not know them yet."""
    calls = usage.server_tool_calls
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "server_tool_use": {"web_search_requests": calls, "web_fetch_requests": 0} if calls else None,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
    }
