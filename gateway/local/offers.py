"""Provider keys that stand in the environment, offered as accounts to `poolgate up`."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from gateway.core.secret import Secret


class Offer(Struct, frozen=True):
    """An account that could be made; `variable` is the name that the person knows it by."""

    variable: str
    name: str
    platform: str
    credentials: Mapping[str, Secret]
    base_url: str = ""
    """Empty: the platform's own."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def offers(environ: Mapping[str, str]) -> list[Offer]:
    """The accounts that the environment has complete credentials for."""
    return [offer for read in _READERS if (offer := read(environ)) is not None]


def _api_key(variable: str, platform: str) -> Callable[[Mapping[str, str]], Offer | None]:
    def read(environ: Mapping[str, str]) -> Offer | None:
        key = environ.get(variable)
        if not key:
            return None
        return Offer(variable, f"{platform} from the environment", platform, {"api_key": Secret(key)})

    return read


_READERS = (
    _api_key("ANTHROPIC_API_KEY", "claude-official"),
    _api_key("OPENAI_API_KEY", "openai"),
    _api_key("GEMINI_API_KEY", "gemini"),
)
