"""What a client asked, for the writers; and what Google's SDK reads of an answer, on a real socket."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google import genai
from google.genai import types

from gateway.translation.prompt import Prompt, Reasoning
from gateway.translation.speech import Asking

ASKING = Asking("gemini-test", "req_1", 1_700_000_000, Prompt("gemini-test", (), reasoning=Reasoning(shown=True)))


class Served:
    """An upstream that answers everything with one body."""

    def __init__(self, port: int) -> None:
        self.body = b""
        self.status = 200
        self.content_type = "application/json"
        self.client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{port}"))

    def whole(self, body: bytes) -> types.GenerateContentResponse:
        self.body, self.content_type = body, "application/json"
        return self.client.models.generate_content(model="m", contents="hi")

    def stream(self, body: bytes) -> list[types.GenerateContentResponse]:
        self.body, self.content_type = body, "text/event-stream"
        return list(self.client.models.generate_content_stream(model="m", contents="hi"))


@contextmanager
def served() -> Iterator[Served]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(found.status)
            self.send_header("content-type", found.content_type)
            self.send_header("content-length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found = Served(server.server_port)
        try:
            yield found
        finally:
            found.client.close()
            server.shutdown()
            thread.join()


def read(answers: list[types.GenerateContentResponse]) -> dict[str, Any]:
    """What a program finds in them: texts, thoughts, calls, the end, the figures."""
    seen: dict[str, Any] = {"text": "", "thought": "", "calls": [], "signatures": [], "finish": None, "usage": None}
    for answer in answers:
        for candidate in answer.candidates or []:
            for part in (candidate.content.parts if candidate.content else None) or []:
                if part.function_call is not None and part.function_call.name:
                    seen["calls"].append((part.function_call.name, part.function_call.args or {}))
                    seen["signatures"].append(part.thought_signature)
                elif part.text and part.thought:
                    seen["thought"] += part.text
                elif part.text:
                    seen["text"] += part.text
            if candidate.finish_reason is not None:
                seen["finish"] = candidate.finish_reason.value
        if answer.usage_metadata is not None and answer.usage_metadata.total_token_count:
            seen["usage"] = figures(answer.usage_metadata)
    return seen


def figures(found: types.GenerateContentResponseUsageMetadata) -> dict[str, int]:
    """Google's own tools' part of the prompt is the prompt's, as it is billed."""
    return {
        "prompt": (found.prompt_token_count or 0) + (found.tool_use_prompt_token_count or 0),
        "cached": found.cached_content_token_count or 0,
        "candidates": found.candidates_token_count or 0,
        "thoughts": found.thoughts_token_count or 0,
    }
