"""The rules in requests of Ollama's own API: https://docs.ollama.com/api (chat, generate)

A request that asks nothing only loads a model: it is left as it is, since a text would make it ask.
"""

from gateway.protocols.codec import Endpoint
from gateway.rules import tools, turns
from gateway.rules.dialect import Dialect, Draft
from gateway.rules.wording import Form, Wording, text

_TEXT = Form(listed=False)


def take(draft: Draft, gone: tools.Gone) -> bool:
    return tools.take(draft, ("tools",), tools.by_name(gone, "tools"), ())


def prompt(draft: Draft, endpoint: Endpoint, system: Wording, user: Wording) -> None:
    if endpoint.action == "generate":
        _generate(draft, system, user)
        return
    said = turns.read(draft, ("messages",))
    if said is not None and not system.idle:
        turns.instruct(draft, said, _TEXT, system)
    if said is not None and not user.idle:
        turns.address(draft, said, _TEXT, user)


def _generate(draft: Draft, system: Wording, user: Wording) -> None:
    asked = draft.span(("prompt",))
    if asked is None or draft.body[slice(*asked)] == b'""':
        return
    draft.edits += text(draft.body, asked, _TEXT, user, "prompt")
    span = draft.span(("system",))
    if span is not None:
        draft.edits += text(draft.body, span, _TEXT, system, "system")
    elif system.mode != "off":
        draft.set(("system",), system.text)


DIALECT = Dialect(
    temperature=("options", "temperature"),
    hottest=2.0,
    tools=take,
    offered=("tools",),
    prompt=prompt,
    said=("messages", "system", "prompt"),
)
