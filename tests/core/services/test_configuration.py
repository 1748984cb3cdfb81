"""What a gateway reads: the snapshot without what is broken or deleted, and a caller with all that limits it."""

import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from gateway.core import changes, db
from gateway.core import models as m
from gateway.core.domain import Capture, Proxy, Timeouts
from gateway.core.groups import Alias, Group, PromptRule, Rules, Target
from gateway.core.ids import new_id
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.secret import Secret
from gateway.core.services.configuration import find_caller, load, opened, redigest

SEALER = Sealer((bytes(32),))
PAST = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = {"type": "requests", "per": "minute", "max": 60}


class Platform(Struct):
    base_url: str | None
    models: tuple[str, ...]


PLATFORMS = {"openai": Platform("https://api.openai.com", ("gpt-*",)), "claude-console": Platform(None, ("claude-*",))}


@pytest_asyncio.fixture(loop_scope="session")
async def session(database_url: str) -> AsyncGenerator[AsyncSession]:
    """A transaction that is rolled back."""
    async with db.engine(database_url) as engine, db.sessions(engine)() as made:
        yield made


async def tenant(session: AsyncSession, **fields: Any) -> str:
    identity = new_id("ten")
    session.add(m.Tenant(id=identity, name=identity, **fields))
    await session.flush()
    return identity


async def account(session: AsyncSession, tenant_id: str, name: str, sealed_for: str = "", **fields: Any) -> str:
    identity = new_id("acct")
    values = {
        "platform": "openai",
        "provider": "openai",
        "credentials": SEALER.seal_credentials({"api_key": f"sk-{name}"}, sealed_for or identity),
        "credential_fields": ["api_key"],
        **fields,
    }
    session.add(m.Account(id=identity, tenant_id=tenant_id, name=name, **values))
    await session.flush()
    return identity


async def key(
    session: AsyncSession, tenant_id: str, digest: bytes, expires: datetime | None = None, **fields: Any
) -> str:
    identity = new_id("key")
    values = {"name": "k", "prefix": "sk-", "last_four": "1234", "platforms": ["*"], "models": ["*"], **fields}
    session.add(m.Key(id=identity, tenant_id=tenant_id, **values))
    await session.flush()
    session.add(m.KeySecret(digest=digest, key_id=identity, pepper_id="p", expires_at=expires))
    await session.flush()
    return identity


async def proxy(session: AsyncSession, tenant_id: str, url: bytes) -> str:
    identity = new_id("prx")
    session.add(
        m.Proxy(id=identity, tenant_id=tenant_id, name=identity, url=SEALER.seal(url, f"proxies/{identity}/url"))
    )
    await session.flush()
    return identity


async def test_an_account_without_its_proxy_is_left_out(session: AsyncSession) -> None:
    """It must not go out directly instead."""
    own = await tenant(session)
    good = await proxy(session, own, b"http://u:p@proxy.example:3128")
    bad = await proxy(session, own, b"gopher://proxy.example")
    through = await account(session, own, "through", proxy_id=good)
    direct = await account(session, own, "direct")
    await account(session, own, "lost", proxy_id=bad)
    with capture_logs() as logged:
        found = await load(session, SEALER, PLATFORMS)
    assert [one.id for one in found.by_tenant[own]] == [through, direct]
    assert found.accounts[through].proxy == Proxy(good, "http", "proxy.example", 3128, Secret("u"), Secret("p"))
    assert found.accounts[direct].proxy is None
    assert [entry.get("proxy") for entry in logged if entry.get("proxy")] == [bad]
    assert "gopher" not in str(logged)


async def test_an_account_is_not_opened_with_another_proxy(session: AsyncSession) -> None:
    own = await tenant(session)
    named = await proxy(session, own, b"http://proxy.example")
    row = await session.get(m.Account, await account(session, own, "through", proxy_id=named))
    assert row is not None
    right = Proxy(named, "http", "proxy.example", 80)
    assert opened(row, SEALER, "https://x", (), right).proxy == right
    for wrong in (None, Proxy(new_id("prx"), "http", "proxy.example", 80)):
        with pytest.raises(SealBroken):
            opened(row, SEALER, "https://x", (), wrong)


