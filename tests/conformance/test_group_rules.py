"""A group's rules as upstreams see them: on the verbatim path to the byte, and in every translation; its headers, its
word on tools, and that limits are about what is really asked for.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from gateway.local.sandbox import Rule
from tests.admin.conftest import Api
from tests.conformance.matrix import wires
from tests.conformance.matrix.clients import speaking
from tests.conformance.matrix.provider import Provider, providing
from tests.conformance.matrix.said import PROTOCOLS, Protocol, Talk
from tests.conformance.realm import ACCOUNTS, PATHS, Realm, operating, simple
from tests.relay.world import World, code_of
from tests.support.installation import Site

TEAM = "/team"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncGenerator[Provider]:
    async with providing() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def root(site: Site) -> AsyncGenerator[Api]:
    async with operating(site) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def realm(site: Site, root: Api, provider: Provider) -> Realm:
    """A tenant of the test's own."""
    provider.sandbox.rules.replace(())
    return Realm(await World.make(site), root, provider)


# ---------------------------------------------------------------- what is asked, and what an upstream hears

SYSTEM, USER, SCHEMA = "You are Acme's.", "Hello", {"type": "object", "properties": {"q": {"type": "string"}}}
TOOLS = ("web_search", "read", "web_fetch")


def full(client: str) -> dict[str, Any]:
    """A system text, a temperature of 0.8, three tools, at most 50 tokens."""
    functions = [{"name": name, "description": "d", "parameters": SCHEMA} for name in TOOLS]
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    match client:
        case "anthropic":
            tools = [{"name": name, "description": "d", "input_schema": SCHEMA} for name in TOOLS]
            return {"system": SYSTEM, "messages": chat[1:], "temperature": 0.8, "tools": tools, "max_tokens": 50}
        case "openai_chat":
            tools = [{"type": "function", "function": each} for each in functions]
            return {"messages": chat, "temperature": 0.8, "tools": tools, "max_completion_tokens": 50}
        case "openai_responses":
            tools = [{"type": "function", "strict": False, **each} for each in functions]
            return {
                "instructions": SYSTEM, "input": USER, "temperature": 0.8, "tools": tools, "max_output_tokens": 50,
            }  # fmt: skip
        case "gemini":
            return {
                "systemInstruction": {"parts": [{"text": SYSTEM}]},
                "contents": [{"role": "user", "parts": [{"text": USER}]}],
                "tools": [{"functionDeclarations": functions}],
                "generationConfig": {"temperature": 0.8, "maxOutputTokens": 50},
            }
        case _:
            tools = [{"type": "function", "function": each} for each in functions]
            return {"messages": chat, "tools": tools, "options": {"temperature": 0.8, "num_predict": 50}}


class Heard(NamedTuple):
    system: str
    user: str
    temperature: float | None
    tools: tuple[str, ...]
    most: int | None


def heard(upstream: str, body: Mapping[str, Any]) -> Heard:
    """What an upstream was asked, whatever its protocol."""
    tools = body.get("tools", [])
    match upstream:
        case "anthropic":
            (turn,) = body["messages"]
            return Heard(_text(body.get("system", "")), _text(turn["content"]), body.get("temperature"),
                         tuple(each["name"] for each in tools), body["max_tokens"])  # fmt: skip
        case "openai_responses":
            said = body["input"]
            turns = [{"role": "user", "content": said}] if isinstance(said, str) else said
            system = [body.get("instructions", ""), *_of(turns, "system", "developer")]
            return Heard("\n\n".join(filter(None, system)), "\n\n".join(_of(turns, "user")), body.get("temperature"),
                         tuple(each["name"] for each in tools), body.get("max_output_tokens"))  # fmt: skip
        case "gemini":
            config = body.get("generationConfig", {})
            names = [each["name"] for tool in tools for each in tool["functionDeclarations"]]
            (turn,) = body["contents"]
            return Heard(_text(body.get("systemInstruction", {}).get("parts", "")), _text(turn["parts"]),
                         config.get("temperature"), tuple(names), config.get("maxOutputTokens"))  # fmt: skip
        case _:
            turns, options = body["messages"], body.get("options", body)
            most = next((options[name] for name in ("max_completion_tokens", "max_tokens", "num_predict")
                         if name in options), None)  # fmt: skip
            names = [each["function"]["name"] for each in tools]
            return Heard("\n\n".join(_of(turns, "system", "developer")), "\n\n".join(_of(turns, "user")),
                         options.get("temperature"), tuple(names), most)  # fmt: skip


