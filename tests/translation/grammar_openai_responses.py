"""The form of Responses' streams: https://platform.openai.com/docs/api-reference/responses-streaming, with what Codex
asks beyond it (one item is open at a time; usage is never without its details)."""

import json
from typing import Any

RESPONSE = (
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id"),
    *("instructions", "output", "error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p"),
    *("presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage", "user"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata", "safety_identifier"),
    "prompt_cache_key",
)
"""Members that https://www.openresponses.org and the vendor's schema demand."""
ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
#: Of each kind of part: where it stands in the item, its index, the name of its events, the member with its text.
PARTS = {
    "message": ("content", "content_index", "response.content_part", "response.output_text", "text"),
    "reasoning": (
        *("summary", "summary_index", "response.reasoning_summary_part", "response.reasoning_summary_text"),
        "text",
    ),
}
CALLS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


def check(data: bytes) -> list[str]:
    """The violations of a stream, whole or broken off by an error."""
    found = _Check()
    if not data.endswith(b"\n\n"):
        found.say("the last event has no end")
    for block in data.split(b"\n\n")[:-1]:
        if not block.startswith(b":"):
            found.block(block)
    if not found.ended:
        found.say("there is no end")
    return found.faults


def check_one(data: bytes) -> list[str]:
    """The violations of an answer in one piece: https://platform.openai.com/docs/api-reference/responses/object"""
    found = _Check()
    response = json.loads(data)
    found.output = response.get("output", [])
    kinds = {"completed": "response.completed", "incomplete": "response.incomplete"}
    found.count = 2
    found.lifecycle(kinds.get(response.get("status"), "response.failed"), response)
    seen: set[str] = set()
    for item in found.output:
        found.expect(bool(item.get("id")) and item["id"] not in seen, "the id is not new")
        seen.add(item.get("id"))
        found.one(item)
    return found.faults


class _Check:
    def __init__(self) -> None:
        self.faults: list[str] = []
        self.ended = False
        self.count = 0
        self.id = ""
        self.output: list[dict[str, Any]] = []
        self.item: dict[str, Any] | None = None
        self.part = False
        self.parts = 0
        self.text: str | None = None
        self.finished: list[str] = []

    def say(self, fault: str) -> None:
        self.faults.append(f"event {self.count}: {fault}")

    def expect(self, true: bool, fault: str) -> None:
        if not true:
            self.say(fault)

    def block(self, block: bytes) -> None:
        lines = block.split(b"\n")
        if len(lines) != 2 or not lines[0].startswith(b"event: ") or not lines[1].startswith(b"data: "):
            self.say("is not an event line and a data line")
            return
        event = json.loads(lines[1][6:])
        kind = event.get("type")
        self.expect(lines[0][7:].decode() == kind, "has another name than type")
        self.expect(event.get("sequence_number") == self.count, "is out of sequence")
        self.expect(not self.ended, "follows the end")
        if self.count < 2 or kind in ENDS:
            self.lifecycle(kind, event.get("response") or {})
        elif kind == "response.output_item.added":
            self.added(event)
        elif kind == "response.output_item.done":
            self.done(event)
        elif self.item is None or event.get("output_index") != len(self.output):
            self.say(f"{kind} is of no open item")
        else:
            self.within(kind, event, self.item)
        self.count += 1

    def lifecycle(self, kind: str, response: dict[str, Any]) -> None:
        first = ("response.created", "response.in_progress")
        self.expect(self.count > 1 or kind == first[self.count], f"{kind} comes too early")
        missing = [name for name in RESPONSE if name not in response]
        self.expect(not missing, f"the response has no {missing}")
        self.id = self.id or response.get("id", "")
        self.expect(bool(self.id) and response.get("id") == self.id, "the response has another id")
        self.expect(response.get("status") == ENDS.get(kind, "in_progress"), "the status is not that of the event")
        if kind not in ENDS:
            self.expect(response.get("output") == [] and response.get("usage") is None, "something is known too early")
            return
        self.ended = True
        self.expect(response.get("output") == self.output, "the output is not what its items were")
        self.expect((response.get("error") is not None) == (kind == "response.failed"), "error and status differ")
        details = response.get("incomplete_details")
        self.expect((details is not None) == (kind == "response.incomplete"), "incomplete_details and status differ")
        self.expect((response["completed_at"] is not None) == (kind == "response.completed"), "completed_at is wrong")
        if kind != "response.failed":
            self.expect(self.item is None, "an item is still open")
            self.usage(response.get("usage") or {})

    def usage(self, usage: dict[str, Any]) -> None:
        numbers = [usage.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")]
        numbers += [usage.get("input_tokens_details", {}).get(name) for name in ("cached_tokens", "cache_write_tokens")]
        numbers.append(usage.get("output_tokens_details", {}).get("reasoning_tokens"))
        self.expect(all(type(number) is int for number in numbers), "usage is not whole")

    def added(self, event: dict[str, Any]) -> None:
        self.expect(self.item is None, "a second item is opened")
        self.expect(event.get("output_index") == len(self.output), "output_index does not count the items")
        self.item = item = event["item"]
        self.expect(
            bool(item.get("id")) and item["id"] not in {each["id"] for each in self.output}, "the id is not new"
        )
        kind = item.get("type")
        if kind in PARTS:
            self.expect(item.get(PARTS[kind][0]) == [], "an item begins with parts")
        elif kind in CALLS:
            self.expect(item.get(CALLS[kind][1]) == "", "a call begins with its text")
            self.expect(bool(item.get("call_id")) and "name" in item, "a call has no id or no name")
            self.text = ""
        else:
            self.say(f"there are no items of type {kind}")
        self.expect(item.get("status", "in_progress") == "in_progress", "an item begins with another status")
        self.parts, self.finished = 0, []

    def done(self, event: dict[str, Any]) -> None:
        item = event["item"]
        opened, self.item = self.item, None
        self.output.append(item)
        if opened is None or event.get("output_index") != len(self.output) - 1:
            self.say("an item is done that was not open")
            return
        same = ("id", "type", "role", "call_id", "name", "namespace")
        self.expect(all(opened.get(name) == item.get(name) for name in same), "an item is another when it is done")
        self.expect(not self.part and self.text is None, "an item is done before its part")
        self.expect(item.get("status", "completed") == "completed", "an item is done with another status")
        kind = item["type"]
        said = [part["text"] for part in item[PARTS[kind][0]]] if kind in PARTS else [item[CALLS[kind][1]]]
        self.expect(said == self.finished, "an item has other texts than its parts")

    def one(self, item: dict[str, Any]) -> None:
        kind = item.get("type")
        if kind in PARTS:
            parts = item.get(PARTS[kind][0])
            self.expect(isinstance(parts, list), "an item has no parts")
            self.expect(all(isinstance(part.get("text"), str) for part in parts or ()), "a part has no text")
            self.expect(kind != "message" or (bool(parts) and item.get("role") == "assistant"), "a message is empty")
        elif kind in CALLS:
            self.expect(isinstance(item.get(CALLS[kind][1]), str), "a call has no text")
            self.expect(bool(item.get("call_id")) and bool(item.get("name")), "a call has no id or no name")
        else:
            self.say(f"there are no items of type {kind}")
        self.expect(item.get("status", "completed") == "completed", "an item is done with another status")

    def within(self, kind: str, event: dict[str, Any], item: dict[str, Any]) -> None:
        self.expect(event.get("item_id") == item["id"], "item_id is of another item")
        if item["type"] in CALLS:
            self.saying(kind, event, *CALLS[item["type"]])
            return
        _, index, part, text, member = PARTS[item["type"]]
        self.expect(event.get(index) == self.parts, f"{index} does not count the parts")
        if kind == f"{part}.added":
            self.expect(not self.part and event["part"]["text"] == "", "a part is opened twice, or with text")
            self.part, self.text = True, ""
        elif kind == f"{part}.done":
            self.expect(self.part and self.text is None, "a part is done before its text")
            self.expect(self.finished[-1:] == [event["part"]["text"]], "a part has another text")
            self.part = False
            self.parts += 1
        else:
            self.saying(kind, event, text, member)

    def saying(self, kind: str, event: dict[str, Any], name: str, member: str) -> None:
        if self.text is None:
            self.say(f"{kind} without an open part")
        elif kind == f"{name}.delta":
            self.expect(bool(event["delta"]), "a delta is empty")
            self.text += event["delta"]
        elif kind == f"{name}.done":
            self.expect(event[member] == self.text, "the text is not that of its deltas")
            self.finished.append(event[member])
            self.text = None
        else:
            self.say(f"{kind} is unknown here")
        if name == "response.output_text":
            self.expect(isinstance(event.get("logprobs"), list), "logprobs is missing")
