"""Tells a webhook: one POST by the same pool and egress policy as everything that leaves; a redirect is a refusal."""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.core.domain import Timeouts
from gateway.core.messages import Post, refusal
from gateway.platforms import reset
from gateway.platforms.platform import Headers, Outgoing
from gateway.upstream.client import Upstream
from gateway.upstream.failures import Failure
from gateway.upstream.words import clean

SECONDS = 10.0
"""From the resolver to the last byte of the answer."""
_READ = 16 * 1024


class Told(Struct, frozen=True):
    """How it went. `status` is the receiver's, None when no answer came; `error` None: it was accepted."""

    status: int | None
    error: str | None
    words: str
    """The receiver's own, or of what went wrong; without the secrets."""
    not_before: float | None = None
    """Until when the receiver asks to be left alone, epoch seconds."""
    milliseconds: int = 0


async def tell(upstream: Upstream, webhook_id: str, kind: str, post: Post, secret: str | None) -> Told:
    """Never raises for what the receiver does."""
    parts = urlsplit(post.url)
    hidden = (post.url, parts.path, parts.query, secret or "")
    started = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            status, headers, body = await _sent(upstream, webhook_id, post)
    except TimeoutError:
        return Told(None, f"no answer within {SECONDS:g} s", "", None, _since(started))
    except Failure as failure:
        return Told(None, clean(str(failure), hidden) or type(failure).__name__, "", None, _since(started))
    why = refusal(kind, status, body)
    words = clean(body.decode(errors="replace"), hidden)
    if why is not None and 300 <= status < 400:
        why += ": redirects are not followed"
    now = time.time()
    return Told(status, why, words, reset.retry_after(_named(headers), now) if why else None, _since(started))


async def _sent(upstream: Upstream, webhook_id: str, post: Post) -> tuple[int, Headers, bytes]:
    headers = [(name.encode(), value.encode()) for name, value in post.headers]
    timeouts = Timeouts(connect=SECONDS, total=SECONDS)
    outgoing = Outgoing("POST", post.url, headers, post.body)
    answer = await upstream.open(outgoing, pool_key=webhook_id, timeouts=timeouts, stream=False)
    return answer.status, answer.headers, await answer.read(_READ)


def _named(headers: Headers) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
