"""Two tenants, their accounts and keys, on two real gateways; what each key was given is kept beside, and changes at
random with them."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from msgspec import structs

from gateway.core.domain import Account, Caller
from gateway.core.groups import Alias, Group, Target
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, groups, keys, pools, tenants
from gateway.core.services.reach import Reach
from tests.properties.naming import Groups
from tests.support.installation import BASES, Site

EVERYTHING = Reach(everything=True)
MODELS = ("claude-sonnet-4-5", "claude-opus-4-1", "gpt-5", "gemini-2.5-pro", "gemma3:12b")
GIVEN = (
    *(("*",),) * 5,
    ("claude-*",),
    ("claude-opus-*", "gpt-*"),
    ("g*",),
    ("gpt-5",),
)
PLATFORMS = (
    *(("*",),) * 4,
    ("claude",),
    ("openai", "gemini"),
    ("claude-console", "openai"),
    ("bedrock", "openai-responses", "claude-ccr"),
    (),
)
GROUPS = ("default", "team", "secret", "claude")
GIVEN_GROUPS = (*(("*",),) * 5, ("team", "default"), ("t*", "c*"), ())
MATCHES = ("fast", "smart", "s*", "*", "claude-*", "gpt-5", "openai:*")
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "azure-openai": {"options": {"api_version": "2024-10-21"}},
    "bedrock": {"options": {"region": "us-east-1"}},
}
_AT_ONCE = timedelta(0)
_TIMEOUTS = {"connect": 5, "first_event": 0.6, "stream_idle": 0.6, "total": 0.6}


class Key:
    """`caller` is what it was given, as the operator said it last."""

    def __init__(self, caller: Caller, secret: str) -> None:
        self.caller = caller
        self.secret = secret
        self.enabled = True


class Realm:
    """One tenant, with what is in it."""

    def __init__(self, site: Site, tenant_id: str, pool_ids: Sequence[str], random: Random, number: int) -> None:
        self.site = site
        self.tenant_id = tenant_id
        self.pools = pool_ids
        self.accounts: dict[str, Account] = {}
        self.keys: list[Key] = []
        self.groups: dict[str, Group] = {}
        self.active = ""
        self._random = random
        self._number = number

    @classmethod
    async def make(cls, site: Site, random: Random, number: int) -> "Realm":
        async with site.sessions.begin() as session:
            tenant = await tenants.create(session, {"name": os.urandom(6).hex()})
            await session.flush()
            made = [await pools.create(session, tenant.id, {"name": name}) for name in ("one", "two")]
            await session.flush()
            names = [pool.id for pool in made]
        return cls(site, tenant.id, names, random, number)

    def _some(self, values: Sequence[str]) -> list[str]:
        return self._random.sample(values, self._random.randint(0, len(values)))

    async def add_account(self, platform: str) -> None:
        random = self._random
        self._number += 1
        suffix = f"{self._number:04d}"
        credentials = (
            {"access_key_id": f"AKIA{suffix}", "secret_access_key": "secret"}
            if platform == "bedrock"
            else {"api_key": f"sk-upstream-{suffix}"}
        )
        values: dict[str, Any] = {
            "name": f"{platform} {suffix}",
            "base_url": self.site.sandbox.url + BASES.get(platform, ""),
            "provider": random.choice(("deepseek", platform)),
            "models": list(random.choice(GIVEN)),
            "model_map": self._map(),
            "pools": self._some(self.pools),
            "priority": random.choice((1, 50, 50)),
            "explicit_only": platform == "claude-ccr",
            "timeouts": _TIMEOUTS,
            **_FORMS.get(platform, {}),
        }
        made = await self.site.account(platform, tenant_id=self.tenant_id, credentials=credentials, **values)
        self.accounts[made] = structs.replace(
            Account(made, self.tenant_id, suffix, platform, "", {}),
            **{name: values[name] for name in ("provider", "model_map", "priority", "explicit_only")},
            models=tuple(values["models"]),
            pools=tuple(values["pools"]),
        )

    def _map(self) -> dict[str, str]:
        if self._random.random() < 0.5:
            return {}
        return {self._random.choice(MODELS): self._random.choice(("mapped-a", "claude-mapped", *MODELS))}

    async def add_key(self) -> None:
        values = self._given()
        key_id, secret = await self.site.new_key(tenant_id=self.tenant_id, **values)
        caller = Caller(key_id, self.tenant_id, "")
        self.keys.append(Key(structs.replace(caller, **_frozen(values)), secret))

    def _given(self) -> dict[str, Any]:
        random = self._random
        chance = random.random()
        return {
            "platforms": list(random.choice(PLATFORMS)),
            "models": list(random.choice(GIVEN)),
            "groups": list(random.choice(GIVEN_GROUPS)),
            "pools": [random.choice(self.pools)] if chance < 0.2 else [],
            "account_id": random.choice(list(self.accounts)) if 0.2 <= chance < 0.3 and self.accounts else None,
        }

    async def change_account(self, account_id: str) -> None:
        random = self._random
        match random.choice(("priority", "pools", "models", "model_map", "explicit_only")):
            case "priority":
                values: dict[str, Any] = {"priority": random.randint(1, 100)}
            case "pools":
                values = {"pools": self._some(self.pools)}
            case "models":
                values = {"models": list(random.choice(GIVEN))}
            case "model_map":
                values = {"model_map": self._map()}
            case _:
                values = {"explicit_only": not self.accounts[account_id].explicit_only}
        async with self.site.sessions.begin() as session:
            row = await accounts.find(session, EVERYTHING, account_id, lock=True)
            await accounts.change(session, Sealer(self.site.settings.master_key_bytes), row, values)
        self.accounts[account_id] = structs.replace(self.accounts[account_id], **_frozen(values))
        await self.site.reload()

    async def switch_account(self, account_id: str) -> None:
        enabled, draining = self._random.choice(((False, False), (True, True), (True, False), (True, False)))
        async with self.site.sessions.begin() as session:
            row = await accounts.find(session, EVERYTHING, account_id, lock=True)
            await accounts.switch(session, row, enabled=enabled, draining=draining)
        self.accounts[account_id] = structs.replace(self.accounts[account_id], enabled=enabled, draining=draining)
        await self.site.reload()

    async def delete_account(self, account_id: str) -> None:
        async with self.site.sessions.begin() as session:
            row = await accounts.find(session, EVERYTHING, account_id, lock=True)
            await accounts.delete(session, Sealer(self.site.settings.master_key_bytes), row)
        del self.accounts[account_id]
        await self.site.reload()

    async def change_key(self, key: Key) -> None:
        """Other permissions, another secret, or off and on."""
        what = self._random.choice(("given", "rotate", "switch" if key.enabled else "given"))
        if not key.enabled:
            what = "switch"
        async with self.site.sessions.begin() as session:
            row = await keys.find(session, EVERYTHING, key.caller.key_id, lock=True)
            if what == "given":
                values = self._given()
                await keys.change(session, row, values)
                key.caller = structs.replace(key.caller, **_frozen(values))
            elif what == "rotate":
                key.secret = (await keys.rotate(session, self.site.settings.peppers, row, _AT_ONCE)).reveal()
            else:
                key.enabled = not key.enabled
                await keys.switch(session, row, enabled=key.enabled)
        await self.site.reload()

    @property
    def named(self) -> Groups:
        """The groups by their names, and the active one's."""
        return Groups(tuple(self.groups.values()), self.active)

    async def change_group(self) -> None:
        """Makes one where there is none; changes, activates or deletes it."""
        random = self._random
        name = random.choice(GROUPS)
        held = self.groups.get(name)
        async with self.site.sessions.begin() as session:
            if held is None:
                values: dict[str, Any] = {"name": name, "aliases": self._aliases()}
                row = await groups.create(session, self.tenant_id, values)
                self.groups[name] = Group(row.id, self.tenant_id, name, aliases=tuple(values["aliases"]))
            else:
                row = await groups.find(session, EVERYTHING, held.id, lock=True)
                what = random.choice(("aliases", "aliases", "enabled", "active", "delete"))
                if what == "delete":
                    await groups.delete(session, row)
                    del self.groups[name]
                    self.active = "" if self.active == name else self.active
                elif what == "active" and held.enabled:
                    await groups.activate(session, row)
                    self.active = name
                elif what == "aliases":
                    values = {"aliases": self._aliases()}
                    await groups.change(session, row, values)
                    self.groups[name] = structs.replace(held, aliases=tuple(values["aliases"]))
                else:
                    await groups.change(session, row, {"enabled": not held.enabled})
                    self.groups[name] = structs.replace(held, enabled=not held.enabled)
        await self.site.reload()

    def _aliases(self) -> list[Alias]:
        random = self._random
        return [
            Alias(match, tuple(self._target() for _ in range(random.choice((1, 2, 3, 3)))))
            for match in random.sample(MATCHES, random.randint(1, 4))
        ]

    def _target(self) -> Target:
        random = self._random
        places: Sequence[dict[str, str]] = (
            {},
            {"platform": random.choice(("claude", "openai", "gemini", "ccr", "bedrock", "claude-console"))},
            {"provider": random.choice(("deepseek", "openai"))},
            {"pool_id": random.choice(self.pools)},
            *({"account_id": random.choice(list(self.accounts))} for _ in range(3)),
        )
        return Target(random.choice(MODELS), weight=random.randint(1, 5), **random.choice(places))

    async def heal(self) -> None:
        gate = self.site.gate
        await gate.redis.delete(gate.prefix_of(self.tenant_id) + "state")
        for one in self.site.gateways:
            one.gate.states.replace({}, one.gate.states.written())
            one.gate.reached.clear()


def _frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
