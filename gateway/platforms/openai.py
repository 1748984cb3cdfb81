"""`openai`: OpenAI's API, and every endpoint compatible with it (platform.openai.com/docs/api-reference)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.core.domain import Account
from gateway.platforms import judgement, signing
from gateway.platforms.platform import Outgoing, Platform, Speech
from gateway.platforms.validation import HeaderText


class Credentials(Struct, frozen=True, forbid_unknown_fields=True):
    api_key: HeaderText


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    organization: HeaderText | None = None
    project: HeaderText | None = None
    usage_probe: bool = True
    """Ask for `stream_options.include_usage` where the client did not."""
    protocols: Annotated[list[Literal["openai_chat", "openai_responses"]], Meta(min_length=1)] | None = None
    """What the endpoint speaks; both, where nothing is said. The other is translated."""


def sign(outgoing: Outgoing, account: Account, now: float) -> Outgoing:
    """Bearer, with `openai-organization` and `openai-project` from the options; the client's never go along."""
    own = [signing.bearer(signing.secret(account, "api_key"))]
    for header, name in ((b"openai-organization", "organization"), (b"openai-project", "project")):
        value = signing.option(account, name)
        if value:
            own.append((header, value))
    return signing.signed(outgoing, own)


def speaks(account: Account, model: str, protocol: str, operation: str, stream: bool) -> Speech:
    """Many compatible endpoints have no Responses."""
    spoken = account.options.get("protocols")
    if (protocol, operation) not in PLATFORM.serves or (spoken and operation == "generate" and protocol not in spoken):
        return Speech.NONE
    return Speech.NATIVE


def probe(model: str) -> tuple[str, str, dict[str, Any]]:
    """A few tokens of chat, or one embedding for a model that has `embed` in its name.

    `max_completion_tokens`: the newer models refuse `max_tokens`, servers that know neither ignore it.
    """
    if "embed" in model.lower():
        return "openai_chat", "embed", {"model": model, "input": "hi"}
    message = {"role": "user", "content": "Say ok."}
    return "openai_chat", "generate", {"model": model, "max_completion_tokens": 16, "messages": [message]}


PLATFORM = Platform(
    name="openai",
    family="openai",
    serves={
        ("openai_chat", "generate"): "/v1/chat/completions",
        ("openai_chat", "embed"): "/v1/embeddings",
        ("openai_responses", "generate"): "/v1/responses",
    },
    base_url="https://api.openai.com",
    # Any base URL, so any name: no list of patterns could tell what a compatible server calls its models.
    models=("*",),
    credentials=(Credentials,),
    options=Options,
    sign=sign,
    judge=judgement.judge,
    speaks=speaks,
    probe=probe,
)
