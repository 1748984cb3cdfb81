"""Admission as the relay asks for it, on a real Redis, one prefix a scene."""

import itertools
import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis as blocking
from msgspec import Struct

from gateway.core.redis import connector
from gateway.core.scripts import ADMIT, MARK, RENEW, SETTLE, SWEEP, Script, Scripts, scripts

_ids = itertools.count()

Limit = tuple[str, str, int, int] | tuple[str, str, int, int, int]
"""kind, name, max, span, amount (1)"""
Candidate = tuple[str, int, int, str] | tuple[str, int, int, str, str]
"""account, slots, tier, mask, flag"""
ANY: Sequence[Candidate] = (("a", 0, 50, ""),)


class Answer(Struct):
    """What admit said. `used` and `waits`: one of each a limit."""

    kind: str
    account: str = ""
    bound: bool = False
    index: int = 0
    wait: int = 0
    now: int = 0
    used: Sequence[int] = ()
    waits: Sequence[int] = ()
    moved: bool = False
    """The account that it was to stay with could not be taken."""
    busy: int = 0
    capped: int = 0


def read(reply: Sequence[Any]) -> Answer:
    kind = reply[0].decode()
    if kind == "bound":
        return Answer(kind, account=reply[1].decode())
    if kind in ("cold", "unknown"):
        return Answer(kind)
    if kind == "full":
        return Answer(kind, now=reply[1], busy=reply[2], capped=reply[3], wait=reply[4])
    numbers = [int(value) for value in reply[3:]]
    answer = Answer(kind, now=numbers[0], used=numbers[1::2], waits=numbers[2::2])
    if kind == "ok":
        answer.account, answer.bound, answer.moved = reply[1].decode(), reply[2] in (1, 2), reply[2] == 3
    else:
        answer.index, answer.wait = reply[1], reply[2]
    return answer


class Scene:
    """One tag's keys, warm unless told otherwise."""

    def __init__(self, made: Scripts, url: str) -> None:
        self.scripts = made
        self.prefix = f"{{pg:t{next(_ids)}}}:"
        self.redis = blocking.Redis.from_url(url, decode_responses=True)
        self.redis.set(self.prefix + "epoch", "1")

    async def run(self, script: Script, *arguments: Any) -> Any:
        return await self.scripts.run(script, self.prefix, arguments)

    async def admit(
        self,
        identity: str | None = None,
        *,
        limits: Sequence[Limit] = (),
        candidates: Sequence[Candidate] = ANY,
        lease: int = 60_000,
        row: str = "{}",
        sticky: str = "",
        life: int = 3600,
        leaving: str = "",
        mode: str = "busy",
        whole: bool = True,
        binding: tuple[str, str] = ("", ""),
        own: Sequence[Limit] = (),
        given_back: Sequence[str] = (),
        key: str = "key_1",
    ) -> Answer:
        identity = identity or f"req-{next(_ids)}"
        flat = [part for one in (*limits, *own) for part in (*one, 1)[:5]]
        offered = [part for one in candidates for part in (*one, *([""] * (5 - len(one))))]
        return read(
            await self.run(
                ADMIT, identity, lease, row, sticky, life, leaving, mode, "1" if whole else "0",
                *binding, len(limits) + len(own), len(limits), key, *flat, len(candidates), *offered, *given_back,
            )
        )  # fmt: skip

    async def settle(
        self,
        identity: str,
        account: str,
        *names: str,
        most: int = 1000,
        sequence: int = 1,
        served: tuple[str, str] = ("", ""),
        charges: str = "",
    ) -> int:
        head = (identity, account, "gateway", sequence, '{"row":1}', most)
        return await self.run(SETTLE, *head, *served, charges, *names)

    async def renew(self, lease: int, requests: Mapping[str, Sequence[str]], row: str = "{}", charges: str = "") -> int:
        """The first name of a request is that of its slot, `s:ACCOUNT`."""
        flat: list[Any] = []
        for identity, names in requests.items():
            flat += [identity, f"{names[0][2:]}\n{charges}\n{row}", len(names), *names]
        return await self.run(RENEW, lease, *flat)

    async def sweep(self, most: int = 100) -> int:
        return await self.run(SWEEP, most)

    async def mark(self, account: str, scope: str, state: str, entry: str) -> int:
        return await self.run(MARK, account, scope, state, entry)

    def name(self, key: str) -> str:
        return self.prefix + key

    def dump(self) -> dict[str, Any]:
        """Everything under the prefix, by value."""
        return {key: self._value(key) for key in sorted(self.redis.keys(self.prefix.replace("{", "\\{") + "*"))}

    def _value(self, key: str) -> Any:
        kind = self.redis.type(key)
        if kind == "hash":
            return self.redis.hgetall(key)
        if kind == "zset":
            return self.redis.zrange(key, 0, -1, withscores=True)
        if kind == "stream":
            return self.redis.xrange(key)
        return self.redis.lrange(key, 0, -1) if kind == "list" else self.redis.get(key)

    def slots(self, account: str) -> set[str]:
        return set(self.redis.zrange(self.name("s:" + account), 0, -1))

    def stream(self) -> list[dict[str, str]]:
        return [fields for _, fields in self.redis.xrange(self.name("u"))]


@asynccontextmanager
async def scene(url: str) -> AsyncGenerator[Scene]:
    async with scripts(*connector(url)) as made:
        found = Scene(made, url)
        try:
            yield found
        finally:
            found.redis.close()


def limit(kind: str, most: int, span: int = 0, name: str = "") -> Limit:
    prefix = {"S": "w:", "C": "c:", "D": "d:"}[kind]
    return kind, prefix + (name or f"{zlib.crc32(repr((kind, span)).encode()):x}"), most, span


__all__ = ["ANY", "Answer", "Candidate", "Limit", "Scene", "limit", "scene"]
