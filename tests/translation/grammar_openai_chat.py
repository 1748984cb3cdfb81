"""The grammar of a chat completion in chunks: platform.openai.com/docs/api-reference/chat-streaming.

One chunk an event, `data:` alone; the same id, created and model in all; first the role; then deltas, in which the
calls count from 0 in the order of their first delta, which alone has id, type and name; then one finish reason; then,
if it was asked for and is known, the usage with no choices (and null in every chunk before); then `[DONE]`. An error
ends it without.
"""

import json
from typing import Any

FRAME = {"id", "object", "created", "model", "system_fingerprint", "choices"}
FINISH = {"stop", "length", "tool_calls", "content_filter"}
FIGURES = {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}


def check(data: bytes) -> list[str]:
    """All violations in a stream; none in one that is as documented."""
    checker = _Checker()
    if data and not data.endswith(b"\n\n"):
        checker.faults.append("the last event has no blank line")
    for block in data.split(b"\n\n"):
        if block and not block.startswith(b":"):
            checker.event(block)
    checker.end()
    return checker.faults


def check_one(data: bytes) -> list[str]:
    """Of an answer in one piece: platform.openai.com/docs/api-reference/chat/object."""
    answer = json.loads(data)
    checker = _Checker()
    if set(answer) - {"usage"} != FRAME or answer["object"] != "chat.completion" or len(answer["choices"]) != 1:
        return [f"members of a completion: {answer}"]
    choice = answer["choices"][0]
    if set(choice) != {"index", "message", "logprobs", "finish_reason"} or choice["index"] != 0:
        return [f"members of a choice: {choice}"]
    checker.message(choice["message"], choice["finish_reason"])
    if "usage" in answer:
        checker.figures(answer["usage"])
    return checker.faults


def error_faults(body: dict[str, Any]) -> list[str]:
    """Of the body of an error: platform.openai.com/docs/guides/error-codes."""
    error = body.get("error")
    if set(body) != {"error"} or not isinstance(error, dict) or set(error) != {"message", "type", "param", "code"}:
        return [f"an error with other members: {body}"]
    return [] if error["message"] and error["type"] else [f"an error without words: {error}"]