def _of(turns: Any, *roles: str) -> list[str]:
    return [_text(turn["content"]) for turn in turns if turn["role"] in roles]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n\n".join(part["text"] for part in content)


MOST: dict[str, dict[str, Any]] = {
    "anthropic": {"max_tokens": 33},
    "openai_chat": {"max_completion_tokens": 33},
    "openai_responses": {"max_output_tokens": 33},
    "gemini": {"generationConfig": {"maxOutputTokens": 33}},
    "ollama": {"options": {"num_predict": 33}},
}
"""In each client's own dialect."""
HOT: dict[str, dict[str, Any]] = {
    **{name: {"temperature": 0.3} for name in ("anthropic", "openai_chat", "openai_responses")},
    "gemini": {"generationConfig": {"temperature": 0.3}},
    "ollama": {"options": {"temperature": 0.3}},
}
WHOLE = Heard(SYSTEM, USER, 0.8, TOOLS, 50)
BRIEF = {"mode": "append", "text": "Be brief."}
RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "append": ({"prompt": BRIEF}, {"system": f"{SYSTEM}\n\nBe brief."}),
    "prepend": ({"prompt": {**BRIEF, "mode": "prepend"}}, {"system": f"Be brief.\n\n{SYSTEM}"}),
    "replace": ({"prompt": {**BRIEF, "mode": "replace"}}, {"system": "Be brief."}),
    "append, user": ({"prompt": {**BRIEF, "position": "user"}}, {"user": f"{USER}\n\nBe brief."}),
    "find and replace": (
        {"prompt": {"replace": [{"find": "Acme", "with": "Globex"}, {"find": "You are ", "with": "I am "}]}},
        {"system": "I am Globex's."},
    ),
    "only models": ({"prompt": {**BRIEF, "only_models": ["fast"]}}, {"system": f"{SYSTEM}\n\nBe brief."}),
    "other models": ({"prompt": {**BRIEF, "only_models": ["claude-*", "sandbox-*"]}}, {}),
    "temperature": ({"temperature_ratio": 0.5}, {"temperature": 0.4}),
    "tools": ({"tools_removed": ["web_*"]}, {"tools": ("read",)}),
    "all tools": ({"tools_removed": ["*"]}, {"tools": ()}),
}
PAIRS = [(client, upstream) for client in PROTOCOLS for upstream in ACCOUNTS]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
async def test_every_rule_in_every_direction(realm: Realm, client: str, upstream: str) -> None:
    """Verbatim where both are of one protocol, else translated."""
    await realm.at(upstream, models=["sandbox-echo"])
    key, fast = await realm.key(), [{"match": "fast", "targets": [{"model": "sandbox-echo"}]}]
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        **RULES,
        "nothing": ({}, {}),
        "override": ({"params_override": MOST[client]}, {"most": 33}),
        "default": ({"params_default": MOST[client]}, {}),
        "override of what is scaled": (
            {"params_override": HOT[client], "temperature_ratio": 0.5}, {"temperature": 0.3}
        ),
    }  # fmt: skip
    group = await realm.group("team", aliases=fast)
    for at, (name, (rules, changed)) in enumerate(cases.items()):
        await realm.root(f"PATCH /groups/{group}", {**dict.fromkeys(_RULES), **rules})
        await realm.site.reload()
        body = {"model": "fast", **full(client)}
        answer = await realm.said(client, key, body, stream=at % 2 == 0, prefix=TEAM)
        assert "Hello" in answer.text
        found = heard(realm.spoken, realm.provider.body)
        assert found == WHOLE._replace(**changed), name
    less = {name: each for name, each in simple(client, "fast").items() if name != "max_tokens"}
    await realm.root(f"PATCH /groups/{group}", {**dict.fromkeys(_RULES), "params_default": MOST[client]})
    await realm.site.reload()
    await realm.said(client, key, less, prefix=TEAM)
    assert heard(realm.spoken, realm.provider.body).most == 33


