"""Upstream accounts. Credentials go in and never come out."""

import time
from datetime import UTC, datetime
from typing import Any

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET

from admin import checks, probe, trail
from admin.caller import Caller
from admin.deps import Asking, Database, Holding, Part, Within, transaction
from admin.resources import Resources
from admin.schemas.accounts import AccountDraft, AccountPatch, AccountView, TestAsked, TestResult, view
from admin.schemas.page import Page, given, named, page
from gateway.core import inspection
from gateway.core import models as m
from gateway.core.services import accounts, configuration, proxies, rows, tenants
from gateway.core.services.failures import Conflict
from gateway.core.services.reach import Reach
from gateway.platforms import PLATFORMS
from gateway.platforms.platform import NotRenewed
from gateway.upstream.probe import known_models
from gateway.upstream.renewal import due

_APART = frozenset({"tenant_id", "credentials"})


class AccountController(Controller):
    path = "/accounts"
    tags = ("accounts",)

    @get(opt={"permission": "accounts:read"})
    async def listing(
        self,
        session: Database,
        reach: Within,
        window: Part,
        tenant_id: FromQuery[str | None] = None,
        platform: FromQuery[str | None] = None,
        provider: FromQuery[str | None] = None,
        pool_id: FromQuery[str | None] = None,
        enabled: FromQuery[bool | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[AccountView]:
        asked = accounts.AccountFilter(
            tenant_id=tenant_id, platform=platform, provider=provider, pool_id=pool_id, enabled=enabled, q=q
        )
        return page(await accounts.listing(session, reach, window, asked), view)

    @post(opt={"permission": "accounts:write"})
    async def create(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, data: JSONBody[AccountDraft]
    ) -> AccountView:
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        credentials = checks.credentials(data.platform, data.credentials or {})
        checks.account(data.platform, credentials, data.options or {}, data.base_url)
        checks.machine_role(data.platform, credentials, root=caller.root)
        values: dict[str, Any] = {
            "provider": data.platform,
            "explicit_only": PLATFORMS[data.platform].explicit_only,
            **named(given(data, leaving=_APART)),
        }
        if data.timeouts is not None:
            values["timeouts"] = checks.timeouts(data.timeouts)
        if data.probe is not None:
            values["probe"] = checks.probe(data.platform, data.probe)
        account = await accounts.create(session, resources.sealer, tenant_id, values, credentials)
        await trail.note(session, caller, "accounts.create", account.id, tenant_id=tenant_id, after=view(account))
        return view(account)

    @get("/{account_id:str}", opt={"permission": "accounts:read"})
    async def read(self, session: Database, reach: Within, account_id: FromPath[str]) -> AccountView:
        return view(await accounts.find(session, reach, account_id))

    @patch("/{account_id:str}", opt={"permission": "accounts:write"})
    async def change(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        resources: Holding,
        account_id: FromPath[str],
        data: JSONBody[AccountPatch],
    ) -> AccountView:
        """`credentials`, when given, replace the old ones as a whole. They are needed where the address changes that
        they are sent to: `base_url`, or the option `token_url`."""
        account = await accounts.find(session, reach, account_id, lock=True)
        values = _meant(account, data)
        credentials = None if data.credentials is UNSET else checks.credentials(account.platform, data.credentials)
        if credentials is not None or values.keys() & {"options", "base_url"}:
            checks.account(
                account.platform,
                accounts.credentials(account, resources.sealer) if credentials is None else credentials,
                values.get("options", account.options),
                values.get("base_url", account.base_url),
            )
        if credentials is not None:
            checks.machine_role(account.platform, credentials, root=caller.root)
        else:
            held = {"base_url": account.base_url, "options": account.options}
            checks.stays(account.platform, account.credential_fields, held, {**held, **values}, root=caller.root)
        before = view(account)
        await accounts.change(session, resources.sealer, account, values, credentials)
        if credentials is not None:
            # What was found of the old ones says nothing of these.
            inspection.once_committed(session, inspection.recover, account.tenant_id, account.id, caller.actor.id)
        action = "accounts.change" if credentials is None else "accounts.change_credentials"
        await trail.note(
            session, caller, action, account.id, tenant_id=account.tenant_id, before=before, after=view(account)
        )
        return view(account)

    @delete("/{account_id:str}", opt={"permission": "accounts:write"})
    async def remove(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, account_id: FromPath[str]
    ) -> None:
        """Its credentials are erased; the ledger keeps its id."""
        account = await accounts.find(session, reach, account_id, lock=True)
        await trail.note(
            session, caller, "accounts.delete", account.id, tenant_id=account.tenant_id, before=view(account)
        )
        await accounts.delete(session, resources.sealer, account)
        inspection.once_committed(session, inspection.forget, account.tenant_id, account.id, caller.actor.id)

    @post("/{account_id:str}/enable", opt={"permission": "accounts:write"}, status_code=200)
    async def enable(self, session: Database, caller: Asking, reach: Within, account_id: FromPath[str]) -> AccountView:
        account = await accounts.find(session, reach, account_id, lock=True)
        await accounts.switch(session, account, enabled=True)
        await trail.note(session, caller, "accounts.enable", account.id, tenant_id=account.tenant_id, after=_ON)
        return view(account)

    @post("/{account_id:str}/disable", opt={"permission": "accounts:write"}, status_code=200)
    async def disable(self, session: Database, caller: Asking, reach: Within, account_id: FromPath[str]) -> AccountView:
        """The operator's switch: within two seconds no gateway chooses it. Running requests finish."""
        account = await accounts.find(session, reach, account_id, lock=True)
        await accounts.switch(session, account, enabled=False)
        await trail.note(session, caller, "accounts.disable", account.id, tenant_id=account.tenant_id, after=_OFF)
        return view(account)

    @post("/{account_id:str}/drain", opt={"permission": "accounts:write"}, status_code=200)
    async def drain(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, account_id: FromPath[str]
    ) -> dict[str, Any]:
        """Only sessions that are bound to it go on, until they pause for an hour; nothing new is given to it. `enable`
        and `disable` end it. Answers with the account's state: `in_flight` says what still runs."""
        account = await accounts.find(session, reach, account_id, lock=True)
        await accounts.switch(session, account, enabled=True, draining=True)
        await trail.note(session, caller, "accounts.drain", account.id, tenant_id=account.tenant_id, after=_DRAINING)
        return await _state(resources, account)

    @get("/{account_id:str}/state", opt={"permission": "accounts:read"})
    async def state(
        self, session: Database, reach: Within, resources: Holding, account_id: FromPath[str]
    ) -> dict[str, Any]:
        """Usable or not, why, until when, since which request; cool-downs of parts, requests in flight, and up to 500
        changes of the last seven days, newest first. `until` is null for what does not end by itself."""
        return await _state(resources, await accounts.find(session, reach, account_id))

    @post("/{account_id:str}/recover", opt={"permission": "accounts:write"}, status_code=200)
    async def recover(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, account_id: FromPath[str]
    ) -> dict[str, Any]:
        """Lifts what was found automatically; the operator's switch stays as it is."""
        account = await accounts.find(session, reach, account_id)
        done = {"lifted": await inspection.recover(resources.redis, account.tenant_id, account.id, caller.actor.id)}
        await trail.note(session, caller, "accounts.recover", account.id, tenant_id=account.tenant_id, after=done)
        return await _state(resources, account)

    @post("/{account_id:str}/test", opt={"permission": "accounts:write"}, status_code=200)
    async def test(
        self,
        caller: Asking,
        reach: Within,
        resources: Holding,
        account_id: FromPath[str],
        data: JSONBody[TestAsked | None] = None,
    ) -> TestResult:
        """One real cheap request, past the pool. The upstream's words are cut to 500 characters, without secrets."""
        return await _tested(resources, caller, reach, account_id, data.model if data else None)


_ON: dict[str, Any] = {"enabled": True}
_OFF: dict[str, Any] = {"enabled": False}
_DRAINING: dict[str, Any] = {"enabled": True, "draining": True}


async def _state(resources: Resources, account: m.Account) -> dict[str, Any]:
    """What the operator decided comes first: it does not end when an automatic state does."""
    shown = await inspection.read_state(resources.redis, account.tenant_id, account.id, account.proxy_id)
    shown |= {"draining": account.draining}
    if not account.enabled:
        return shown | {"usable": False, "reason": "disabled", "until": None, "source": None}
    if account.expires_at is not None and account.expires_at <= datetime.now(UTC):
        return shown | {"usable": False, "reason": "expired", "until": None, "source": None}
    return shown


def _meant(account: m.Account, data: AccountPatch) -> dict[str, Any]:
    """The values of a PATCH; what the platform decides by default is its again when null is said."""
    own: dict[str, Any] = {
        **accounts.DEFAULTS,
        "provider": account.platform,
        "explicit_only": PLATFORMS[account.platform].explicit_only,
    }
    values = rows.cleared(given(data, leaving=_APART), own)
    if data.timeouts is not UNSET and data.timeouts is not None:
        values["timeouts"] = checks.timeouts(data.timeouts)
    if data.probe is not UNSET and data.probe is not None:
        values["probe"] = checks.probe(account.platform, data.probe)
    return values


async def _tested(resources: Resources, caller: Caller, reach: Reach, account_id: str, model: str | None) -> TestResult:
    """No transaction is open while the upstream is asked."""
    async with resources.database() as session:
        row = await accounts.find(session, reach, account_id)
        recent = await accounts.recent_model(session, row)
        way = await proxies.of_account(session, resources.sealer, row)
    platform = PLATFORMS[row.platform]
    account = configuration.opened(row, resources.sealer, platform.base_url, platform.models, way)
    if due(account, time.time()):
        try:
            account = await resources.renewals.fresh(account)
        except NotRenewed as error:
            raise Conflict(f"the credentials cannot be renewed: {error}", "credentials") from None
    result = await probe.run(resources.upstream, platform, account, model or next(iter(known_models(account)), recent))
    done: dict[str, Any] = {"ok": result.ok, "status": result.status, "model": result.model}
    async with transaction(resources) as session:
        await trail.note(session, caller, "accounts.test", row.id, tenant_id=row.tenant_id, after=done)
    return result
