"""No key ever reaches a platform, pool, account, group or model that it was not given: whatever names, prefixes,
sessions and failovers say.

First pure, over generated worlds and every form of a name; then over two real gateways, one Redis and a real upstream
that keeps a bill of who asked it for what.
"""

import os
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Mapping
from random import Random

import pytest
import pytest_asyncio
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from gateway.core.domain import Account, Caller, Pool, Tenant
from gateway.core.errors import GatewayError
from gateway.core.groups import Alias, Group, Target
from gateway.core.names import session_name
from gateway.core.snapshot import Snapshot, build
from gateway.core.state import State
from gateway.protocols import CODECS
from gateway.protocols.codec import InvalidBody
from gateway.routing.authorise import Route, authorise
from gateway.routing.call import Call
from gateway.routing.choose import choose
from gateway.routing.paths import NoRoute, match
from gateway.routing.states import States
from tests.properties import naming, world
from tests.properties.naming import Groups, Meaning, Way
from tests.properties.realm import Realm
from tests.properties.walk import REACHED, Walk
from tests.properties.world import FOREIGN, MINE, NOW, Request
from tests.support.installation import BASES, Site, installation


def routed(asked: Request, caller: Caller, snapshot: Snapshot) -> Route:
    """As the pipeline does it. Raises GatewayError, NoRoute, InvalidBody."""
    found = match("POST", asked.path.encode())
    assert found.endpoint is not None
    call = Call(
        "req_1", NOW, 0.0, found.endpoint, asked.path, b"", [], asked.headers, "127.0.0.1", _no_body,
        group=found.group, path_model=found.model,
    )  # fmt: skip
    peek = CODECS[found.endpoint.protocol].peek(found.endpoint, asked.body)
    return authorise(call, caller, peek, snapshot)


def _no_body() -> Awaitable[bytes]:
    raise AssertionError("the body is here already")


def expected(
    accounts: list[Account],
    caller: Caller,
    said: Meaning,
    route: Route,
    held: dict[tuple[str, str], State],
    bound: bool,
) -> dict[str, set[str]]:
    """Account → upstream's names of the models, of those that may have the request."""
    found: dict[str, set[str]] = {}
    for one in accounts:
        for way in said.ways:
            upstream = one.model_map.get(way.model, way.model)
            if (
                world.given_to(caller, one)
                and world.asked_of(one, way)
                and world.can_serve(one, upstream, route.endpoint, route.stream)
                and world.is_up(one, upstream, held, NOW, bound=bound)
            ):
                found.setdefault(one.id, set()).add(upstream)
    return found


def chosen(route: Route, snapshot: Snapshot, states: States) -> dict[str, str] | tuple[str, str]:
    """Account → upstream's model; or the error's code and words."""
    try:
        return {one.account.id: one.model for one in choose(route, snapshot, states, NOW, turn=True)}
    except GatewayError as error:
        return error.code, error.message


class Made(Struct, frozen=True):
    accounts: list[Account]
    held: dict[tuple[str, str], State]
    groups: Groups


@st.composite
def worlds(draw: st.DrawFn) -> Made:
    number = draw(st.integers(2, 8))
    accounts = [draw(world.accounts(at)) for at in range(number)]
    return Made(accounts, draw(world.states(number)), draw(world.groups(number)))


def snapshot_of(made: Made, accounts: list[Account], foreign: bool = True) -> Snapshot:
    strategies = ("least_busy", "weighted", "latency")
    pools = [Pool(name, MINE, name, strategies[at]) for at, name in enumerate(world.POOLS)]  # type: ignore[arg-type]
    tenant = Tenant(MINE, "mine", active_group=made.groups.active or None)
    anything = (Alias("*", (Target("gpt-5"),)),)
    others = [Group(f"far_{name}", FOREIGN, name, aliases=anything) for name in world.GROUPS] if foreign else []
    return build(1, (tenant,), pools, accounts, [*others, *made.groups.all])


