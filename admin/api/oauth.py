"""Authorising accounts by OAuth with PKCE: the page to open, then what that page gave for the tokens.

The tokens go from the vendor into the account's sealed credentials; nobody sees them.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from litestar import Controller, post
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from admin import checks, trail
from admin.authorisations import LIFETIME, Authorisations, Begun, fresh
from admin.caller import Caller
from admin.deps import Asking, Database, Holding, Within, transaction
from admin.problem import Problem
from admin.resources import Resources
from admin.schemas.accounts import AccountView, view
from admin.schemas.oauth import AuthorisationFinish, AuthorisationStart, AuthorisationView
from admin.schemas.page import at, given, named
from gateway.core import inspection
from gateway.core import models as m
from gateway.core.domain import Proxy
from gateway.core.services import accounts, proxies, tenants
from gateway.core.services.failures import Invalid
from gateway.core.services.reach import Reach
from gateway.platforms import PLATFORMS, InvalidAccount, authorisation
from gateway.platforms.platform import Authorisation, NotRenewed
from gateway.upstream import tokens
from gateway.upstream.words import clean

_APART = frozenset({"state", "code", "callback_url", "account_id", "timeouts"})
_KEPT = ("access_token", "refresh_token", "expires_at")
#: Stand for the tokens while all else is checked, so that nothing is refused once the code is spent.
_STAND_IN: Mapping[str, Any] = {"access_token": "-", "refresh_token": "-", "expires_at": 0.0}


class AuthorisationController(Controller):
    path = "/accounts/oauth"
    tags = ("accounts",)

    @post("/start", opt={"permission": "accounts:write"}, status_code=200)
    async def start(
        self,
        session: Database,
        caller: Asking,
        reach: Within,
        resources: Holding,
        data: JSONBody[AuthorisationStart],
    ) -> AuthorisationView:
        """The address where the account's owner consents; it is good for ten minutes, once, for who asked."""
        tenant_id = await tenants.home(session, reach, data.tenant_id, caller.roles)
        options = data.options or {}
        plan = _plan(data.platform)
        checks.account(data.platform, _STAND_IN, options, None)
        proxy_id = data.proxy_id and await proxies.resolve(session, tenant_id, data.proxy_id)
        state, verifier = fresh(), fresh()
        try:
            url = authorisation.authorize_url(plan, options, state, verifier)
        except InvalidAccount as error:
            raise Invalid(error.message, error.field) from None
        begun = Begun(caller.actor.id, tenant_id, data.platform, options, proxy_id, verifier)
        await Authorisations(resources.redis, resources.sealer).begin(state, begun)
        said = {"platform": data.platform, "options": options, "proxy_id": proxy_id}
        await trail.note(session, caller, "accounts.oauth_start", data.platform, tenant_id=tenant_id, after=said)
        ends = datetime.fromtimestamp(time.time() + LIFETIME, UTC)
        return AuthorisationView(authorize_url=url, state=state, expires_at=at(ends))

    @post("/finish", opt={"permission": "accounts:write"}, status_code=200)
    async def finish(
        self, caller: Asking, reach: Within, resources: Holding, data: JSONBody[AuthorisationFinish]
    ) -> AccountView:
        """Makes the account, or gives an old one its new tokens and lifts what kept it out."""
        given_back = _given_back(data)
        kept = Authorisations(resources.redis, resources.sealer)
        state = given_back.state or ""
        begun = await kept.read(state, caller.actor.id)
        if begun is None or not reach.covers(begun.tenant_id):
            raise Invalid("unknown, used or over, or begun by another: start again", "state")
        finishing = Finishing(resources, caller, reach, begun, data)
        proxy = await finishing.rehearse()
        if not await kept.spend(state):
            raise Invalid("used already: start again", "state")
        return await finishing.store(await _exchanged(resources, begun, proxy, given_back.code, state))


