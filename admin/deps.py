"""What handlers ask for by name: the transaction, the caller, how far it reaches, which part of a list."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter, SkipValidation
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncSession

from admin.caller import Caller
from admin.problem import Problem
from admin.resources import Resources
from gateway.core import changes, inspection
from gateway.core.services import keys
from gateway.core.services.reach import Reach
from gateway.core.services.rows import Window

Database = NamedDependency[SkipValidation[AsyncSession]]
Asking = NamedDependency[SkipValidation[Caller]]
Within = NamedDependency[SkipValidation[Reach]]
Part = NamedDependency[SkipValidation[Window]]
Holding = NamedDependency[SkipValidation[Resources]]


async def session(resources: Holding) -> AsyncGenerator[AsyncSession]:
    """The transaction of the request: committed after the handler and before the answer, so that a commit that fails
    is an answer that fails. It is the only generator dependency, since several are cleaned up at the same time."""
    async with transaction(resources) as opened:
        yield opened


@asynccontextmanager
async def transaction(resources: Resources) -> AsyncGenerator[AsyncSession]:
    """Committed at its end; then the gateways are told of it, and what was found of the old is lifted. Raises Problem
    when a cut was not sent."""
    async with resources.database() as opened:
        async with opened.begin():
            yield opened
        await changes.announce(opened, resources.redis)
        await inspection.lift_committed(opened, resources.redis)  # last of the two: gateways read the new meanwhile
        try:
            await keys.announce_cuts(opened, resources.redis)
        except RedisError:
            raise Problem(503, "cut_not_sent", "the key is disabled, but its running requests were not ended") from None


def caller(request: Request[Any, Any, Any]) -> Caller:
    return request.scope["auth"]


def reach(request: Request[Any, Any, Any]) -> Reach:
    """What the handler's own permission opens to the caller."""
    asking: Caller = request.scope["auth"]
    return asking.reach(request.route_handler.opt["permission"])


def window(
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    count: FromQuery[Literal["exact"] | None] = None,
) -> Window:
    return Window(cursor=cursor, limit=limit, exact=count == "exact")


def resources(state: State) -> Resources:
    return state.resources


DEPENDENCIES = {
    "session": Provide(session),
    "caller": Provide(caller, sync_to_thread=False),
    "reach": Provide(reach, sync_to_thread=False),
    "window": Provide(window, sync_to_thread=False),
    "resources": Provide(resources, sync_to_thread=False),
}
