"""What a name means, and that a key reaches nothing it was not given."""

import fnmatch
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.domain import FAMILIES, Account, Caller, Tenant
from gateway.core.errors import Forbidden, GatewayError, InvalidRequest, NotFound
from gateway.core.groups import Alias, Group, Target
from gateway.core.snapshot import EMPTY, Snapshot, build
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Endpoint, Peek
from gateway.routing.authorise import EVERY, Destination, authorise, drawn, group_of, platforms_of, resolve
from gateway.routing.call import Call
from gateway.routing.choose import choose
from gateway.routing.states import States
from tests.relay.world import CHAT, MESSAGES, OK, Raw, World, body, code_of

MESSAGE = Endpoint("anthropic", "generate", "/v1/messages")
CLAUDE = FAMILIES["claude"] & EVERY


async def _no_body() -> bytes:
    return b""


def call(path_model: str | None = None, group: str = "", **header: str) -> Call:
    headers = {name.replace("_", "-").encode(): value.encode() for name, value in header.items()}
    return Call(
        "req_1",
        0,
        0,
        MESSAGE,
        "/v1/messages",
        b"",
        list(headers.items()),
        headers,
        "",
        _no_body,
        group,
        path_model=path_model,
    )


def caller(**fields: Any) -> Caller:
    return Caller(
        **{"key_id": "key_1", "tenant_id": "ten_1", "name": "", "platforms": ("*",), "models": ("*",), **fields}
    )


@pytest.mark.parametrize(
    ("named", "model", "platforms", "provider", "explicit"),
    [
        ("claude-x", "claude-x", EVERY, None, False),
        ("models/gemini-x", "gemini-x", EVERY, None, False),
        ("gemma3:12b", "gemma3:12b", EVERY, None, False),
        ("claude,claude-x", "claude-x", FAMILIES["claude"], None, False),
        ("CLAUDE-official, claude-x", "claude-x", {"claude-official"}, None, True),
        ("ccr,claude-x", "claude-x", {"claude-ccr"}, None, True),
        ("claude-ccr,a,b", "a,b", {"claude-ccr"}, None, True),
        ("openai,gemma3:12b", "gemma3:12b", FAMILIES["openai"], None, False),
        ("gemini,models/gemini-x", "gemini-x", {"gemini"}, None, True),
        ("openai:gpt:x", "gpt:x", {"openai"}, None, True),
        ("deepseek:deepseek-chat", "deepseek-chat", EVERY, "deepseek", True),
        ("strange:deepseek-chat", "strange:deepseek-chat", EVERY, None, False),
        ("deepseek:", "deepseek:", EVERY, None, False),
        ("a/b/c", "a/b/c", EVERY, None, False),
    ],
)
def test_names(named: str, model: str, platforms: set[str], provider: str | None, explicit: bool) -> None:
    destination = Destination(model, frozenset(platforms), provider, explicit=explicit)
    assert resolve(named, {"deepseek"}) == (None, model, destination)


