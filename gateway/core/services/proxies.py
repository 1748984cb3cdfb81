"""Outbound proxies of a tenant. The URL is sealed, since it may hold a password, and never shown whole."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.domain import Proxy
from gateway.core.ids import new_id
from gateway.core.proxies import parse
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import rows
from gateway.core.services.failures import Conflict, Invalid
from gateway.core.services.reach import Reach


async def listing(
    session: AsyncSession, reach: Reach, window: rows.Window, *, tenant_id: str | None = None, q: str | None = None
) -> rows.Slice[m.Proxy]:
    found = select(m.Proxy).where(reach.over(m.Proxy.tenant_id), *rows.matching(q, m.Proxy.name))
    if tenant_id is not None:
        found = found.where(m.Proxy.tenant_id == rows.filter_id(tenant_id, "ten", "tenant_id"))
    return await rows.page(session, found, m.Proxy.id, "prx", window)


async def find(session: AsyncSession, reach: Reach, proxy_id: str, *, lock: bool = False) -> m.Proxy:
    identifier = rows.identity(proxy_id, "prx", "proxy")
    found = select(m.Proxy).where(reach.over(m.Proxy.tenant_id), m.Proxy.id == identifier)
    return await rows.one(session, found, "proxy", lock=lock)


async def create(session: AsyncSession, sealer: Sealer, tenant_id: str, values: Mapping[str, Any]) -> m.Proxy:
    """`values`: name and url. Raises Invalid naming `url`."""
    identifier = new_id("prx")
    proxy = m.Proxy(id=identifier, tenant_id=tenant_id, **_stored(sealer, identifier, values))
    session.add(proxy)
    await rows.announce(session, "proxy", proxy.id)
    return proxy


async def change(session: AsyncSession, sealer: Sealer, proxy: m.Proxy, values: Mapping[str, Any]) -> None:
    """The URL, when given, replaces the old one as a whole, credentials too."""
    rows.update(proxy, _stored(sealer, proxy.id, rows.cleared(values, {})))
    await rows.announce(session, "proxy", proxy.id)


async def delete(session: AsyncSession, proxy: m.Proxy) -> None:
    """Raises Conflict while an account names it: none may ever go out directly instead."""
    used = select(m.Account.id).where(m.Account.proxy_id == proxy.id).limit(1)
    holder = (await session.execute(used)).scalar_one_or_none()
    if holder is not None:
        raise Conflict(f"the proxy is named by {holder}")
    await session.delete(proxy)
    await rows.announce(session, "proxy", proxy.id)


async def resolve(session: AsyncSession, tenant_id: str, proxy_id: str) -> str:
    """The id in its one spelling. Raises Invalid for a proxy that the tenant does not have."""
    identifier = rows.filter_id(proxy_id, "prx", "proxy_id")
    found = select(m.Proxy.id).where(m.Proxy.tenant_id == tenant_id, m.Proxy.id == identifier)
    if (await session.execute(found)).scalar_one_or_none() is None:
        raise Invalid("no such proxy in this tenant", "proxy_id")
    return identifier


def opened(proxy: m.Proxy, sealer: Sealer) -> Proxy:
    """As gateways dial it. Raises SealBroken when its URL does not open or is none."""
    url = sealer.open(proxy.url, f"proxies/{proxy.id}/url")
    try:
        return parse(url.decode(), proxy.id)
    except ValueError:
        raise SealBroken("what was sealed is not the URL of a proxy") from None


async def of_account(session: AsyncSession, sealer: Sealer, account: m.Account) -> Proxy | None:
    """The way out of one account; None when it has none. Raises Conflict when its proxy cannot be read."""
    if account.proxy_id is None:
        return None
    row = (await session.execute(select(m.Proxy).where(m.Proxy.id == account.proxy_id))).scalar_one()
    try:
        return opened(row, sealer)
    except SealBroken:
        raise Conflict("the account's proxy cannot be read: give its url again", "proxy_id") from None


def _stored(sealer: Sealer, identifier: str, values: Mapping[str, Any]) -> dict[str, Any]:
    stored = dict(values)
    if "url" in stored:
        try:
            parse(stored["url"], identifier)
        except ValueError as error:
            raise Invalid(str(error), "url") from None
        stored["url"] = sealer.seal(stored["url"].encode(), f"proxies/{identifier}/url")
    return stored
