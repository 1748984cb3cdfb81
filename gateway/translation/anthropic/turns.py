"""The history as Anthropic takes it: https://docs.anthropic.com/en/api/messages (messages).

Roles alternate, the user begins, each round of calls is followed by all of its results and nothing before them, no text
is empty. Instructions between messages move up into `system`, as Anthropic's own layer for OpenAI's SDK has it
(https://docs.anthropic.com/en/api/openai-sdk).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from gateway.translation.anthropic.media import document, image
from gateway.translation.anthropic.names import short
from gateway.translation.anthropic.thinking import is_kept
from gateway.translation.arguments import as_object
from gateway.translation.names import legal
from gateway.translation.prompt import (
    Audio,
    Call,
    Document,
    Image,
    Part,
    Prompt,
    Result,
    Role,
    Text,
    Thinking,
    Turn,
    Untranslatable,
)
from gateway.translation.rounds import BEGINNING, settled

Block = dict[str, Any]
UNANSWERED = "The call was cancelled or failed: it has no result."


def history(prompt: Prompt) -> tuple[list[Block], list[Block]]:
    """The blocks of `system` and the messages. Raises Untranslatable."""
    turns = prompt.turns
    spoken = len(turns)
    while spoken and turns[spoken - 1].role == "system":
        spoken -= 1
    above, below = turns[:spoken], turns[spoken:]
    instructions = [*prompt.system, *_texts(above)]
    said = [turn for turn in above if turn.role != "system"]
    if said and said[-1].role == "user":
        instructions += _texts(below)
    else:  # an assistant's turn at the end would be one to be continued
        said.append(Turn("user", _texts(below)))
    system = [block for part in instructions for block in _text(part)]
    merged = _merged(said)
    paired = settled(merged, UNANSWERED)
    found = _messages(merged if paired is merged else _merged(paired))
    if not found and system:
        return [], [{"role": "user", "content": system}]
    if not found:
        raise Untranslatable("messages", "there must be a message that is not empty")
    if found[0]["role"] == "assistant":
        found.insert(0, {"role": "user", "content": [{"type": "text", "text": BEGINNING}]})
    return system, found


def _texts(turns: Iterable[Turn]) -> tuple[Text, ...]:
    parts = (part for turn in turns if turn.role == "system" for part in turn.parts)
    return tuple(part for part in parts if isinstance(part, Text))


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Without what Anthropic takes from nobody: empty texts, thinking of others, and turns that are left empty."""
    kept = [(turn.role, parts) for turn in turns if (parts := tuple(filter(_is_said, turn.parts)))]
    runs = ((role, [parts for _, parts in run]) for role, run in groupby(kept, key=itemgetter(0)))
    return [Turn(role, run[0] if len(run) == 1 else tuple(chain.from_iterable(run))) for role, run in runs]


def _is_said(part: Part) -> bool:
    if isinstance(part, Text):
        return bool(part.text) and not part.text.isspace()
    return not isinstance(part, Thinking) or is_kept(part)


def _messages(turns: Iterable[Turn]) -> list[Block]:
    return [
        {"role": turn.role, "content": [block for part in _ordered(turn) for block in _block(part, turn.role)]}
        for turn in turns
    ]


def _ordered(turn: Turn) -> Iterable[Part]:
    """A turn that has thinking begins with it; where it does already, thinking between calls stays where it is."""
    if turn.role == "user" or isinstance(turn.parts[0], Thinking):
        return turn.parts
    return sorted(turn.parts, key=lambda part: not isinstance(part, Thinking))


def _block(part: Part, role: Role) -> Iterable[Block]:
    match part:
        case Text():
            return _text(part)
        case Image() | Document() if role == "assistant":
            kind = "image" if isinstance(part, Image) else "document"
            raise Untranslatable("messages", f"messages: an assistant's message cannot have an {kind} in it")
        case Image() | Document():
            return _content(part)
        case Thinking():
            return (_thinking(part),)
        case Call():
            arguments = as_object(part.arguments, part.custom)
            block = {"type": "tool_use", "id": short(part.id), "name": legal(part.name), "input": arguments}
            return (_marked(block, part.cache),)
        case Result():
            return (_result_block(part),)
        case Audio():
            raise Untranslatable("messages", "messages: Anthropic's models hear no sound")


def _text(part: Text) -> Iterable[Block]:
    return (_marked({"type": "text", "text": part.text}, part.cache),) if _is_said(part) else ()


def _content(part: Text | Image | Document) -> Iterable[Block]:
    if isinstance(part, Text):
        return _text(part)
    block = image(part) if isinstance(part, Image) else document(part)
    return (_marked(block, part.cache),)


def _thinking(part: Thinking) -> Block:
    data = part.sealed.data if part.sealed else ""
    if part.redacted:
        return {"type": "redacted_thinking", "data": data}
    return {"type": "thinking", "thinking": part.text, "signature": data}


def _result_block(part: Result) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": short(part.call_id)}
    if content := [block for each in part.content for block in _content(each)]:
        block["content"] = content
    if part.error:
        block["is_error"] = True
    return _marked(block, part.cache)


def _marked(block: Block, cache: Mapping[str, Any] | None) -> Block:
    if cache is not None:
        block["cache_control"] = cache
    return block
