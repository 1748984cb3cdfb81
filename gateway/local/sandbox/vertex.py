"""Claude on Vertex AI: `rawPredict` and `streamRawPredict` with Anthropic's bodies, and its count of tokens.

https://docs.claude.com/en/api/claude-on-vertex-ai: the model stands in the path, the version in the body.
"""

from msgspec import structs

from gateway.local.sandbox import anthropic
from gateway.local.sandbox.answer import Ask, Invalid, Members, member
from gateway.local.sandbox.dialect import Target

VERSION = "vertex-2023-10-16"


def _check(members: Members) -> None:
    if member(members, "anthropic_version") != VERSION:
        raise Invalid("anthropic_version: Field required")


def ask(target: Target, members: Members) -> Ask:
    _check(members)
    if "model" in members:
        raise Invalid("model: Extra inputs are not permitted")
    if (target.action == "streamRawPredict") != (member(members, "stream", False) is True):
        raise Invalid("stream: does not fit the method")
    return anthropic.ask(target, members)


def count(target: Target, members: Members) -> bytes:
    _check(members)
    return anthropic.count(target, members)


VERTEX = structs.replace(anthropic.ANTHROPIC, name="vertex", ask=ask, count=count)
