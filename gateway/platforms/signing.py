"""Putting an account's credentials on a request. What the client sent of the same kind goes, in every form."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from gateway.core.domain import Account
from gateway.platforms.platform import Headers, Outgoing
from gateway.platforms.validation import InvalidAccount

ANTHROPIC_VERSION = b"2023-06-01"
"""Sent when the client names none (docs.claude.com/en/api/versioning)."""
OAUTH_BETA = b"oauth-2025-04-20"
"""The beta under which Anthropic accepts OAuth access tokens."""

#: Nothing that names a payer or proves who one is comes from a client, whatever the platform.
_CLIENTS_OWN = frozenset(
    {
        b"authorization",
        b"proxy-authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"x-goog-user-project",
        b"api-key",
        b"ocp-apim-subscription-key",
        b"cookie",
        b"chatgpt-account-id",
        b"openai-organization",
        b"openai-project",
    }
)
_VALUE = re.compile(r"[\x21-\x7e]+\Z")


def secret(account: Account, name: str) -> bytes:
    """A credential as a header's value. Raises InvalidAccount when it is missing, or could end the header."""
    held = account.credentials.get(name)
    return _value(f"credentials.{name}", held.reveal() if held else "")


def option(account: Account, name: str) -> bytes | None:
    """A text option as a header's value; None when it is not set."""
    value = account.options.get(name)
    return _value(f"options.{name}", str(value)) if value else None


def bearer(token: bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token


def signed(outgoing: Outgoing, own: Sequence[tuple[bytes, bytes]]) -> Outgoing:
    """The request with the account's headers, which replace the client's of the same names."""
    gone = {*_CLIENTS_OWN, *dict(own)}
    headers = [header for header in outgoing.headers if header[0] not in gone]
    headers += own
    return replace(outgoing, headers=headers)


def with_version(outgoing: Outgoing) -> Outgoing:
    """The client's `anthropic-version`, or the default."""
    for name, _ in outgoing.headers:
        if name == b"anthropic-version":
            return outgoing
    return replace(outgoing, headers=[*outgoing.headers, (b"anthropic-version", ANTHROPIC_VERSION)])


def with_beta(outgoing: Outgoing, beta: bytes) -> Outgoing:
    """The client's betas, and this one after them. Lists over several lines become one, in order."""
    betas = [value.strip() for name, value in outgoing.headers if name == b"anthropic-beta" and value.strip()]
    if not any(beta == item.strip() for value in betas for item in value.split(b",")):
        betas.append(beta)
    headers: Headers = [header for header in outgoing.headers if header[0] != b"anthropic-beta"]
    return replace(outgoing, headers=[*headers, (b"anthropic-beta", b",".join(betas))])


def _value(field: str, text: str) -> bytes:
    # Validation refused such values when the account was written; a header must not depend on that alone.
    if not _VALUE.match(text):
        raise InvalidAccount(field, "missing, or not of visible ASCII characters")
    return text.encode("ascii")