EXAMPLES = int(os.environ.get("REACH_EXAMPLES", "400"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(worlds(), st.data())
def test_candidates_are_those_that_the_key_was_given(made: Made, data: st.DataObject) -> None:
    accounts, groups = made.accounts, made.groups
    snapshot, states = snapshot_of(made, accounts), States()
    for (owner, scope), state in made.held.items():
        states.set(owner, scope, state)
    slugs = {one.provider for one in accounts if one.tenant_id == MINE}
    caller = data.draw(world.callers(len(accounts)))
    for _ in range(6):
        written = data.draw(world.names())
        asked = data.draw(world.requests(written))
        where = naming.place(asked.group, groups)
        # In a body of Gemini's a name is a path (`publishers/google/models/…`), whose end counts.
        bare = written
        if asked.path == "/gemini/v1/chat" and "/models/" in f"/{written}":
            bare = f"/{written}".rpartition("/models/")[2]
        said = naming.meaning(bare, slugs, where.group, groups, caller.groups)
        groupless = naming.refused(asked.group, caller.groups, groups)
        try:
            route = routed(asked, caller, snapshot)
        except (NoRoute, InvalidBody):
            event("no request")
            continue
        except GatewayError as error:
            event(error.code)
            _rightly_refused(error, groupless, caller, said, written)
            continue
        assert not any(groupless.values()), "a group that it was not given, or that is not there"
        assert said is not None
        assert naming.fits_any(said.model, caller.models)
        assert (route.group, route.model) == (said.group, said.model)
        led = Counter(
            Way(one.model, one.platforms, one.provider or "", one.pool_id or "", one.account_id or "", one.explicit)
            for one in route.destinations
        )
        assert led == Counter(said.ways)
        reached = chosen(route, snapshot, states)
        wanted = expected(accounts, caller, said, route, made.held, asked.bound)
        event(f"{'served' if wanted else 'nobody'}{' by an alias' if said.aliased else ''}")
        found = reached if isinstance(reached, dict) else {}
        assert found.keys() == wanted.keys()
        assert all(model in wanted[one] for one, model in found.items())
        # What the key was not given might as well not be there, but for the words "not your platform".
        mine = [one for one in accounts if one.tenant_id != FOREIGN]
        assert chosen(route, snapshot_of(made, mine, foreign=False), states) == reached


def _rightly_refused(
    error: GatewayError, groupless: Mapping[str, bool], caller: Caller, said: Meaning | None, written: str
) -> None:
    """Permission comes before existence, and nobody is refused what was given."""
    match error.code:
        case "group_forbidden" | "not_found":
            assert groupless[error.code]
        case "platform_forbidden":
            assert said is not None
            assert not naming.platforms_given(caller.platforms) & said.platforms
        case "model_forbidden":
            assert said is not None
            assert not naming.fits_any(said.model, caller.models)
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


# ---------------------------------------------------------------- for real


STEPS = int(os.environ.get("REACH_STEPS", "1000"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url) as made:
        await made.start_gateway()
        yield made


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.send.random.uniform", lambda low, high: 0.01)


@pytest.mark.parametrize("seed", [int(os.environ.get("REACH_SEED", "3"))])
async def test_a_walk_through_two_gateways(site: Site, seed: int) -> None:
    random = Random(seed)
    realms = [await Realm.make(site, random, 1000 * (at + 1)) for at in range(2)]
    for realm in realms:
        for platform in [*BASES, "azure-openai", "bedrock"] * 2:
            await realm.add_account(platform)
        for _ in range(5):
            await realm.add_key()
        for _ in range(3):
            await realm.change_group()
    going = Walk(site, realms, random)
    for _ in range(STEPS):
        await going.step()
    await going.rows()
    assert REACHED["200"] > STEPS / 20, "it reached something"
    assert REACHED["failovers"] > 3
    assert REACHED["by alias"] > STEPS / 50
    assert REACHED["next targets"] > 0
