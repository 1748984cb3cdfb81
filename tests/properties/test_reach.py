"""No key ever reaches a platform, pool, account, group or model that it was not given: whatever names, prefixes,
sessions and failovers say.

First pure, over generated worlds and every form of a name; then over two real gateways, one Redis and a real upstream
that keeps a bill of who asked it for what.
"""

from collections.abc import Awaitable

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.core.domain import Account, Caller, Pool
from gateway.core.errors import GatewayError
from gateway.core.names import session_name
from gateway.core.snapshot import Snapshot, build
from gateway.core.state import State
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import Speech
from gateway.platforms.target import speech
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody
from gateway.routing.authorise import Route, authorise
from gateway.routing.call import Call
from gateway.routing.choose import choose, serving
from gateway.routing.paths import NoRoute, match
from gateway.routing.states import States
from tests.properties import world
from tests.properties.world import FOREIGN, MINE, NOW, Meaning, Request


class Placed(GatewayError):
    """The request named no endpoint, or its body could not be read."""


def routed(asked: Request, caller: Caller, snapshot: Snapshot) -> Route:
    """As the pipeline does it. Raises GatewayError, NoRoute, InvalidBody."""
    found = match("POST", asked.path.encode())
    assert found.endpoint is not None
    call = Call(
        "req_1", NOW, 0.0, found.endpoint, asked.path, b"", [], asked.headers, "127.0.0.1", _no_body,
        group=found.group, path_model=found.model,
    )  # fmt: skip
    peek = CODECS[found.endpoint.protocol].peek(found.endpoint, asked.body)
    return authorise(call, caller, peek, snapshot.providers(caller.tenant_id))


def _no_body() -> Awaitable[bytes]:
    raise AssertionError("the body is here already")


def expected(
    accounts: list[Account],
    caller: Caller,
    said: Meaning,
    route: Route,
    held: dict[tuple[str, str], State],
    bound: bool,
) -> dict[str, str]:
    """Account → upstream's model, of those that may have the request."""
    endpoint = route.endpoint
    found: dict[str, str] = {}
    for one in accounts:
        upstream = one.model_map.get(said.model, said.model)
        operation = endpoint.action or endpoint.operation
        if (
            world.given_to(caller, one)
            and world.asked_of(one, said)
            and speech(PLATFORMS[one.platform], one, upstream, endpoint.protocol, operation, route.stream)
            is not Speech.NONE
            and world.is_up(one, upstream, held, NOW, bound=bound)
        ):
            found[one.id] = upstream
    return found


def chosen(route: Route, snapshot: Snapshot, states: States) -> dict[str, str] | tuple[str, str]:
    """Account → upstream's model; or the error's code and words."""
    serving.cache_clear()
    try:
        return {one.account.id: one.model for one in choose(route, snapshot, states, NOW, turn=True)}
    except GatewayError as error:
        return error.code, error.message


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Account], dict[tuple[str, str], State]]:
    number = draw(st.integers(1, 6))
    accounts = [draw(world.accounts(at)) for at in range(number)]
    return accounts, draw(world.states(number))


def snapshot_of(accounts: list[Account]) -> Snapshot:
    strategies = ("least_busy", "weighted", "latency")
    pools = [Pool(name, MINE, name, strategies[at]) for at, name in enumerate(world.POOLS)]  # type: ignore[arg-type]
    return build(1, (), pools, accounts)


@settings(max_examples=400, deadline=None)
@given(worlds(), st.data())
def test_candidates_are_those_that_the_key_was_given(
    made: tuple[list[Account], dict[tuple[str, str], State]], data: st.DataObject
) -> None:
    accounts, held = made
    snapshot, states = snapshot_of(accounts), States()
    for (owner, scope), state in held.items():
        states.set(owner, scope, state)
    slugs = {one.provider for one in accounts if one.tenant_id == MINE}
    caller = data.draw(world.callers(len(accounts)))
    for _ in range(4):
        written = data.draw(world.names())
        asked = data.draw(world.requests(written))
        said = world.meaning(written, slugs)
        try:
            route = routed(asked, caller, snapshot)
        except (NoRoute, InvalidBody):
            event("no request")
            continue
        except GatewayError as error:
            event(error.code)
            _rightly_refused(error, asked, caller, said, written)
            continue
        assert not asked.group, "no tenant has groups yet: none may be reached"
        assert said is not None
        assert world.fits_any(said.model, caller.models)
        reached = chosen(route, snapshot, states)
        wanted = expected(accounts, caller, said, route, held, asked.bound)
        event("served" if wanted else "nobody")
        assert (reached if isinstance(reached, dict) else {}) == wanted
        # What the key was not given might as well not be there, but for the words "not your platform".
        others = [one for one in accounts if one.tenant_id != FOREIGN]
        assert chosen(route, snapshot_of(others), states) == reached


def _rightly_refused(error: GatewayError, asked: Request, caller: Caller, said: Meaning | None, written: str) -> None:
    """Permission comes before existence, and nobody is refused what was given."""
    group_given = world.fits_any(asked.group, caller.groups)
    match error.code:
        case "group_forbidden":
            assert asked.group
            assert not group_given
        case "not_found":
            assert asked.group
            assert group_given
        case "platform_forbidden":
            assert said is not None
            assert not world.platforms_given(caller.platforms) & said.platforms
        case "model_forbidden":
            assert said is not None
            assert not world.fits_any(said.model, caller.models)
        case "invalid_model" | "invalid_request":
            assert said is None or not world.printable(written) or not written
        case other:
            pytest.fail(f"unexpected {other}")


ids = st.text(st.sampled_from("ab\0|{}:,"), max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("t1", "t2")), st.sampled_from(("k1", "k2")), ids, ids), min_size=2, max_size=2)
)
def test_no_two_keys_share_a_session(pair: list[tuple[str, str, str, str]]) -> None:
    """The name under which a session's account is kept: another key's same session is another name."""
    one, two = (session_name(*each) for each in pair)
    if pair[0][:2] != pair[1][:2]:
        assert one != two
