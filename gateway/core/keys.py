"""The form of secrets that poolgate hands out, and the keyed digests by which they are found again.

A proxy key is `sk-` + 45 random base62 characters + 6 base62 characters of the CRC-32 of what precedes, so that junk
is refused without a look-up. 45 base62 characters are 267 bits: a slow hash would add nothing, a keyed digest
(HMAC-SHA-256 with a pepper of the server) makes a stolen table useless for look-ups.
"""

import hashlib
import hmac
import secrets
import string
import zlib
from collections.abc import Sequence

from msgspec import Struct

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KNOWN = frozenset(_ALPHABET)
_RANDOM = 45
_CHECK = 6
KEY_PREFIX = "sk-"
KEY_LENGTH = len(KEY_PREFIX) + _RANDOM + _CHECK
TOKEN_PREFIX = "pgadm_"  # noqa: S105  # not a secret: the prefix that marks one


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
    return digits.rjust(width, "0")


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_key() -> str:
    """A new proxy key. It is shown once and kept only as a digest."""
    stem = KEY_PREFIX + _random(_RANDOM)
    return stem + _base62(zlib.crc32(stem.encode()), _CHECK)


def well_formed(key: str) -> bool:
    """Whether this can be a proxy key at all: its shape and its check digits."""
    if len(key) != KEY_LENGTH or not key.startswith(KEY_PREFIX) or not key.isascii():
        return False
    stem, check = key[:-_CHECK], key[-_CHECK:]
    return check == _base62(zlib.crc32(stem.encode()), _CHECK) and _KNOWN.issuperset(stem[len(KEY_PREFIX) :])


def new_token() -> str:
    """A new admin token."""
    return TOKEN_PREFIX + _random(_RANDOM)


class Peppers(Struct, frozen=True):
    """The server's peppers, newest first. A pepper's id is the first 8 hex of its SHA-256."""

    values: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Peppers({self.newest_id()})"

    def digest(self, secret: str) -> bytes:
        """The digest under the newest pepper: what is stored."""
        return hmac.digest(self.values[0], secret.encode(), "sha256")

    def digests(self, secret: str) -> Sequence[bytes]:
        """Under every pepper, newest first: what is looked for."""
        data = secret.encode()
        return [hmac.digest(pepper, data, "sha256") for pepper in self.values]

    def newest_id(self) -> str:
        return hashlib.sha256(self.values[0]).hexdigest()[:8]
