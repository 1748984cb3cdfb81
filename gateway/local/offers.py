"""Provider keys that stand in the environment, offered as accounts to `poolgate up`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

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


class Half(Struct, frozen=True):
    """Credentials that no account can be made of: `found` stands in the environment, `lacking` does not."""

    found: str
    lacking: str

    def __str__(self) -> str:
        return f"{self.found} found without {self.lacking}: no account can be made of it"


Read = Callable[[Mapping[str, str]], Offer | Half | None]


def offers(environ: Mapping[str, str]) -> list[Offer]:
    """The accounts that the environment has complete credentials for."""
    return [found for found in _read(environ) if isinstance(found, Offer)]


def halves(environ: Mapping[str, str]) -> list[Half]:
    return [found for found in _read(environ) if isinstance(found, Half)]


def _read(environ: Mapping[str, str]) -> Iterator[Offer | Half | None]:
    return (read(environ) for read in _READERS)


def _api_key(variable: str, platform: str) -> Read:
    def read(environ: Mapping[str, str]) -> Offer | None:
        key = environ.get(variable)
        return _offer(variable, platform, api_key=key) if key else None

    return read


def _offer(variable: str, platform: str, **credentials: str) -> Offer:
    secrets = {name: Secret(value) for name, value in credentials.items()}
    return Offer(variable, f"{platform} from the environment", platform, secrets)


def _azure_openai(environ: Mapping[str, str]) -> Offer | Half | None:
    """The names are those of OpenAI's own client for Azure."""
    key, endpoint, version = map(environ.get, ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"))
    if not key or not endpoint:
        return _half(AZURE_OPENAI_API_KEY=key, AZURE_OPENAI_ENDPOINT=endpoint)
    offer = _offer("AZURE_OPENAI_API_KEY", "azure-openai", api_key=key)
    return replace(offer, base_url=endpoint.rstrip("/"), options={"api_version": version} if version else {})


def _bedrock(environ: Mapping[str, str]) -> Offer | Half | None:
    """The names are those of AWS' command line. The API key of Bedrock's comes first, as there."""
    token, key, secret = map(environ.get, ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if token:
        offer = _offer("AWS_BEARER_TOKEN_BEDROCK", "bedrock", bearer_token=token)
    elif key and secret:
        session = environ.get("AWS_SESSION_TOKEN")
        more = {"session_token": session} if session else {}
        offer = _offer("AWS_ACCESS_KEY_ID", "bedrock", access_key_id=key, secret_access_key=secret, **more)
    else:
        return _half(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)
    return replace(offer, options={"region": region}) if region else Half(offer.variable, "AWS_REGION")


def _half(**values: str | None) -> Half | None:
    """Of a set that is not complete; None when nothing of it is there."""
    found = [name for name, value in values.items() if value]
    lacking = [name for name, value in values.items() if not value]
    return Half(" and ".join(found), " and ".join(lacking)) if found else None


_READERS: tuple[Read, ...] = (
    _api_key("ANTHROPIC_API_KEY", "claude-official"),
    _api_key("OPENAI_API_KEY", "openai"),
    _api_key("GEMINI_API_KEY", "gemini"),
    _azure_openai,
    _bedrock,
)
