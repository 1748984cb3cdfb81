"""The limit on log-ins, per account and per address, counted in Redis over all admin processes."""

import hashlib

from redis.asyncio import Redis

from admin.problem import Problem

WINDOW = 15 * 60
PER_ACCOUNT = 10
PER_ADDRESS = 50


class Attempts:
    """Counted before the password is looked at, so attempts at the same time count too; a success clears the account.

    Whether the account exists makes no difference here.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def admit(self, email: str, address: str | None) -> None:
        """Raises Problem 429 with the seconds to wait."""
        await self._count(_account(email), PER_ACCOUNT)
        await self._count(f"pg:login:address:{address or 'unknown'}", PER_ADDRESS)

    async def _count(self, name: str, most: int) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, WINDOW, nx=True)
            pipeline.ttl(name)
            tried, _, wait = await pipeline.execute()
        if tried > most:
            raise Problem(
                429, "too_many_attempts", "too many log-ins: wait", headers={"Retry-After": str(max(1, wait))}
            )

    async def succeeded(self, email: str) -> None:
        await self._redis.delete(_account(email))


def _account(email: str) -> str:
    return "pg:login:account:" + hashlib.sha256(email.lower().encode()).hexdigest()