async def test_the_snapshot(session: AsyncSession) -> None:
    version = await changes.record(session, "test", "x")
    key = new_id("key")
    own = await tenant(session, public_lists=True, enabled=False, ollama_key_id=key)
    gone = await tenant(session, deleted_at=PAST)
    pool = new_id("pool")
    session.add(m.Pool(id=pool, tenant_id=own, name="p", strategy="weighted"))
    plain = await account(session, own, "plain")
    rich = await account(
        session, own, "rich", platform="claude-console", provider="zai", base_url="https://z", models=["glm-*"],
        model_map={"a": "b"}, pools=[pool], priority=3, weight=7, max_concurrency=4, enabled=False, explicit_only=True,
        options={"auth_header": "bearer"}, timeouts={"connect": 1.5}, expires_at=PAST,
    )  # fmt: skip
    await account(session, own, "deleted", deleted_at=PAST)
    nothing = await account(session, own, "nothing", models=[])
    found = await load(session, SEALER, PLATFORMS)
    assert found.version == version
    assert (found.tenants[own].public_lists, found.tenants[own].enabled) == (True, False)
    assert found.tenants[own].ollama_key_id == key
    assert gone not in found.tenants
    assert (found.pools[pool].tenant_id, found.pools[pool].strategy) == (own, "weighted")
    assert [one.id for one in found.by_tenant[own]] == [rich, plain, nothing]
    one = found.accounts[plain]
    assert (one.base_url, one.models, one.timeouts, one.expires_at) == (
        "https://api.openai.com",
        ("gpt-*",),
        Timeouts(),
        None,
    )
    assert one.credentials["api_key"].reveal() == "sk-plain"
    assert found.accounts[nothing].models == ()
    two = found.accounts[rich]
    assert (two.base_url, two.models, two.model_map, two.pools) == ("https://z", ("glm-*",), {"a": "b"}, (pool,))
    assert (two.priority, two.weight, two.max_concurrency, two.enabled, two.explicit_only) == (3, 7, 4, False, True)
    assert (two.timeouts.connect, two.timeouts.total, two.expires_at) == (1.5, 600, PAST.timestamp())
    assert found.providers(own) == {"openai", "zai"}


