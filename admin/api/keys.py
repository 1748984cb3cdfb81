"""Proxy keys."""

from datetime import timedelta
from typing import Any

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from admin import checks, narrowing, trail
from admin.deps import Asking, Database, Holding, Part, Within
from admin.schemas.keys import Disabling, KeyDraft, KeyPatch, KeyView, Rotation, view
from admin.schemas.page import Page, given, named, page
from admin.schemas.usage import Totals, totals
from gateway.core import inspection
from gateway.core.services import keys, tenants, usage
from gateway.core.services.failures import Denied


class KeyController(Controller):
    path = "/keys"
    tags = ("keys",)

    @get(opt={"permission": "keys:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        user_id: FromQuery[str | None] = None,
        enabled: FromQuery[bool | None] = None,
        tag: FromQuery[str | None] = None,
        deleted: FromQuery[bool] = False,
        q: FromQuery[str | None] = None,
    ) -> Page[KeyView]:
        asked = keys.KeyFilter(tenant_id=tenant_id, user_id=user_id, enabled=enabled, tag=tag, deleted=deleted, q=q)
        found = await keys.listing(session, reach, window, asked)
        used = await usage.totals_of_keys(session, [key.id for key in found.rows])
        return page(found, lambda key: view(key, _used(used, key.id)))

    @post(opt={"permission": "keys:write"})
    async def create(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, data: JSONBody[KeyDraft]
    ) -> KeyView:
        """The key is in `secret`, this once; afterwards its first and last characters are all there is."""
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        values = named(given(data, leaving=frozenset({"tenant_id"})))
        if reach.owns_only(tenant_id):
            values = {"user_id": caller.user_id, **values}
            if values["user_id"] != caller.user_id:
                raise Denied("members make keys for themselves", "user_id")
            caller.require_writable("keys", tenant_id, values.keys() - {"user_id", "limits", "enabled"})
        else:
            caller.require_writable("keys", tenant_id, values)
        checks.key_platforms(data.platforms)
        key, secret = await keys.issue(session, resources.peppers, tenant_id, values)
        await trail.note(session, caller, "keys.create", key.id, tenant_id=tenant_id, after=view(key))
        return view(key, Totals(), secret.reveal())

    @get("/{key_id:str}", opt={"permission": "keys:read"})
    async def read(self, session: Database, reach: Within, key_id: FromPath[str]) -> KeyView:
        key = await keys.find(session, reach, key_id)
        return view(key, _used(await usage.totals_of_keys(session, [key.id]), key.id))

    @patch("/{key_id:str}", opt={"permission": "keys:write"})
    async def change(
        self, session: Database, caller: Asking, reach: Within, key_id: FromPath[str], data: JSONBody[KeyPatch]
    ) -> KeyView:
        """Members narrow their keys and do not widen them: platforms, models, addresses, clients, expiry."""
        key = await keys.find(session, reach, key_id, lock=True)
        values = given(data)
        caller.require_writable("keys", key.tenant_id, values)
        checks.key_platforms(values.get("platforms") or [])
        before = view(key)
        await keys.change(session, key, values)
        if reach.owns_only(key.tenant_id):
            narrowing.require_narrower(before, view(key))
        await trail.note(
            session, caller, "keys.change", key.id, tenant_id=key.tenant_id, before=before, after=view(key)
        )
        return view(key, _used(await usage.totals_of_keys(session, [key.id]), key.id))

    @delete("/{key_id:str}", opt={"permission": "keys:write"})
    async def remove(self, session: Database, caller: Asking, reach: Within, key_id: FromPath[str]) -> None:
        """It stops working within two seconds; `restore` brings it back for 30 days."""
        key = await keys.find(session, reach, key_id, lock=True)
        await trail.note(session, caller, "keys.delete", key.id, tenant_id=key.tenant_id, before=view(key))
        await keys.delete(session, key)

    @post("/{key_id:str}/restore", opt={"permission": "keys:write"}, status_code=200)
    async def restore(self, session: Database, caller: Asking, reach: Within, key_id: FromPath[str]) -> KeyView:
        """Not for members: an operator's deletion is not theirs to take back."""
        key = await keys.find(session, reach, key_id, lock=True, deleted=True)
        caller.require_writable("keys", key.tenant_id, ["enabled"])
        await keys.restore(session, key)
        await trail.note(session, caller, "keys.restore", key.id, tenant_id=key.tenant_id, after=view(key))
        return view(key)

    @post("/{key_id:str}/rotate", opt={"permission": "keys:write"}, status_code=200)
    async def rotate(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        resources: Holding,
        key_id: FromPath[str],
        data: JSONBody[Rotation | None] = None,
    ) -> KeyView:
        """A new secret, in `secret` this once. Limits and history stay."""
        key = await keys.find(session, reach, key_id, lock=True)
        overlap = timedelta(seconds=data.overlap_seconds if data else 0)
        before = view(key)
        secret = await keys.rotate(session, resources.peppers, key, overlap)
        await trail.note(
            session, caller, "keys.rotate", key.id, tenant_id=key.tenant_id, before=before, after=view(key)
        )
        return view(key, secret=secret.reveal())

    @post("/{key_id:str}/disable", opt={"permission": "keys:write"}, status_code=200)
    async def disable(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        key_id: FromPath[str],
        data: JSONBody[Disabling | None] = None,
    ) -> KeyView:
        """Everywhere within two seconds. Running requests finish, unless `cut` ends them too."""
        key = await keys.find(session, reach, key_id, lock=True)
        cut = data is not None and data.cut
        await keys.switch(session, key, enabled=False, cut=cut)
        done: dict[str, Any] = {"enabled": False, "cut": cut}
        await trail.note(session, caller, "keys.disable", key.id, tenant_id=key.tenant_id, after=done)
        return view(key)

    @post("/{key_id:str}/enable", opt={"permission": "keys:write"}, status_code=200)
    async def enable(self, session: Database, caller: Asking, reach: Within, key_id: FromPath[str]) -> KeyView:
        key = await keys.find(session, reach, key_id, lock=True)
        caller.require_writable("keys", key.tenant_id, ["enabled"])
        await keys.switch(session, key, enabled=True)
        await trail.note(session, caller, "keys.enable", key.id, tenant_id=key.tenant_id, after={"enabled": True})
        return view(key)

    @get("/{key_id:str}/limits", opt={"permission": "keys:read"})
    async def limits(
        self, session: Database, reach: Within, resources: Holding, key_id: FromPath[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """All that apply to the key, of its user, team and tenant too: what is used, what is left, when it is back."""
        key = await keys.find(session, reach, key_id)
        applying = await keys.limits_of(session, key)
        return {"data": await inspection.read_limits(resources.redis, key.tenant_id, applying)}

    @post("/{key_id:str}/limits/reset", opt={"permission": "keys:write"}, status_code=200)
    async def reset_limits(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, key_id: FromPath[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Forgets what was counted for the key's own limits; those of its user, team and tenant stay."""
        key = await keys.find(session, reach, key_id)
        caller.require_writable("keys", key.tenant_id, ["limits"])
        applying = await keys.limits_of(session, key)
        own = [limit for limit in applying if limit.scope == "key"]
        await inspection.reset_limits(resources.redis, session, key.tenant_id, own)
        await trail.note(session, caller, "keys.reset_limits", key.id, tenant_id=key.tenant_id)
        return {"data": await inspection.read_limits(resources.redis, key.tenant_id, applying)}


def _used(used: dict[str, dict[str, Any]], key_id: str) -> Totals:
    return totals(used[key_id]) if key_id in used else Totals()
