"""How an account is asked for what a client wants: in the client's own protocol, or in another by translation. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from gateway.core.domain import Account
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech
from gateway.platforms.target import speech
from gateway.protocols.codec import Endpoint


class Spoken(Struct, frozen=True):
    """`operation` is the protocol's own name of it (Gemini's and Ollama's actions)."""

    protocol: str
    """Empty: nobody is asked, the answer is an estimate of our own."""
    operation: str
    translated: bool = False
    """Not byte for byte: tried after the native ones."""
    hub: bool = False
    """Through the neutral form."""


#: What a translated request is asked for, best first: for each kind of operation the names in the order in which they
#: are tried, in one piece and as a stream.
_HUB: Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "gemini": {
        "generate": (("generateContent",), ("streamGenerateContent",)),
        "count": (("countTokens",), ()),
        "embed": (("batchEmbedContents", "embedContent"), ()),
    },
    "ollama": {"generate": (("chat",), ("chat",)), "embed": (("embed",), ())},
    "openai_chat": {"generate": (("generate",), ("generate",)), "embed": (("embed",), ())},
    "openai_responses": {"generate": (("generate",), ("generate",))},
    "anthropic": {"generate": (("generate",), ("generate",)), "count": (("count",), ())},
    "converse": {"generate": (("converse",), ("converse",))},
}


def generating(protocol: str, stream: bool) -> str:
    """The operation that translation asks for in a protocol."""
    return _HUB[protocol]["generate"][stream][0]


def spoken(account: Account, model: str, endpoint: Endpoint, stream: bool) -> Spoken | None:
    """None when the account cannot serve it, with this model of its upstream."""
    return _spoken(account, model, endpoint.protocol, endpoint.operation, endpoint.action or endpoint.operation, stream)


def _spoken(account: Account, model: str, protocol: str, kind: str, operation: str, stream: bool) -> Spoken | None:
    platform = PLATFORMS[account.platform]
    native = speech(platform, account, model, protocol, operation, stream)
    if native is not Speech.NONE:
        return Spoken(protocol, operation, native is Speech.TRANSLATED)
    for other, kinds in _HUB.items():
        for name in kinds.get(kind, ((), ()))[stream]:
            if speech(platform, account, model, other, name, stream) is not Speech.NONE:
                return Spoken(other, name, translated=True, hub=True)
    if kind == "count" and _spoken(account, model, protocol, "generate", "generate", False) is not None:
        return Spoken("", "count", translated=True, hub=True)
    return None