class Finishing:
    """The account of one authorisation, written twice: with a stand-in and taken back, then with the tokens."""

    def __init__(
        self, resources: Resources, caller: Caller, reach: Reach, begun: Begun, data: AuthorisationFinish
    ) -> None:
        self._resources = resources
        self._caller = caller
        self._reach = reach
        self._begun = begun
        self._data = data

    async def rehearse(self) -> Proxy | None:
        """The way out for the exchange. Raises whatever `store` would. No transaction is open afterwards."""
        async with self._resources.database() as session:
            account = await self._write(session, _STAND_IN)
            await session.flush()
            way = await proxies.of_account(session, self._resources.sealer, account)
            await session.rollback()
        return way

    async def store(self, got: Mapping[str, Any]) -> AccountView:
        resources, caller = self._resources, self._caller
        async with transaction(resources) as session:
            account = await self._write(session, got)
            await session.flush()
            shown = view(account)
            await trail.note(
                session, caller, "accounts.authorise", account.id, tenant_id=account.tenant_id, after=shown
            )
            inspection.once_committed(session, inspection.recover, account.tenant_id, account.id, caller.actor.id)
        return shown

    async def _write(self, session: AsyncSession, got: Mapping[str, Any]) -> m.Account:
        begun, data, sealer = self._begun, self._data, self._resources.sealer
        credentials = {name: got[name] for name in _KEPT if name in got}
        plan = _plan(begun.platform)
        learned: Mapping[str, Any] = plan.learned(got) if plan.learned else {}
        values = named(given(data, leaving=_APART))
        if data.timeouts is not None:
            values["timeouts"] = checks.timeouts(data.timeouts)
        if begun.proxy_id is not None:
            values["proxy_id"] = begun.proxy_id
        if data.account_id is not None:
            account = await self._known(session, data.account_id)
            values["options"] = {**account.options, **learned, **begun.options}
            checks.account(begun.platform, credentials, values["options"], values.get("base_url", account.base_url))
            await accounts.change(session, sealer, account, values, credentials)
            return account
        if data.name is None:
            raise Invalid("required for a new account", "name")
        options = {**learned, **begun.options}
        checks.account(begun.platform, credentials, options, data.base_url)
        own = {"provider": begun.platform, "explicit_only": PLATFORMS[begun.platform].explicit_only}
        values = {**own, **values, "platform": begun.platform, "options": options}
        return await accounts.create(session, sealer, begun.tenant_id, values, credentials)

    async def _known(self, session: AsyncSession, account_id: str) -> m.Account:
        account = await accounts.find(session, self._reach, account_id, lock=True)
        if (account.tenant_id, account.platform) != (self._begun.tenant_id, self._begun.platform):
            raise Invalid("of another platform or tenant than this authorisation", "account_id")
        return account


def _plan(platform_name: str) -> Authorisation:
    platform = PLATFORMS.get(platform_name)
    plan = platform.authorisation if platform else None
    if plan is None:
        able = ", ".join(name for name, known in PLATFORMS.items() if known.authorisation)
        raise Invalid(f"no platform that is authorised so; those are: {able}", "platform")
    return plan


def _given_back(data: AuthorisationFinish) -> authorisation.Pasted:
    """What was pasted, with the state that goes with it. Raises Invalid naming the field."""
    field, text = ("callback_url", data.callback_url) if data.callback_url is not None else ("code", data.code)
    if text is None or (data.callback_url is not None and data.code is not None):
        raise Invalid("give either code or callback_url", "code")
    found = authorisation.pasted(text)
    if found.error:
        raise Invalid(clean(f"the vendor refused the authorisation: {found.error}", ()), field)
    if not found.code:
        raise Invalid("there is no code in it", field)
    state = found.state or data.state
    if not state:
        raise Invalid("required: it does not stand in what was pasted", "state")
    if data.state is not None and data.state != state:
        raise Invalid("not the state that came back with the code", "state")
    return authorisation.Pasted(found.code, state)


async def _exchanged(
    resources: Resources, begun: Begun, proxy: Proxy | None, code: str, state: str
) -> Mapping[str, Any]:
    """No transaction is open while the vendor is asked."""
    plan = _plan(begun.platform)
    asking = authorisation.exchange(plan, begun.options, code, state, begun.verifier, time.time())
    try:
        return await tokens.run(resources.upstream, f"authorisation {begun.tenant_id}", asking, proxy)
    except NotRenewed as error:
        said = clean(str(error), (code, state, begun.verifier))
        if error.revoked:
            raise Invalid(f"the vendor refused the code: {said}; start again", "code") from None
        raise Problem(502, "upstream_error", f"no tokens came: {said}; start again") from None
