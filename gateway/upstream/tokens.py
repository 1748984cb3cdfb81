"""Drives a Renewal: sends what it asks token endpoints through the egress, and gives it their replies."""

from collections.abc import Mapping
from typing import Any

from gateway.core.domain import Proxy, Timeouts
from gateway.platforms.platform import NotRenewed, Outgoing, Renewal, Reply
from gateway.upstream.client import Upstream
from gateway.upstream.failures import DialFailed, Failure

SECONDS = 10.0
"""For one request, from the dial to the last byte."""
_TIMEOUTS = Timeouts(connect=SECONDS, total=SECONDS)
_BODY_LIMIT = 128 * 1024


async def run(upstream: Upstream, account_id: str, renewal: Renewal, proxy: Proxy | None) -> Mapping[str, Any]:
    """What the renewal returns. Raises NotRenewed; an endpoint that cannot be reached has revoked nothing.

    `account_id` names the connections (none is shared between accounts), `proxy` is the account's own way out.
    """
    try:
        asked = next(renewal)
        while True:
            asked = renewal.send(await _reply(upstream, account_id, asked, proxy))
    except StopIteration as done:
        return done.value
    finally:
        renewal.close()


async def _reply(upstream: Upstream, account_id: str, asked: Outgoing, proxy: Proxy | None) -> Reply:
    try:
        answer = await upstream.open(asked, pool_key=account_id, timeouts=_TIMEOUTS, stream=False, proxy=proxy)
        body = await answer.read(_BODY_LIMIT)
    except Failure as failure:
        # Its own message names hosts and addresses: for logs alone.
        what = failure.reason if isinstance(failure, DialFailed) else failure.phase
        raise NotRenewed(f"the token endpoint could not be reached ({what})") from failure
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Reply(answer.status, headers, body)
