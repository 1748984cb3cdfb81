"""A probe: one real cheap request to an account, by the platform's own path and signature and the account's proxy.

It passes the pool, takes no slot, counts in nobody's ledger and against nobody's limits; what it costs at the upstream
is the account's.
"""

import re
import time
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.core.domain import Account, Timeouts
from gateway.platforms.platform import Asked, Outgoing, Platform
from gateway.platforms.target import placed
from gateway.protocols.codec import InvalidBody
from gateway.upstream.client import Upstream
from gateway.upstream.failures import Failure

SECONDS = 30.0
_READ = 64 * 1024
_WILD = re.compile(r"[*?\[]")
#: Asked for when the account names no model and has served none yet.
_CHEAP = {"claude": "claude-haiku-4-5", "openai": "gpt-4o-mini", "gemini": "gemini-2.5-flash"}
_HEADERS = [(b"content-type", b"application/json"), (b"accept", b"application/json"), (b"user-agent", b"poolgate")]


class NoProbe(Exception):
    """The account cannot be asked; `model` is what is missing or wrong, when it is that."""

    def __init__(self, reason: str, *, model: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.model = model


class Probed(Struct, frozen=True):
    """The answer, or the failure in its place. `milliseconds`: until it was read."""

    model: str
    """As it was asked for, by the client's name."""
    status: int
    headers: Mapping[str, str]
    body: bytes
    failure: Failure | None
    milliseconds: int

    @property
    def ok(self) -> bool:
        return self.failure is None and 200 <= self.status < 300

    @property
    def words(self) -> str:
        """The upstream's, or what went wrong: with whatever secrets it holds."""
        return self.body.decode(errors="replace") if self.failure is None else str(self.failure)


def known_models(account: Account) -> list[str]:
    """The models that the account's own settings name in full, by the clients' names."""
    return [name for name in (*account.model_map, *account.models) if not _WILD.search(name)]


def cheap_model(platform: Platform) -> str | None:
    """What is asked for when nothing else is known."""
    return _CHEAP.get(platform.family)


async def run(upstream: Upstream, platform: Platform, account: Account, model: str | None) -> Probed:
    """Raises NoProbe, and InvalidAccount when the account's stored values cannot be used."""
    asked = model or cheap_model(platform)
    if platform.probe is None:
        raise NoProbe(f"{platform.name} has no test")
    if asked is None:
        raise NoProbe("say which model to ask for", model=True)
    outgoing = _outgoing(platform, account, account.model_map.get(asked, asked))
    started = time.monotonic()
    status, headers, body, failure = 0, {}, b"", None
    try:
        timeouts = Timeouts(connect=account.timeouts.connect, total=SECONDS)
        answer = await upstream.open(
            outgoing, pool_key=account.id, timeouts=timeouts, stream=False, proxy=account.proxy
        )
        status = answer.status
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        body = await answer.read(_READ)
    except Failure as error:
        failure = error
    return Probed(asked, status, headers, body, failure, int((time.monotonic() - started) * 1000))


def _outgoing(platform: Platform, account: Account, model: str) -> Outgoing:
    assert platform.probe is not None
    protocol, operation, body = platform.probe(model)
    asked = Asked(protocol, operation, model, False, b"", list(_HEADERS), msgspec.json.encode(body))
    try:
        outgoing = placed(asked, account, platform)
    except InvalidBody as error:
        raise NoProbe(error.message, model=True) from None
    return platform.sign(outgoing, account, time.time())
