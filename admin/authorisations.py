"""Authorisations that were begun: what must be remembered until the vendor's page has given its code. In Redis, sealed,
for ten minutes; the state that names one is stored nowhere."""

import hashlib
import secrets
from base64 import b64decode, b64encode
from typing import Any

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gateway.core.sealing import SealBroken, Sealer

LIFETIME = 600
"""Seconds."""
_NAMESPACE = "pg:authorisation:"


class Begun(Struct, frozen=True):
    """Who began it (`actor`: a user or token), and for what account. `verifier` proves to the vendor that it was we."""

    actor: str
    tenant_id: str
    platform: str
    options: dict[str, Any]
    proxy_id: str | None
    verifier: str


def fresh() -> str:
    """A state or a verifier: 256 random bits, base64url (RFC 7636 §4.1)."""
    return secrets.token_urlsafe(32)


class Authorisations:
    def __init__(self, redis: Redis, sealer: Sealer) -> None:
        self._redis = redis
        self._sealer = sealer

    async def begin(self, state: str, begun: Begun) -> None:
        name = _name(state)
        sealed = self._sealer.seal(msgspec.json.encode(begun), name)
        await self._redis.set(name, b64encode(sealed).decode(), ex=LIFETIME)

    async def read(self, state: str, actor: str) -> Begun | None:
        """None for one that is unknown, over, or somebody else's."""
        held = await self._redis.get(_name(state))
        try:
            found = msgspec.json.decode(self._sealer.open(b64decode(held), _name(state)), type=Begun) if held else None
        except SealBroken:
            return None
        return found if found is not None and found.actor == actor else None

    async def spend(self, state: str) -> bool:
        """Whether it was there: of several who try at once, one is told so."""
        return await self._redis.delete(_name(state)) == 1


def _name(state: str) -> str:
    return _NAMESPACE + hashlib.sha256(state.encode()).hexdigest()