class _Checker:
    def __init__(self) -> None:
        self.faults: list[str] = []
        self._identity: dict[str, Any] | None = None
        self._state = "start"
        """start → role → finished → counted → done, or failed"""
        self._calls: dict[int, str] = {}
        self._counts: bool | None = None

    def event(self, block: bytes) -> None:
        if not block.startswith(b"data: ") or b"\n" in block:
            return self._say(f"not one line of data: {block!r}")
        if self._state in ("done", "failed"):
            return self._say(f"{block!r} after {self._state}")
        if block == b"data: [DONE]":
            if self._state not in ("finished", "counted"):
                self._say(f"[DONE] after {self._state}")
            self._state = "done"
            return None
        try:
            chunk = json.loads(block[6:])
        except ValueError:
            return self._say(f"no JSON: {block!r}")
        if "error" in chunk:
            self._state = "failed"
            if set(chunk) != {"error"} or set(chunk["error"]) != {"message", "type", "param", "code"}:
                self._say(f"an error with other members: {chunk}")
            return None
        return self._chunk(chunk)

    def end(self) -> None:
        if self._state not in ("done", "failed"):
            self._say(f"it ends after {self._state}")

    def _say(self, fault: str) -> None:
        self.faults.append(fault)

    def _chunk(self, chunk: dict[str, Any]) -> None:
        if set(chunk) - {"usage"} != FRAME or chunk["object"] != "chat.completion.chunk":
            self._say(f"members of a chunk: {sorted(chunk)}")
        identity = {name: chunk.get(name) for name in FRAME - {"choices"}}
        if self._identity is None:
            self._identity = identity
            self._counts = "usage" in chunk
            types = (str, str, int, str, str)
            if not all(
                isinstance(identity[name], kind)
                for name, kind in zip(("id", "object", "created", "model", "system_fingerprint"), types, strict=True)
            ):
                self._say(f"identity {identity}")
            if not str(identity["id"]).startswith("chatcmpl-"):
                self._say(f"id {identity['id']}")
        if identity != self._identity:
            self._say(f"the identity changes: {identity}")
        if self._counts != ("usage" in chunk):
            self._say("usage is a member of all chunks or of none")
        if not chunk.get("choices"):
            return self._usage(chunk)
        if chunk.get("usage") is not None:
            self._say("figures beside a choice")
        if len(chunk["choices"]) != 1:
            self._say("more than one choice")
        return self._choice(chunk["choices"][0])

    def _usage(self, chunk: dict[str, Any]) -> None:
        figures = chunk.get("usage")
        if self._state != "finished" or not isinstance(figures, dict):
            return self._say(f"no choices after {self._state}: {chunk}")
        self._state = "counted"
        return self.figures(figures)

    def figures(self, figures: dict[str, Any]) -> None:
        if set(figures) != FIGURES:
            self._say(f"members of the usage: {sorted(figures)}")
        numbers = [figures[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
        details = [*figures["prompt_tokens_details"].values(), *figures["completion_tokens_details"].values()]
        if any(type(number) is not int or number < 0 for number in (*numbers, *details)):
            self._say(f"figures {figures}")
        if numbers[0] + numbers[1] != numbers[2]:
            self._say(f"the total is no sum: {figures}")

    def message(self, message: dict[str, Any], finish: str) -> None:
        calls, content = message.get("tool_calls"), message["content"]
        if set(message) - {"tool_calls", "reasoning_content"} != {"role", "content", "refusal", "annotations"}:
            self._say(f"members of a message: {sorted(message)}")
        if message["role"] != "assistant" or not (isinstance(content, str) or (content is None and calls)):
            self._say(f"a message says nothing: {message}")
        if not isinstance(message.get("reasoning_content", "-"), str) or message.get("reasoning_content") == "":
            self._say("reasoning is a text")
        if finish not in FINISH or (finish == "tool_calls" and not calls) or calls == []:
            self._say(f"finish {finish} with calls {calls}")
        for call in calls or ():
            kind = call.get("type")
            member = "arguments" if kind == "function" else "input"
            if kind not in ("function", "custom") or set(call) != {"id", "type", kind} or not call["id"]:
                self._say(f"members of a call: {call}")
            elif set(call[kind]) != {"name", member} or not isinstance(call[kind][member], str):
                self._say(f"what is called: {call}")

    def _choice(self, choice: dict[str, Any]) -> None:
        if set(choice) != {"index", "delta", "logprobs", "finish_reason"} or choice["index"] != 0:
            return self._say(f"members of a choice: {choice}")
        delta, finish = choice["delta"], choice["finish_reason"]
        if self._state not in ("start", "role"):
            self._say(f"a choice after {self._state}: {choice}")
        if self._state == "start":
            self._state = "role"
            if delta != {"role": "assistant", "content": "", "refusal": None} or finish is not None:
                self._say(f"the first chunk says {choice}")
            return None
        if finish is not None:
            self._state = "finished"
            if finish not in FINISH or delta != {}:
                self._say(f"finish {choice}")
            if (finish == "tool_calls") and not self._calls:
                self._say("tool_calls without a call")
            return None
        return self._delta(delta, choice["logprobs"])

    def _delta(self, delta: dict[str, Any], logprobs: Any) -> None:
        if logprobs is not None:
            if set(logprobs) != {"content", "refusal"} or delta:
                self._say(f"logprobs {logprobs} beside {delta}")
            return None
        if len(delta) != 1:
            return self._say(f"delta {delta}")
        ((name, value),) = delta.items()
        if name in ("content", "reasoning_content"):
            if not isinstance(value, str) or not value:
                self._say(f"delta {delta}")
            return None
        if name != "tool_calls" or len(value) != 1:
            return self._say(f"delta {delta}")
        return self._call(value[0])

    def _call(self, call: dict[str, Any]) -> None:
        index = call.get("index")
        if type(index) is not int:
            return self._say(f"a call without index: {call}")
        if index in self._calls:
            kind = self._calls[index]
            member = "arguments" if kind == "function" else "input"
            if set(call) != {"index", kind} or set(call[kind]) != {member} or not isinstance(call[kind][member], str):
                self._say(f"more of a call: {call}")
            return None
        if index != len(self._calls):
            self._say(f"call {index} after {len(self._calls)} calls")
        kind = call.get("type")
        self._calls[index] = kind if kind in ("function", "custom") else "function"
        about = call.get(self._calls[index])
        member = "arguments" if kind == "function" else "input"
        if set(call) != {"index", "id", "type", self._calls[index]} or not isinstance(about, dict):
            return self._say(f"the first delta of a call: {call}")
        if not call["id"] or set(about) != {"name", member} or not isinstance(about["name"], str):
            self._say(f"the first delta of a call: {call}")
        return None
