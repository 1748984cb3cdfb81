"""Goldens of the loss table: one exchange for each row, and what becomes of it.

A row of a request is dropped when the request is read as the same one without it, or is built as the same one without
it; it is clamped when what is built says otherwise what was asked; it is refused when the error names the field.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from gateway.protocols import CODECS
from gateway.protocols.codec import Endpoint, InvalidBody
from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.events import Event
from gateway.translation.prompt import Call, Part, Prompt, Result, Text, Turn, Untranslatable
from gateway.translation.speech import Asking, Limits

HI = Turn("user", (Text("hi"),))
REQUEST = "req_0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
Body = Mapping[str, Any]


class Golden(NamedTuple):
    """`seen` gives what is found and what is expected."""

    refused: bool
    seen: Callable[[], tuple[Any, Any]]


Goldens = Mapping[str, Golden]


def asked(*turns: Turn, **members: Any) -> Prompt:
    return Prompt("m", turns or (HI,), **members)


def user(*parts: Part) -> Prompt:
    return asked(Turn("user", parts))


def spoken(*parts: Part) -> Prompt:
    return asked(HI, Turn("assistant", parts))


def resulting(**members: Any) -> Prompt:
    """A call's result."""
    return asked(HI, Turn("assistant", (Call("c1", "f"),)), Turn("user", (Result("c1", (Text("r"),), **members),)))


def endpoint(protocol: str, action: str = "") -> Endpoint:
    """The first one for answers, or that of an action."""
    found = CODECS[protocol].endpoints
    return next(one for one in found if one.action == action or (not action and one.operation == "generate"))


def parsed(protocol: str, body: Body, action: str = "") -> Prompt:
    return SPEECHES[protocol].parse(json.dumps(body).encode(), endpoint(protocol, action))


def written(protocol: str, events: Sequence[Event], **members: Any) -> Any:
    """The answer in one piece."""
    asking = Asking("m", REQUEST, 1_790_000_000, asked(**members))
    return json.loads(SPEECHES[protocol].whole(asking, events))


def heard(protocol: str, body: Any) -> list[Event]:
    """An answer in one piece, read."""
    reader = UPSTREAMS[protocol].reader(False)
    return [*reader.feed(json.dumps(body).encode()), *reader.close()]


def says(seen: Callable[[], Any], expected: Any) -> Golden:
    return Golden(False, lambda: (seen(), expected))


def same(seen: Callable[[], Any], other: Callable[[], Any]) -> Golden:
    """It makes no difference."""
    return Golden(False, lambda: (seen(), other()))


def drops(protocol: str, body: Body, without: Body, *names: str, action: str = "") -> Golden:
    """A client's member is read as if it were not there, and named."""
    return Golden(
        False,
        lambda: (
            parsed(protocol, body, action),
            structs.replace(parsed(protocol, without, action), dropped=names),
        ),
    )


def refuses(protocol: str, body: Body, field: str, action: str = "") -> Golden:
    """A client's member is refused by its place."""
    return Golden(True, lambda: (_refused(lambda: parsed(protocol, body, action)), field))


def leaves_out(
    upstream: str, prompt: Prompt, without: Prompt, *noted: str, model: str = "m", most: int | None = None
) -> Golden:
    """What is built is what is built without it; `noted`: names for `x-poolgate-adjusted`."""
    limits = Limits(model, most)

    def seen() -> tuple[Any, Any]:
        built, other = (UPSTREAMS[upstream].build(each, limits) for each in (prompt, without))
        return (json.loads(built.body), built.adjusted), (json.loads(other.body), noted)

    return Golden(False, seen)


def builds(
    upstream: str, prompt: Prompt, expected: Body, *noted: str, model: str = "m", most: int | None = None
) -> Golden:
    """These members of what is built are so; None is an absent one."""

    def seen() -> tuple[Any, Any]:
        built = UPSTREAMS[upstream].build(prompt, Limits(model, most))
        body = json.loads(built.body)
        return ({name: body.get(name) for name in expected}, built.adjusted), (dict(expected), noted)

    return Golden(False, seen)


def orphaned(upstream: str, model: str = "m") -> Golden:
    """A result of no call is built as what the user says."""
    said = (Text("r"), Text("a"))
    return leaves_out(
        upstream, asked(Turn("user", (Result("c", said[:1]), said[1]))), asked(Turn("user", said)), model=model
    )


def cannot(upstream: str, prompt: Prompt, field: str) -> Golden:
    return Golden(True, lambda: (_refused(lambda: UPSTREAMS[upstream].build(prompt, Limits("m"))), field))


def _refused(tried: Callable[[], Any]) -> str | None:
    """The field of the error."""
    try:
        tried()
    except (InvalidBody, Untranslatable) as error:
        return error.field
    return "nothing was refused"
