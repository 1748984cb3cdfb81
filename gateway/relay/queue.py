"""A request whose limit of concurrency has a queue waits there for its turn, and holds nothing meanwhile.

The queue is in Redis, one for all gateways (gateway/core/lua/admit.lua): keys take turns, whoever sends more. A request
stands in it as long as it asks again, so whoever waits in a gateway that dies is passed over within two seconds.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.relay.admit import Admission, Lease, Queued
from gateway.relay.estimate import Estimate
from gateway.routing.authorise import Route
from gateway.routing.fitting import Candidate


async def wait(
    admission: Admission,
    queued: Queued,
    request_id: str,
    route: Route,
    candidates: Sequence[Candidate],
    reservation: bytes,
    estimate: Estimate,
    gone: Callable[[], bool],
) -> Lease:
    """As `Admission.admit`, which has just said `queued`, and is asked again until the limit's patience is over, or the
    client has left (`gone`)."""
    began = time.monotonic()
    try:
        while True:
            left = began + queued.patience - time.monotonic()
            if left <= 0 or gone():
                raise queued
            await asyncio.sleep(min(queued.pause, left))
            try:
                return await admission.admit(request_id, route, candidates, reservation, estimate)
            except Queued as full:
                queued = full
    except BaseException:
        admission.give_up(request_id, route, queued)
        raise