_RULES = ("prompt", "temperature_ratio", "tools_removed", "params_default", "params_override")


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_every_other_byte_stays(realm: Realm, client: str) -> None:
    await realm.at(client, models=["sandbox-echo"])
    group = await realm.group("team")
    key = await realm.key()
    body = json.dumps(full(client) | {"unknown": [1.0, 1e3, "é"]}, indent=3)
    if client != "gemini":
        body = '{"model" :"sandbox-echo",  ' + body[1:]
    path = PATHS[client].format(model="sandbox-echo", action="generateContent")
    body = body.replace('"é"', '"\\u00E9\\/é"')
    for prefix in ("", TEAM):
        await realm.post(key, path, body.encode(), prefix=prefix)
        assert realm.heard.body == body.encode(), prefix
    edits = [("temperature_ratio", 0.5, "0.8", "0.4"), ("tools_removed", ["nothing"], "", "")]
    for name, value, before, after in edits:
        await realm.root(f"PATCH /groups/{group}", {**dict.fromkeys(_RULES), name: value})
        await realm.site.reload()
        await realm.post(key, path, body.encode(), prefix=TEAM)
        assert realm.heard.body == body.replace(before, after, 1).encode(), name
    await realm.post(key, path, body.encode())
    assert realm.heard.body == body.encode(), "the rules are the group's alone"


async def test_only_the_name_of_an_alias_changes(realm: Realm) -> None:
    await realm.at("anthropic", models=["sandbox-echo"])
    await realm.group("team", aliases=[{"match": "*", "targets": [{"model": "sandbox-echo"}]}])
    body = '{ "model":\t"%s","max_tokens":9 ,"messages":[{"role":"user","content":"model"}],"é":1.0e3 }'
    for named in ("fast", "models/fast", "team@fast", "\\u0066ast"):
        answer = await realm.post(await realm.key(), "/v1/messages", (body % named).encode(), prefix=TEAM)
        assert answer.status_code == 200, answer.text
        assert realm.heard.body.decode() == body % "sandbox-echo"
        assert answer.json()["model"] == "sandbox-echo", "an answer is not rewritten on the verbatim path"


async def test_counting_and_embedding(realm: Realm) -> None:
    await realm.at("anthropic", models=["claude-sandbox"])
    await realm.at("openai_chat", models=["embed-sandbox"])
    aliases = [{"match": each, "targets": [{"model": f"{each}-sandbox"}]} for each in ("claude", "embed")]
    await realm.group("team", aliases=aliases, prompt=BRIEF, params_override={"max_tokens": 3})
    key, asked = await realm.key(), {name: full("anthropic")[name] for name in ("system", "messages")}
    answer = await realm.post(key, "/v1/messages/count_tokens", {"model": "claude", **asked}, prefix=TEAM)
    assert answer.json()["input_tokens"] > 0
    assert realm.provider.body == {"model": "claude-sandbox", **asked, "system": f"{SYSTEM}\n\nBe brief."}
    answer = await realm.post(key, "/v1/embeddings", {"model": "embed", "input": "a"}, prefix=TEAM)
    assert answer.status_code == 200, answer.text
    assert realm.provider.body == {"model": "embed-sandbox", "input": "a"}


async def test_chat_words_on_geminis_path_are_ruled_as_such(realm: Realm) -> None:
    await realm.at("gemini", models=["sandbox-echo"])
    await realm.group("default", prompt=BRIEF, tools_removed=["web_*"], temperature_ratio=0.5)
    key = await realm.key()
    for body in (full("openai_chat"), full("gemini")):
        answer = await realm.post(key, "/gemini/v1/chat", {"model": "sandbox-echo", **body})
        assert answer.status_code == 200, answer.text
        wanted = WHOLE._replace(system=f"{SYSTEM}\n\nBe brief.", tools=("read",), temperature=0.4)
        assert heard("gemini", realm.provider.body) == wanted


async def test_what_a_rule_cannot_read_is_the_clients_fault(realm: Realm) -> None:
    await realm.at("anthropic")
    await realm.group("team", temperature_ratio=0.5)
    body = {**simple("anthropic", "sandbox-echo"), "temperature": "hot"}
    answer = await realm.post(await realm.key(), "/v1/messages", body, prefix=TEAM)
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")
    assert "temperature" in answer.json()["error"]["message"]


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic"])
async def test_headers_replace_the_clients_and_the_accounts_own_win(realm: Realm, upstream: str) -> None:
    """The client speaks OpenAI's: the one account is asked verbatim, the other by translation."""
    own = {"options": {"organization": "org-own", "protocols": ["openai_chat"]}} if upstream == "openai_chat" else {}
    await realm.at(upstream, models=["sandbox-echo"], **own)
    headers = {"X-Team": "a", "user-agent": "team/1", "openai-organization": "org-group", "anthropic-beta": "b-1"}
    await realm.group("team", headers=headers)
    key, body = await realm.key(debug=True), simple("openai_chat", "sandbox-echo")
    client = {"x-team": "mine", "X-TEAM": "too", "user-agent": "client/1", "anthropic-beta": "c-1", "x-other": "kept"}
    answer = await realm.said("openai_chat", key, body, prefix=TEAM, headers=client)
    seen = realm.heard.headers
    assert [value for name, value in seen if name == "x-team"] == ["a"]
    assert [value for name, value in seen if name == "user-agent"] == ["team/1"]
    assert [value for name, value in seen if name == "anthropic-beta"] == ["c-1,b-1" if own else "b-1"]
    organisations = [value for name, value in seen if name == "openai-organization"]
    assert organisations == (["org-own"] if own else [])
    assert key not in str(seen)
    assert answer.headers["x-poolgate-account"].startswith("acct_")
    assert answer.headers["x-poolgate-attempts"] == "1"
    assert "x-team" not in answer.headers
    await realm.said("openai_chat", key, body, headers=client)
    plain = dict(realm.heard.headers)
    assert plain["user-agent"] == "client/1"
    assert plain.get("x-other") == ("kept" if own else None)
    assert not any(name.startswith("x-poolgate-") for name, _ in seen)


