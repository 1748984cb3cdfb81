"""Passwords: argon2id (RFC 9106: 3 passes, 64 MiB), in threads of its own, at most two at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)
#: Of nothing that anyone knows. An unknown user costs as much time as a wrong password.
_NOBODY = _HASHER.hash("\x00")


class Passwords:
    """The threads are the limit: a caller who goes away leaves no third hash running."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _HASHER.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """False for None, after the same work."""
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, _matches, password_hash or _NOBODY, password
        )
        return right and password_hash is not None


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
