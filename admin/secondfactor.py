"""A user's authenticator: its sealed secret, and that no code counts twice."""

from admin import totp
from admin.resources import Resources
from gateway.core import models as m

_PENDING = "pg:totp:pending:"
_USED = "pg:totp:used:"
_PENDING_SECONDS = 600


def _context(user_id: str) -> str:
    return f"users/{user_id}/totp"


async def start(resources: Resources, user: m.User) -> bytes:
    """A new secret, kept sealed for ten minutes until a code confirms it."""
    secret = totp.new_secret()
    sealed = resources.sealer.seal(secret, _context(user.id))
    await resources.redis.set(_PENDING + user.id, sealed.hex(), ex=_PENDING_SECONDS)
    return secret


async def confirmed(resources: Resources, user: m.User, code: str, now: float) -> bytes | None:
    """The sealed secret to store, when the code belongs to the one that was started."""
    found = await resources.redis.get(_PENDING + user.id)
    if found is None:
        return None
    sealed = bytes.fromhex(str(found))
    step = totp.matching_step(resources.sealer.open(sealed, _context(user.id)), code, now)
    if step is None or not await _first_use(resources, user, step):
        return None
    await resources.redis.delete(_PENDING + user.id)
    return sealed


async def accepts(resources: Resources, user: m.User, code: str, now: float) -> bool:
    if user.totp_secret is None:
        return False
    step = totp.matching_step(resources.sealer.open(user.totp_secret, _context(user.id)), code, now)
    return step is not None and await _first_use(resources, user, step)


async def _first_use(resources: Resources, user: m.User, step: int) -> bool:
    """RFC 6238, 5.2: a code is accepted once."""
    return bool(await resources.redis.set(f"{_USED}{user.id}:{step}", "1", ex=totp.STEP * 4, nx=True))