async def test_betas_of_the_group_join_the_clients_and_go_before_those_of_an_oauth_account(realm: Realm) -> None:
    await realm.account(
        "claude-official", base_url=realm.provider.url, models=["sandbox-echo"],
        credentials={"access_token": "sk-ant-oat-0001"},
    )  # fmt: skip
    await realm.group("team", headers={"anthropic-beta": "group-1", "anthropic-version": "2023-01-01"})
    answer = await realm.message(await realm.key(), "sandbox-echo", headers={"anthropic-beta": "client-1"})
    assert answer.status_code == 200, answer.text
    assert realm.heard.header("anthropic-beta") == "client-1,group-1,oauth-2025-04-20"
    assert realm.heard.header("anthropic-version") == "2023-01-01"
    assert realm.heard.header("authorization") == "Bearer sk-ant-oat-0001"


# ---------------------------------------------------------------- tools as text

CALL = (
    '<pg:call name="weather"><pg:arg name="city">Athens</pg:arg><pg:arg name="days">2</pg:arg></pg:call>'
)  # fmt: skip


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic"])
async def test_the_groups_word_on_tools_beats_the_path(realm: Realm, client: Protocol, upstream: str) -> None:
    """In what is asked and in what is answered."""
    await realm.at(upstream, models=["writes"])
    modes = ("auto", "compat", "native")
    for mode in modes:
        await realm.group(f"of-{mode}", tool_mode=mode)
    realm.script(Rule(say=CALL))
    key, talk = await realm.key(), Talk("writes", tools=("weather",))
    for mode in modes:
        for below in ("", "/compat_mode"):
            as_text = mode == "compat" or (mode == "auto" and below != "")
            async with speaking(client, f"{realm.site.url}/of-{mode}{below}", key) as sdk:
                for stream in (False, True):
                    said = await sdk.ask(talk, stream)
                    sent = json.dumps(realm.provider.body)
                    assert ("tools" in realm.provider.body) is not as_text
                    assert ("<pg:call" in sent) is as_text
                    if as_text:
                        assert [(call.name, call.arguments) for call in said.calls] == [
                            ("weather", {"city": "Athens", "days": 2})
                        ]
                        assert (said.text.strip(), said.stop) == ("", "tool_use")
                        assert wires.faults(client, sdk.wire) == []
                    else:
                        assert (said.text, said.calls, said.stop) == (CALL, (), "end")


# ---------------------------------------------------------------- limits


async def test_limits_are_about_what_is_asked_for_in_the_end(realm: Realm) -> None:
    await realm.at("anthropic", models=["sandbox-echo"])
    await realm.group("less", params_override={"max_tokens": 16})
    await realm.group("more", params_override={"max_tokens": 90_000})
    await realm.group("longer", prompt={"mode": "append", "text": "word " * 20_000})
    limit = {"type": "tokens", "per": "minute", "max": 20_000, "reserve": "worst"}

    async def ask(prefix: str, most: int) -> Any:
        return await realm.message(await realm.key(limits=[limit]), "sandbox-echo", prefix, max_tokens=most)

    for prefix, most, status in (
        ("", 16, 200),
        ("", 90_000, 429),
        ("/less", 90_000, 200),
        ("/more", 16, 429),
        ("/longer", 16, 429),
    ):
        answer = await ask(prefix, most)
        assert answer.status_code == status, (prefix, answer.text)
        assert status == 200 or code_of(answer) == "token_limited"
    left = int((await ask("/less", 90_000)).headers["anthropic-ratelimit-tokens-remaining"])
    assert 19_900 < left < 20_000
