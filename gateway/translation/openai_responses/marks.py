"""What this protocol has no words for, written so that it comes back as it was: names in namespaces as plain names,
what other families sealed as encrypted reasoning, ids that are too long for OpenAI."""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import msgspec
from msgspec import Struct

from gateway.protocols.foreign import MARK
from gateway.translation.prompt import Family, Sealed

_SEPARATOR = "_-_"
"""Between a namespace and a name: of letters that every vendor allows in names, and that nobody writes like this."""
LONGEST_ID = 64
"""Characters of a call's id, and of a user's, that OpenAI takes."""


def flat(namespace: str | None, name: str) -> str:
    """One plain name for both. A name outside of namespaces that looks like one gets an empty namespace."""
    if namespace is None:
        return name if apart(name) == (None, name) else _SEPARATOR + name
    return f"{namespace}{_SEPARATOR}{name}"


def separable(namespace: str) -> bool:
    """Whether names in this namespace can be told apart again."""
    return bool(namespace) and apart(f"{namespace}{_SEPARATOR}x") == (namespace, "x")


def apart(name: str) -> tuple[str | None, str]:
    """The namespace and the name of a plain name. One that only begins or ends like a namespace is outside of them."""
    namespace, separator, rest = name.partition(_SEPARATOR)
    if separator and rest and (namespace or apart(rest) != (None, rest)):
        return namespace or None, rest
    return None, name


class Piece(NamedTuple):
    """What an item of reasoning holds. `call`: it was sealed of the call with this id, not of the thinking."""

    sealed: Sealed
    redacted: bool = False
    call: str | None = None


class _Mark(Struct):
    family: Family
    data: str
    id: str | None = None
    redacted: bool = False
    call: str | None = None


_mark = msgspec.json.Decoder(_Mark)


def encrypted(piece: Piece) -> str:
    """The `encrypted_content`: OpenAI's own as it is, another family's with a mark, for it goes back to that family."""
    sealed, redacted, call = piece
    if sealed.family == "openai" and not redacted and call is None:
        return sealed.data
    mark = _Mark(sealed.family, sealed.data, sealed.id, redacted, call)
    return MARK + urlsafe_b64encode(msgspec.json.encode(mark)).decode()


def decrypted(content: str, item_id: str | None) -> Piece:
    """What `encrypted` wrote; all else is OpenAI's own."""
    if content.startswith(MARK):
        try:
            mark = _mark.decode(urlsafe_b64decode(content[len(MARK) :].encode()))
        except (msgspec.DecodeError, binascii.Error, ValueError):
            pass
        else:
            return Piece(Sealed(mark.family, mark.data, mark.id), mark.redacted, mark.call)
    return Piece(Sealed("openai", content, item_id))


def short(identifier: str, prefix: str = "") -> str:
    """The same, or where it is too long for OpenAI one that always stands for it."""
    if len(identifier) <= LONGEST_ID:
        return identifier
    return prefix + hashlib.blake2b(identifier.encode(), digest_size=24).hexdigest()
