"""Secrets at rest: AES-256-GCM under a master key, bound to the row they stand in.

A sealed value is `version (1) · key id (4) · nonce (12) · ciphertext with tag`. The associated data is the row's id
and field, so a value copied to another row does not open there. Sources: NIST SP 800-38D.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.secret import Secret

_VERSION = b"\x01"
_HEAD = 1 + 4 + 12
_TAG = 16


class SealBroken(Exception):
    """The value does not open: wrong row, unknown master key, or altered bytes."""


class Sealer:
    """Seals with the newest master key, opens with any of them."""

    def __init__(self, master_keys: tuple[bytes, ...]) -> None:
        if not master_keys:
            raise ValueError("at least one master key is needed")
        self._ciphers = {hashlib.sha256(key).digest()[:4]: AESGCM(key) for key in master_keys}
        self._newest = hashlib.sha256(master_keys[0]).digest()[:4]

    def seal(self, value: bytes, context: str) -> bytes:
        nonce = os.urandom(12)
        sealed = self._ciphers[self._newest].encrypt(nonce, value, context.encode())
        return _VERSION + self._newest + nonce + sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises SealBroken."""
        cipher = self._ciphers.get(sealed[1:5])
        if sealed[:1] != _VERSION or cipher is None or len(sealed) < _HEAD + _TAG:
            raise SealBroken("sealed with a master key that is not here")
        try:
            return cipher.decrypt(sealed[5:_HEAD], sealed[_HEAD:], context.encode())
        except InvalidTag:
            raise SealBroken("a sealed value does not belong to its row, or was altered") from None

    def seal_credentials(self, credentials: Mapping[str, Any], account_id: str) -> bytes:
        return self.seal(msgspec.json.encode(credentials), f"accounts/{account_id}/credentials")

    def open_credentials(self, sealed: bytes, account_id: str) -> dict[str, Secret]:
        """The account's secrets. Values that are not strings (a service account's JSON) come as their JSON text."""
        return _secrets(self.open(sealed, f"accounts/{account_id}/credentials"))

    def seal_renewed(self, renewed: Mapping[str, Any], account_id: str) -> bytes:
        return self.seal(msgspec.json.encode(renewed), f"accounts/{account_id}/renewed")

    def open_renewed(self, sealed: bytes | None, account_id: str) -> dict[str, Secret]:
        """What renewals have got for the account; it stands in the place of credentials of the same names."""
        return _secrets(self.open(sealed, f"accounts/{account_id}/renewed")) if sealed else {}


def _secrets(opened: bytes) -> dict[str, Secret]:
    held = msgspec.json.decode(opened, type=dict[str, Any])
    return {
        name: Secret(value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in held.items()
        if value is not None
    }
