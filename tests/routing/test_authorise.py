"""What a name means, and that a key reaches nothing it was not given."""

import fnmatch
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.domain import FAMILIES, Account, Caller
from gateway.core.errors import Forbidden, GatewayError, InvalidRequest, NotFound
from gateway.core.snapshot import build
from gateway.platforms import PLATFORMS
from gateway.protocols.codec import Endpoint, Peek
from gateway.routing.authorise import EVERY, authorise, platforms_of, resolve
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
        "req_1", 0, 0, MESSAGE, "/v1/messages", b"", list(headers.items()), headers, "", _no_body, group, path_model
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
        ("claude,claude-x", "claude-x", FAMILIES["claude"], None, True),
        ("CLAUDE-official, claude-x", "claude-x", {"claude-official"}, None, True),
        ("ccr,claude-x", "claude-x", {"claude-ccr"}, None, True),
        ("claude-ccr,a,b", "a,b", {"claude-ccr"}, None, True),
        ("openai,gemma3:12b", "gemma3:12b", FAMILIES["openai"], None, True),
        ("gemini,models/gemini-x", "gemini-x", {"gemini"}, None, True),
        ("openai:gpt:x", "gpt:x", {"openai"}, None, True),
        ("deepseek:deepseek-chat", "deepseek-chat", EVERY, "deepseek", True),
        ("strange:deepseek-chat", "strange:deepseek-chat", EVERY, None, False),
        ("deepseek:", "deepseek:", EVERY, None, False),
        ("a/b/c", "a/b/c", EVERY, None, False),
    ],
)
def test_names(named: str, model: str, platforms: set[str], provider: str | None, explicit: bool) -> None:
    assert resolve(named, {"deepseek"}) == (model, frozenset(platforms), provider, explicit)


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
        authorise(call(group="b" if "groups" in fields else ""), caller(**fields), Peek(named), ())
    assert caught.value.code == code


def test_the_path_names_the_model_before_the_body() -> None:
    assert authorise(call("a"), caller(), Peek("b"), ()).model == "a"
    with pytest.raises(InvalidRequest) as caught:
        authorise(call(), caller(), Peek(None), ())
    assert (caught.value.code, caught.value.field) == ("invalid_request", "model")


@pytest.mark.parametrize("group", ["claude", "openai", "gemini"])
def test_the_plain_prefixes_are_no_groups(group: str) -> None:
    assert authorise(call(group=group), caller(groups=()), Peek("a"), ()).model == "a"
    with pytest.raises(NotFound):
        authorise(call(group="other"), caller(), Peek("a"), ())


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
        assert authorise(asked, caller(), Peek("a", session="body"), ()).session == name
        del headers[name.encode()]
    assert authorise(call(), caller(), Peek("a", session="body"), ()).session == "body"


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
            route = authorise(asked, who, Peek("".join(parts)), snapshot.providers("ten_1"))
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


async def test_a_model_of_another_protocol_alone_is_a_clear_400(world: World) -> None:
    await world.account("openai", models=["gpt-*"])
    answer = await world.ask(await world.key(), "gpt-sandbox-echo")
    assert (answer.status_code, code_of(answer)) == (400, "invalid_model")
    assert "translation" in answer.json()["error"]["message"]
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
    for named in ("ccr,sandbox-echo", "claude-ccr,sandbox-echo", "claude,sandbox-echo", "claude-ccr:sandbox-echo"):
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