BROKEN = {
    "sealed for another row": {"sealed_for": "acct_other"},
    "cut off": {"credentials": b"\x01"},
    "empty": {"credentials": b""},
    "another master key": {"credentials": Sealer((os.urandom(32),)).seal(b"{}", "x")},
    "an unknown platform": {"platform": "of-tomorrow"},
    "timeouts of another form": {"timeouts": {"connect": "soon"}},
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_one_broken_account_does_not_stop_the_others(session: AsyncSession, kind: str) -> None:
    own = await tenant(session)
    good = await account(session, own, "good")
    bad = await account(session, own, "canary", **BROKEN[kind])
    with capture_logs() as logs:
        found = await load(session, SEALER, PLATFORMS)
    assert [one.id for one in found.by_tenant[own]] == [good]
    assert [one["account"] for one in logs] == [bad]
    assert "sk-canary" not in repr(logs)


@pytest.mark.parametrize(
    ("own", "of_tenant", "together"), [("1", "1", "1"), ("1.5", "0.5", "0.75"), ("0.1", "0.2", "0.02"), ("3", "0", "0")]
)
async def test_the_multiplier_is_the_key_s_times_the_tenant_s(
    session: AsyncSession, own: str, of_tenant: str, together: str
) -> None:
    await key(session, await tenant(session, price_multiplier=of_tenant), b"digest", price_multiplier=own)
    found = await find_caller(session, [b"digest"])
    assert found is not None
    assert found[0].price_multiplier == together


async def test_what_is_captured(session: AsyncSession) -> None:
    """Off unless it is said to be on, and when it cannot be read."""
    for value in (None, {}, {"enabled": False, "redact": ["x"]}, {"enabled": "maybe"}, {"enabled": True, "more": 1}):
        await tenant(session, capture=value)
    on = await tenant(session, capture={"enabled": True, "redact": ["x"], "max_bytes": 2000})
    with capture_logs() as logs:
        made = await load(session, SEALER, PLATFORMS)
    assert made.captures == {on: Capture(True, 7, ("x",), 2000)}
    assert [entry["log_level"] for entry in logs] == ["error", "error"]


async def group(session: AsyncSession, tenant_id: str, name: str, **fields: Any) -> str:
    identity = new_id("grp")
    session.add(m.Group(id=identity, tenant_id=tenant_id, name=name, **fields))
    await session.flush()
    return identity


async def test_groups_and_which_is_active(session: AsyncSession) -> None:
    own, other = await tenant(session), await tenant(session)
    aliases = [{"match": "a*", "targets": [{"model": "m", "provider": "x", "weight": 2}]}]
    rules: dict[str, Any] = {
        "prompt": {"mode": "append", "text": "t"},
        "tools_removed": ["x"],
        "params_default": {"a": 0},
    }
    rich = await group(session, own, "rich", aliases=aliases, headers={"x-a": "b"}, tool_mode="native", **rules)
    off, far = await group(session, own, "off", enabled=False), await group(session, other, "off")
    for tenant_id, active in ((own, off), (other, far)):
        (await session.get_one(m.Tenant, tenant_id)).active_group_id = active
    await session.flush()
    found = await load(session, SEALER, PLATFORMS)
    assert found.groups[own] == {
        "rich": Group(
            rich, own, "rich", True, (Alias("a*", (Target("m", provider="x", weight=2),)),),
            Rules(PromptRule("append", text="t"), 1.0, ("x",), {"a": 0}, {}), "native", {"x-a": "b"},
        ),
        "off": Group(off, own, "off", enabled=False),
    }  # fmt: skip
    assert (found.active[own], found.active[other]) == ("off", "off")
    assert (found.group(own, "off"), found.group(other, "off")) == (None, Group(far, other, "off"))
    narrow = await load(session, SEALER, PLATFORMS, tenant_id=own)
    assert set(narrow.groups) == {own}
    assert narrow.active == {own: "off"}


async def test_one_broken_group_does_not_stop_the_others(session: AsyncSession) -> None:
    own = await tenant(session)
    await group(session, own, "good")
    bad = await group(session, own, "bad", prompt={"mode": "loudly"})
    with capture_logs() as logs:
        found = await load(session, SEALER, PLATFORMS)
    assert set(found.groups[own]) == {"good"}
    assert [(one["group"], one["log_level"]) for one in logs] == [(bad, "error")]


async def test_a_caller_with_everything(session: AsyncSession) -> None:
    own, other = await tenant(session, limits=[{**MINUTE, "max": 4}]), await tenant(session)
    user, team = new_id("usr"), new_id("team")
    roles = [m.UserRole(tenant_id=one, role="member") for one in (own, other)]
    session.add(m.User(id=user, email=user, limits=[{**MINUTE, "max": 2}], roles=roles))
    await session.flush()
    for identity, tenant_id, most in ((team, own, 3), (new_id("team"), other, 9)):
        joined = [m.TeamMember(tenant_id=tenant_id, user_id=user)]
        limits = [{**MINUTE, "max": most}]
        session.add(m.Team(id=identity, tenant_id=tenant_id, name="t", limits=limits, members=joined))
    await session.flush()
    pool, acct = new_id("pool"), new_id("acct")
    identity = await key(
        session, own, b"digest", user_id=user, platforms=["claude"], models=["claude-*"], groups=["fast"], pools=[pool],
        account_id=acct, allowed_ips=["10.0.0.0/8"], allowed_clients=["codex*"], limits=[{**MINUTE, "max": 1}],
        expires_at=PAST, on_disconnect="drain", price_multiplier="1.5", debug=True,
    )  # fmt: skip
    found = await find_caller(session, [b"other", b"digest"])
    assert found is not None
    caller, digest = found
    assert digest == b"digest"
    assert (caller.key_id, caller.tenant_id, caller.user_id, caller.enabled) == (identity, own, user, True)
    assert caller.team_id == team
    assert (caller.platforms, caller.models, caller.groups, caller.pools) == (
        ("claude",),
        ("claude-*",),
        ("fast",),
        (pool,),
    )
    assert (caller.account_id, caller.allowed_ips, caller.allowed_clients) == (acct, ("10.0.0.0/8",), ("codex*",))
    assert (caller.expires_at, caller.secret_expires_at) == (PAST.timestamp(), None)
    assert (caller.on_disconnect, caller.price_multiplier, caller.debug) == ("drain", "1.5", True)
    assert [(one.scope, one.owner, one.max) for one in caller.limits] == [
        ("key", identity, 1), ("user", f"{user}/{own}", 2), ("team", team, 3), ("tenant", own, 4)
    ]  # fmt: skip


async def test_unknown_and_deleted_are_the_same(session: AsyncSession) -> None:
    own, gone = await tenant(session), await tenant(session, deleted_at=PAST)
    await key(session, own, b"deleted", deleted_at=PAST)
    await key(session, gone, b"tenant gone")
    for digests in ([b"deleted"], [b"tenant gone"], [b"unknown"], []):
        assert await find_caller(session, digests) is None


@pytest.mark.parametrize("off", ["key", "user", "tenant"])
async def test_disabled_anywhere_is_disabled(session: AsyncSession, off: str) -> None:
    own = await tenant(session, enabled=off != "tenant")
    user = new_id("usr")
    session.add(m.User(id=user, email=user, enabled=off != "user"))
    await session.flush()
    await key(session, own, b"digest", user_id=user, enabled=off != "key")
    found = await find_caller(session, [b"digest"])
    assert found is not None
    assert not found[0].enabled


async def test_a_rotated_secret_has_an_end(session: AsyncSession) -> None:
    identity = await key(session, await tenant(session), b"old", expires=PAST)
    session.add(m.KeySecret(digest=b"new", key_id=identity, pepper_id="p"))
    await session.flush()
    old, new = await find_caller(session, [b"old"]), await find_caller(session, [b"new"])
    assert old is not None
    assert new is not None
    assert (old[0].key_id, old[0].secret_expires_at) == (identity, PAST.timestamp())
    assert (new[0].key_id, new[0].secret_expires_at) == (identity, None)


async def test_a_key_is_kept_under_the_newest_pepper(session: AsyncSession) -> None:
    identity = await key(session, await tenant(session), b"by the old pepper")
    await redigest(session, b"by the old pepper", b"by the new pepper", "q")
    assert await find_caller(session, [b"by the old pepper"]) is None
    found = await find_caller(session, [b"by the new pepper"])
    assert found is not None
    assert (found[0].key_id, found[1]) == (identity, b"by the new pepper")
