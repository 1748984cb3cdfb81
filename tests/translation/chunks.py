"""Streams of chat upstreams, chunk by chunk."""

import json
from typing import Any


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}


def function(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    about = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    begun = {} if name is None else {"id": f"c{index}", "type": "function"}
    return {"index": index, **begun, "function": about}


FIRST = chunk(role="assistant", content="")
USED = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