@pytest.mark.parametrize(
    "named", ["nobody,claude-x", ",x", "claude,", "claude, ", "deepseek,x", "x" * 513, "a\nb", "a\0b"]
)
def test_names_that_are_refused(named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(named, {"deepseek"})
    assert (caught.value.code, caught.value.field) == ("invalid_model", "model")


@pytest.mark.parametrize(
    ("fields", "named", "code"),
    [
        ({"platforms": ()}, "claude-x", "platform_forbidden"),
        ({"models": ()}, "claude-x", "model_forbidden"),
        ({"platforms": ("gemini",)}, "claude,claude-x", "platform_forbidden"),
        ({"platforms": ("openai",)}, "gemini:claude-x", "platform_forbidden"),
        ({"models": ("claude-*",)}, "gpt-1", "model_forbidden"),
        ({"models": ("claude-*",)}, "Claude-x", "model_forbidden"),
        ({"models": ("claude-*",)}, "openai,gpt-1", "model_forbidden"),
        ({"models": ("gpt-?",)}, "gpt-10", "model_forbidden"),
        ({"models": ("claude,*",)}, "claude,claude-x", "model_forbidden"),
        ({"groups": ("a-*",)}, "claude-x", "group_forbidden"),
    ],
)
def test_forbidden(fields: dict[str, Any], named: str, code: str) -> None:
    with pytest.raises(Forbidden) as caught:
        authorise(call(group="b" if "groups" in fields else ""), caller(**fields), Peek(named), EMPTY)
    assert caught.value.code == code


def test_the_path_names_the_model_before_the_body() -> None:
    assert authorise(call("a"), caller(), Peek("b"), EMPTY).model == "a"
    with pytest.raises(InvalidRequest) as caught:
        authorise(call(), caller(), Peek(None), EMPTY)
    assert (caught.value.code, caught.value.field) == ("invalid_request", "model")


@pytest.mark.parametrize("group", ["claude", "openai", "gemini"])
def test_the_plain_prefixes_are_no_groups(group: str) -> None:
    assert authorise(call(group=group), caller(groups=()), Peek("a"), EMPTY).model == "a"
    with pytest.raises(NotFound):
        authorise(call(group="other"), caller(), Peek("a"), EMPTY)


@pytest.mark.parametrize(
    ("names", "platforms"),
    [
        (("*",), EVERY),
        ((), set()),
        (("claude",), CLAUDE),
        (("gemini", "openai-responses"), {"gemini", "openai-responses"}),
        (("nobody",), set()),
    ],
)
def test_platforms(names: tuple[str, ...], platforms: set[str]) -> None:
    assert platforms_of(names) == platforms


def test_sessions_by_header_in_their_order() -> None:
    names = ["x-claude-code-session-id", "session-id", "session_id", "thread-id", "conversation_id", "x-session-id",
             "x-session-affinity"]  # fmt: skip
    headers = {name.encode(): name.encode() for name in names}
    for name in names:
        asked = call()
        asked.header = dict(headers)
        assert authorise(asked, caller(), Peek("a", session="body"), EMPTY).session == name
        del headers[name.encode()]
    assert authorise(call(), caller(), Peek("a", session="body"), EMPTY).session == "body"


# ------------------------------------------------------------------ groups


def alias(match: str, *targets: Target) -> Alias:
    return Alias(match, targets or (Target(f"of {match}"),))


def group(name: str, *aliases: Alias, tenant_id: str = "ten_1", **more: Any) -> Group:
    return Group(f"grp_{name}", tenant_id, name, aliases=aliases, **more)


def grouped(*groups: Group, active: str | None = None) -> Snapshot:
    tenant = Tenant("ten_1", "north", active_group=active)
    foreign = Account("acct_9", "ten_1", "", "openai", "", {}, provider="deepseek", models=("*",))
    return build(1, (tenant,), (), (foreign,), groups)


TEAM, DEFAULT, OFF = group("team"), group("default"), group("off", enabled=False)
FAR = group("far", tenant_id="ten_2")


@pytest.mark.parametrize(
    ("named", "groups", "active", "given", "found"),
    [
        ("", (), None, (), None),
        ("", (TEAM,), "team", (), None),
        ("", (TEAM, DEFAULT), None, (), "default"),
        ("", (group("default", enabled=False),), None, ("*",), None),
        ("", (group("Default"),), None, ("*",), None),
        ("team", (TEAM, DEFAULT), None, ("*",), "team"),
        ("team", (TEAM,), None, ("t*",), "team"),
        ("team", (TEAM,), None, ("Team", "other"), Forbidden),
        ("team", (TEAM,), None, (), Forbidden),
        ("default", (DEFAULT,), None, ("team",), Forbidden),
        ("default", (), None, ("*",), NotFound),
        ("TEAM", (TEAM,), None, ("*",), NotFound),
        ("tea*", (TEAM,), None, ("*",), NotFound),
        ("unknown", (TEAM, DEFAULT), None, ("*",), NotFound),
        ("unknown", (TEAM,), None, ("team",), Forbidden),
        ("off", (OFF, DEFAULT), None, ("*",), NotFound),
        ("off", (OFF,), None, (), Forbidden),
        ("far", (FAR,), None, ("*",), NotFound),
        ("claude", (), None, (), None),
        ("claude", (DEFAULT,), None, (), "default"),
        ("gemini", (group("claude"), DEFAULT), None, (), "default"),
        ("Claude", (DEFAULT,), None, ("*",), NotFound),
        *((name, (group(name), DEFAULT), None, (name,), name) for name in ("claude", "openai", "gemini")),
        *((name, (group(name), DEFAULT), None, ("team",), Forbidden) for name in ("claude", "openai", "gemini")),
        ("openai", (group("openai", enabled=False), DEFAULT), None, ("team",), "default"),
        ("openai", (group("openai", tenant_id="ten_2"),), None, (), None),
        ("switch", (TEAM, DEFAULT), None, ("*",), NotFound),
        ("switch", (TEAM, DEFAULT), "team", ("*",), "team"),
        ("switch", (TEAM, DEFAULT), "team", ("team",), "team"),
        ("switch", (TEAM, DEFAULT), "team", ("switch", "default"), Forbidden),
        ("switch", (OFF, DEFAULT), "off", ("*",), NotFound),
        ("switch", (OFF,), "off", ("team",), Forbidden),
        ("switch", (group("claude"),), "claude", ("team",), Forbidden),
        ("switch", (group("claude"),), "claude", ("claude",), "claude"),
        ("switch", (group("claude", enabled=False), DEFAULT), "claude", ("*",), NotFound),
        ("switch", (DEFAULT,), "default", ("*",), "default"),
    ],
)
def test_the_group_of_a_path(
    named: str, groups: tuple[Group, ...], active: str | None, given: tuple[str, ...], found: Any
) -> None:
    snapshot, who = grouped(*groups, active=active), caller(groups=given)
    if found is None or isinstance(found, str):
        picked = group_of(named, who, snapshot)
        assert (picked and picked.name) == found
        assert authorise(call(group=named), who, Peek("a"), snapshot).group is picked
        return
    with pytest.raises(found) as caught:
        group_of(named, who, snapshot)
    assert caught.value.code == ("group_forbidden" if found is Forbidden else "not_found")


FAST = group(
    "fast",
    alias("*-x", Target("wild")),
    alias("b", Target("exact")),
    alias("b*", Target("later")),
    alias("openai:gpt", Target("before the colon")),
    alias("openai,gpt", Target("never")),
    alias("deepseek:*", Target("all of a provider")),
    alias("a[bc]*", Target("bracket")),
    alias("team@b", Target("an @ of its own")),
)
SLOW = group("slow", alias("b", Target("of the other")))


@pytest.mark.parametrize(
    ("path", "named", "asked", "leads"),
    [
        # exact names before patterns, patterns in the operator's order
        ("fast", "b", "b", "exact"),
        ("fast", "b-x", "b-x", "wild"),
        ("fast", "bee", "bee", "later"),
        ("fast", "models/b", "b", "exact"),
        ("fast", "c", "c", "c"),
        ("fast", "B", "B", "B"),
        # a bracket is a letter
        ("fast", "a[bc]d", "a[bc]d", "bracket"),
        ("fast", "abd", "abd", "abd"),
        # platform,model comes before aliases, these before provider:model
        ("fast", "openai,gpt", "gpt", "gpt"),
        ("fast", "openai,b", "b", "b"),
        ("fast", "openai:gpt", "openai:gpt", "before the colon"),
        ("fast", "openai:b", "b", "b"),
        ("fast", "deepseek:chat", "deepseek:chat", "all of a provider"),
        ("slow", "deepseek:chat", "chat", "chat"),
        # group@alias overrides the path's
        ("fast", "slow@b", "b", "of the other"),
        ("", "slow@b", "b", "of the other"),
        ("claude", "fast@b", "b", "exact"),
        ("slow", "fast@b-x", "b-x", "wild"),
        ("slow", "fast@zzz", "zzz", "zzz"),
        ("fast", "slow@openai,b", "b", "b"),
        ("slow", "fast@openai:gpt", "openai:gpt", "before the colon"),
        ("", "models/fast@b", "b", "exact"),
        ("", "fast@models/b", "b", "exact"),
        ("", "fast@slow@b", "slow@b", "later"),
        # whose left side is no group: part of the name
        ("", "claude-opus-4@20250514", "claude-opus-4@20250514", "claude-opus-4@20250514"),
        ("slow", "openai,claude-opus-4@20250514", "claude-opus-4@20250514", "claude-opus-4@20250514"),
        ("fast", "off@b", "off@b", "off@b"),
        ("fast", "far@b", "far@b", "far@b"),
        ("fast", "Slow@b", "Slow@b", "Slow@b"),
        ("fast", "switch@b", "switch@b", "switch@b"),
        ("fast", "claude@b", "claude@b", "claude@b"),
        ("fast", "team@b", "team@b", "an @ of its own"),
        ("fast", "@b", "@b", "@b"),
        ("fast", "slow@", "slow@", "slow@"),
        ("fast", "openai,slow@b", "slow@b", "slow@b"),
    ],
)
def test_aliases_and_what_beats_them(path: str, named: str, asked: str, leads: str) -> None:
    bees = alias("slow@b", Target("later"))
    fast = group("fast", *FAST.aliases, *([bees] if named == "fast@slow@b" else []))
    snapshot = grouped(fast, SLOW, OFF, FAR, active="slow")
    route = authorise(call(group=path), caller(), Peek(named), snapshot)
    assert (route.model, [one.model for one in route.destinations]) == (asked, [leads])
    by_path = authorise(call(named, group=path), caller(), Peek(None), snapshot)
    assert by_path.destinations == route.destinations


@pytest.mark.parametrize(
    ("fields", "path", "named", "code"),
    [
        ({"groups": ("fast",)}, "slow", "b", "group_forbidden"),
        ({"groups": ()}, "fast", "slow@b", "group_forbidden"),
        ({"groups": ("slow",)}, "", "slow@b", None),
        ({"groups": ("slow",), "models": ("b",)}, "", "slow@b", None),
        ({"groups": ("fast",), "models": ("b",)}, "", "slow@b", "model_forbidden"),
        ({"groups": ("fast",)}, "", "off@b", None),
        ({"models": ("b",)}, "fast", "b", None),
        ({"models": ("b",)}, "", "fast@b", None),
        ({"models": ("fast@b",)}, "", "fast@b", "model_forbidden"),
        ({"models": ("exact",)}, "fast", "b", "model_forbidden"),
        ({"models": ("exact",)}, "fast", "exact", None),
        ({"platforms": ("gemini",)}, "places", "claude", "platform_forbidden"),
        ({"platforms": ("gemini",)}, "places", "claude or gemini", None),
        ({"platforms": ("bedrock",)}, "places", "claude", None),
        ({"platforms": ("gemini",), "models": ()}, "places", "claude or gemini", "model_forbidden"),
    ],
)
def test_permission_is_on_the_name_of_the_alias_and_on_the_group(
    fields: dict[str, Any], path: str, named: str, code: str | None
) -> None:
    claude, gemini = Target("m", platform="claude"), Target("m", platform="gemini")
    places = group("places", alias("claude", claude), alias("claude or gemini", claude, gemini))
    snapshot = grouped(FAST, SLOW, OFF, places)
    if code is None:
        authorise(call(group=path), caller(**fields), Peek(named), snapshot)
        return
    with pytest.raises(Forbidden) as caught:
        authorise(call(group=path), caller(**fields), Peek(named), snapshot)
    assert caught.value.code == code


@pytest.mark.parametrize("groups", [(), ("fast",), ("other*",)])
@pytest.mark.parametrize("models", [("*",), ("*@b",), ("b",), ()])
@pytest.mark.parametrize("prefix", ["", "models/"])
def test_a_group_that_the_key_may_not_use_is_like_one_that_is_not_there(
    groups: tuple[str, ...], models: tuple[str, ...], prefix: str
) -> None:
    who = caller(groups=groups, models=models)

    def outcome(left: str) -> object:
        try:
            route = authorise(call(), who, Peek(f"{prefix}{left}@b"), grouped(FAST, SLOW))
        except Forbidden as error:
            return error.code, error.message
        return route.group, route.model.replace(left, "?"), [one.model.replace(left, "?") for one in route.destinations]

    assert outcome("slow") == outcome("zzzz")


@pytest.mark.parametrize("named", ["fast@nobody,b", "fast@,b", "fast@openai,", "fast@" + "x" * 513, "fast@a\nb"])
def test_names_within_a_group_that_are_refused(named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        authorise(call(), caller(), Peek(named), grouped(FAST))
    assert (caught.value.code, caught.value.field) == ("invalid_model", "model")


@pytest.mark.parametrize(
    ("target", "destination"),
    [
        (Target("m"), Destination("m", explicit=True)),
        (Target("m", platform="bedrock"), Destination("m", frozenset({"bedrock"}), explicit=True)),
        (Target("m", platform="claude"), Destination("m", frozenset(CLAUDE), explicit=True)),
        (Target("m", platform="ccr"), Destination("m", frozenset({"claude-ccr"}), explicit=True)),
        (Target("m", provider="deepseek"), Destination("m", provider="deepseek", explicit=True)),
        (Target("m", pool_id="pool_1"), Destination("m", pool_id="pool_1", explicit=True)),
        (Target("m", account_id="acct_1"), Destination("m", account_id="acct_1", explicit=True)),
        (Target("openai,m:1@2"), Destination("openai,m:1@2", explicit=True)),
    ],
)
def test_where_a_target_leads(target: Target, destination: Destination) -> None:
    snapshot = grouped(group("team", alias("a*", target)))
    assert authorise(call(group="team"), caller(), Peek("ab"), snapshot).destinations == (destination,)


@pytest.mark.parametrize(
    ("mode", "ways"), [("auto", (False, True)), ("compat", (True, True)), ("native", (False, False))]
)
def test_the_groups_word_on_tools_beats_the_path(mode: Any, ways: tuple[bool, bool]) -> None:
    snapshot = grouped(group("team", tool_mode=mode))
    for path, wanted in zip((False, True), ways, strict=True):
        asked = call(group="team")
        asked.compat = path
        assert authorise(asked, caller(), Peek("a"), snapshot).compat is wanted
        assert authorise(asked, caller(), Peek("team@a"), snapshot).compat is wanted
        asked.endpoint = Endpoint("openai_chat", "embed", "/v1/embeddings")
        assert not authorise(asked, caller(), Peek("a"), snapshot).compat


# ------------------------------------------------------------------ weights

THREE = alias("a", Target("one", weight=1), Target("six", weight=6), Target("three", weight=3))


def test_weights_hold_and_every_target_is_there() -> None:
    first, second = Counter[str](), Counter[str]()
    for at in range(20_000):
        found = drawn(THREE, f"key_1 req_{at}")
        assert {one.model for one in found} == {"one", "six", "three"}
        first[found[0].model] += 1
        second[found[1].model] += found[0].model == "six"
    for model, share in (("one", 0.1), ("six", 0.6), ("three", 0.3)):
        assert abs(first[model] / 20_000 - share) < 0.02, "four standard deviations and more"
    assert abs(second["three"] / first["six"] - 0.75) < 0.025, "of what is left, by what they weigh"
    assert second["six"] == 0


def test_one_target_needs_no_drawing_and_equal_ones_are_drawn_alike() -> None:
    assert {drawn(alias("a"), f"{at}") for at in range(9)} == {(Destination("of a", explicit=True),)}
    twins = alias("a", *(Target("m", account_id=f"acct_{at}") for at in range(50)))
    first = Counter(drawn(twins, f"{at}")[0].account_id for at in range(10_000))
    assert len(first) == 50
    assert max(first.values()) < 300 and min(first.values()) > 120


def test_a_session_stays_with_its_order_and_is_its_keys_own() -> None:
    snapshot = grouped(group("team", THREE))

    def order(session: str | None, request: str, key: str = "key_1") -> tuple[str, ...]:
        asked = call(group="team")
        asked.request_id = request
        peek = Peek("a", session=session)
        found = authorise(asked, caller(key_id=key), peek, snapshot).destinations
        return tuple(one.model for one in found)

    for session in ("s-1", "s-2", "\ud800", "é"):
        assert len({order(session, f"req_{at}") for at in range(30)}) == 1
    assert len({order(None, f"req_{at}") for at in range(200)}) == 6
    assert len({order("s-1", "req_1", f"key_{at}") for at in range(200)}) == 6


# ------------------------------------------------------------------ whatever the names

_platform = st.sampled_from(sorted(PLATFORMS))
_word = st.sampled_from(["a", "b", "a:b", "claude", "openai:a", "x,y", "*", "[a]", "models/a", "a*", "?"])
_glob = st.sampled_from(["*", "a", "b", "a*", "?", "[!a]", "x,y", "claude", "a:b", "openai*", "models/*"])
_account = st.builds(
    lambda at, tenant, platform, provider, models, model_map, pools, explicit: Account(
        id=f"acct_{at}", tenant_id=tenant, name="", platform=platform, base_url="", credentials={}, provider=provider,
        models=tuple(models), model_map=model_map, pools=tuple(pools), explicit_only=explicit,
    ),
    st.integers(0, 5), st.sampled_from(["ten_1", "ten_2"]), _platform, st.sampled_from(["deepseek", "x", "openai"]),
    st.lists(_glob, max_size=2), st.dictionaries(_word, _word, max_size=2), st.lists(st.sampled_from(["p1", "p2"]), max_size=2),  # noqa: E501
    st.booleans(),
)  # fmt: skip
_caller = st.builds(
    lambda platforms, models, pools, account: caller(
        platforms=tuple(platforms), models=tuple(models), pools=tuple(pools), account_id=account
    ),
    st.lists(st.one_of(_platform, st.sampled_from(["*", "claude", "openai", "gemini", "nobody"])), max_size=3),
    st.lists(_glob, max_size=3),
    st.lists(st.sampled_from(["p1", "p2"]), max_size=2),
    st.one_of(st.none(), st.sampled_from(["acct_0", "acct_1"])),
)
_prefix = st.sampled_from(
    ["", "claude,", "openai,", "gemini,", "ccr,", "OPENAI,", "openai:", "deepseek:", "models/", "nobody,"]
)


@settings(max_examples=1500, deadline=None)
@given(_caller, st.lists(_account, max_size=6, unique_by=lambda one: one.id), st.tuples(_prefix, _prefix, st.one_of(_word, st.text(max_size=8))))  # fmt: skip  # noqa: E501
def test_no_key_reaches_what_it_was_not_given(who: Caller, accounts: list[Account], parts: tuple[str, ...]) -> None:
    snapshot = build(1, (), (), accounts)
    for endpoint in (MESSAGE, Endpoint("openai_chat", "generate", "/v1/chat/completions")):
        asked = call()
        asked.endpoint = endpoint
        try:
            route = authorise(asked, who, Peek("".join(parts)), snapshot)
            found = choose(route, snapshot, States(), 0)
        except GatewayError as error:
            assert error.http_status in {400, 403, 404}
            continue
        assert any(fnmatch.fnmatchcase(route.model, glob) for glob in who.models)
        allowed = frozenset().union(*(EVERY if n == "*" else FAMILIES.get(n, {n}) for n in who.platforms))
        for one in found:
            account = one.account
            assert account.tenant_id == "ten_1"
            assert account.platform in allowed
            assert not who.pools or set(who.pools) & set(account.pools)
            assert who.account_id in {None, account.id}
            assert route.model in account.model_map or any(fnmatch.fnmatchcase(route.model, g) for g in account.models)
            assert not account.explicit_only or "," in "".join(parts) or ":" in "".join(parts)


# ------------------------------------------------------------------ on the wire


async def test_permission_comes_before_existence(world: World) -> None:
    await world.account("claude-console", models=["claude-*"])
    await world.account("openai", models=["gpt-*"])
    key = await world.key(platforms=["claude"], models=["claude-*", "gpt-*"])
    for model, status, code in (
        ("claude-sandbox-echo", 200, None),
        ("gemini-1", 403, "model_forbidden"),
        ("gpt-sandbox", 403, "platform_forbidden"),
        ("openai,claude-1", 403, "platform_forbidden"),
        ("openai:claude-1", 403, "platform_forbidden"),
        ("nobody,claude-1", 400, "invalid_model"),
        ("claude-official,claude-1", 404, "model_not_found"),
    ):
        answer = await world.ask(key, model)
        assert answer.status_code == status, (model, answer.text)
        assert code is None or code_of(answer) == code, model
    nothing = await world.key(platforms=[], models=[])
    assert code_of(await world.ask(nothing, "no-such-model")) == "platform_forbidden"


async def test_a_model_of_another_protocol_alone_is_translated(world: World) -> None:
    await world.account("openai", models=["gpt-*"])
    answer = await world.ask(await world.key(), "gpt-sandbox-echo")
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "message"
    assert (await world.ask(await world.key(), "gpt-sandbox-echo", CHAT)).status_code == 200


async def test_a_bound_key_never_falls_back(world: World) -> None:
    bound = await world.account(enabled=False)
    await world.account()
    answer = await world.ask(await world.key(account_id=bound))
    assert (answer.status_code, code_of(answer)) == (503, "no_account")
    assert "1 disabled" in answer.json()["error"]["message"]


async def test_explicit_only_accounts_are_used_when_asked_for(world: World) -> None:
    await world.account("claude-ccr", explicit_only=True)
    key = await world.key()
    assert (await world.ask(key, "sandbox-echo")).status_code == 404
    assert (await world.ask(key, "claude,sandbox-echo")).status_code == 404, "a family names none of its platforms"
    for named in ("ccr,sandbox-echo", "claude-ccr,sandbox-echo", "claude-ccr:sandbox-echo"):
        assert (await world.ask(key, named)).status_code == 200, named


async def test_the_prefix_goes_and_every_other_byte_stays(world: World, raw: Raw) -> None:
    await world.account(base_url=raw.url, secret="sk-raw-0001", provider="deepseek")
    raw.say("sk-raw-0001", OK)
    key = await world.key()
    for prefix in ("claude,", "claude-console,", "deepseek:", "claude-console:", "models/", "", "claude, "):
        for name in ("gemma3:12b", "a/b"):
            sent = (
                '{ "x":"\\u00e9 model", "model" : "%s%s","max_tokens":5,\n"messages":[{"model":"claude,x"}],"é":1.0e3}'
            )
            answer = await world.site.http.post(
                MESSAGES, headers={"x-api-key": key, "content-type": "application/json"}, content=sent % (prefix, name)
            )
            assert answer.status_code == 200, answer.text
            assert raw.asked[-1].body.decode() == sent % ("", name)


@pytest.mark.parametrize(
    "sent",
    [
        '{"model":"a","Model":"b","messages":[]}',
        '{"MODEL":"a","messages":[]}',
        '{"model":"a","\\u004dodel":"b"}',
        '{"model":"a","model":"b"}',
        '{"model":"a","\\u006dodel":"b"}',
        '{"model":"a","\u017ftream":true}',
        '{"model":"a","Stream":true}',
    ],
)
async def test_a_name_that_an_upstream_may_take_for_another_is_refused(world: World, sent: str) -> None:
    await world.account()
    key = await world.key()
    answer = await world.site.http.post(MESSAGES, headers={"x-api-key": key}, content=sent.encode())
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request"), answer.text
    assert body("a")["model"] == "a"
