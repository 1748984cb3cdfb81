"""The items of `input` → turns: https://platform.openai.com/docs/api-reference/responses/create, `input`.

A model's reasoning, words and calls that follow each other are one turn; so are the results of its calls, with the
user's message that follows them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.protocols.codec import InvalidBody
from gateway.protocols.reading import mapping, sequence
from gateway.translation.openai_responses import content, fields
from gateway.translation.openai_responses.marks import Piece, decrypted, flat
from gateway.translation.openai_responses.tools import Offer
from gateway.translation.prompt import Call, Document, Image, Part, Result, Role, Sealed, Text, Thinking, Turn

_SPOKEN = frozenset({"web_search_call", "file_search_call", "mcp_list_tools", "tool_search_call"})
"""What they found stands in the text after them, or in `tools`."""


class Conversation:
    """Gathers the items. `offer` takes the tools that come with some of them."""

    def __init__(self, offer: Offer) -> None:
        self.system: list[Text] = []
        self._turns: list[tuple[Role, list[Part]]] = []
        self._names: dict[str, str] = {}
        self._seals: dict[str, Sealed] = {}
        self._offer = offer

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(Turn(role, tuple(parts)) for role, parts in self._turns)

    def read(self, value: Any) -> None:
        """The whole `input`: a text, or an array of items. Raises InvalidBody."""
        if isinstance(value, str):
            self._turns.append(("user", [Text(value)]))
            return
        if value is None:
            raise InvalidBody("input must be a string or an array", "input")
        items = [
            (f"input[{at}]", fields.record(item, f"input[{at}]"))
            for at, item in enumerate(fields.array(value, "input"))
        ]
        for path, item in items:
            if (
                item.get("type") == "reasoning"
                and (piece := _sealed(item, path)) is not None
                and piece.call is not None
            ):
                self._seals[piece.call] = piece.sealed
        for path, item in items:
            self._item(item, path)

    def _item(self, item: dict[str, Any], path: str) -> None:
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if not isinstance(kind, str):
            raise InvalidBody(f"{path}.type must be a string", f"{path}.type")
        if (reader := _ITEMS.get(kind)) is not None:
            reader(self, item, path)
        elif kind not in _SPOKEN:
            raise InvalidBody(f"{path}.type: {kind} cannot be translated for this model", f"{path}.type")

    def _add(self, role: Role, parts: list[Part]) -> None:
        last_role, last = self._turns[-1] if self._turns else ("", [])
        together = role == "assistant" or (role == "user" and all(isinstance(part, Result) for part in last))
        if last_role == role and together:
            last += parts
        else:
            self._turns.append((role, parts))

    def message(self, item: dict[str, Any], path: str) -> None:
        parts = content.read(item.get("content"), f"{path}.content")
        match item.get("role"):
            case "user":
                self._add("user", [*parts])
            case "assistant":
                self._add("assistant", [*parts])
            case "system" | "developer":
                self._instruct(parts, path)
            case _:
                allowed = "user, assistant, system, developer"
                raise InvalidBody(f"{path}.role must be one of {allowed}", f"{path}.role")

    def _instruct(self, parts: list[content.Said], path: str) -> None:
        texts = [part for part in parts if isinstance(part, Text)]
        if len(texts) < len(parts):
            raise InvalidBody(f"{path}.content of instructions must be text", f"{path}.content")
        if self._turns:
            self._turns.append(("system", [*texts]))
        else:
            self.system += texts

    def reasoning(self, item: dict[str, Any], path: str) -> None:
        piece = _sealed(item, path)
        if piece is not None and piece.call is not None:
            return
        text = thought(item)
        if text or piece is not None:
            sealed, redacted = (piece.sealed, piece.redacted) if piece else (None, False)
            self._add("assistant", [Thinking(text, sealed, redacted)])

    def function_call(self, item: dict[str, Any], path: str) -> None:
        arguments = fields.maybe_text(item.get("arguments"), f"{path}.arguments")
        self._call(item, path, arguments or "{}", custom=False)

    def custom_tool_call(self, item: dict[str, Any], path: str) -> None:
        self._call(item, path, fields.text(item.get("input"), f"{path}.input"), custom=True)

    def _call(self, item: dict[str, Any], path: str, arguments: str, *, custom: bool) -> None:
        call_id = fields.name(item.get("call_id"), f"{path}.call_id")
        namespace = fields.maybe_text(item.get("namespace"), f"{path}.namespace")
        name = flat(namespace or None, fields.name(item.get("name"), f"{path}.name"))
        self._names[call_id] = name
        self._add("assistant", [Call(call_id, name, arguments, custom, self._seals.get(call_id))])

    def function_call_output(self, item: dict[str, Any], path: str) -> None:
        self._result(item, path, custom=False)

    def custom_tool_call_output(self, item: dict[str, Any], path: str) -> None:
        self._result(item, path, custom=True)

    def _result(self, item: dict[str, Any], path: str, *, custom: bool) -> None:
        call_id = fields.name(item.get("call_id"), f"{path}.call_id")
        output = item.get("output")
        if not isinstance(output, str | list):
            raise InvalidBody(f"{path}.output must be a string or an array", f"{path}.output")
        parts = content.read(output, f"{path}.output") if output else []
        kept = tuple(part for part in parts if isinstance(part, Text | Image | Document))
        if len(kept) < len(parts):
            raise InvalidBody(f"{path}.output must hold text, images or files", f"{path}.output")
        self._add("user", [Result(call_id, kept, self._names.get(call_id), custom=custom)])

    def tools(self, item: dict[str, Any], path: str) -> None:
        """Tools that were loaded in the middle of the conversation are the model's from then on."""
        self._offer.read(item.get("tools"), f"{path}.tools")


def thought(item: Mapping[str, Any]) -> str:
    """The text of an item of reasoning: what was thought, where that is given, else its summary."""
    said = _texts(item.get("content")) or _texts(item.get("summary"))
    return "\n\n".join(said)


def _texts(parts: Any) -> list[str]:
    texts = [mapping(part).get("text") for part in sequence(parts)]
    return [text for text in texts if isinstance(text, str) and text]


def _sealed(item: dict[str, Any], path: str) -> Piece | None:
    sealed = fields.maybe_text(item.get("encrypted_content"), f"{path}.encrypted_content")
    return decrypted(sealed, fields.maybe_text(item.get("id"), f"{path}.id")) if sealed else None


_ITEMS: Mapping[str, Callable[[Conversation, dict[str, Any], str], None]] = {
    "message": Conversation.message,
    "reasoning": Conversation.reasoning,
    "function_call": Conversation.function_call,
    "function_call_output": Conversation.function_call_output,
    "custom_tool_call": Conversation.custom_tool_call,
    "custom_tool_call_output": Conversation.custom_tool_call_output,
    "additional_tools": Conversation.tools,
    "tool_search_output": Conversation.tools,
}
