"""What `poolgate up` puts into a new installation: accounts at the sandbox and a key for them, or accounts from the
environment. Run again it finds what it made.

It goes through the same services as the admin API, before any gateway runs, so that the first request already finds
everything.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.core import models as m
from gateway.core.db import engine, sessions
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, audit, keys, tenants
from gateway.core.settings import Settings
from gateway.local.keyfiles import replace
from gateway.local.offers import Offer

_ACTOR = audit.Actor("system")
#: They serve only these names, and the key may use only these: it never reaches an account that costs money.
_MODELS = ["sandbox-*"]
#: Platform and where its API begins below the sandbox's address: one for each protocol.
_SANDBOX = {"claude-console": "", "openai": "", "openai-responses": "/v1", "gemini": "", "ollama": "/ollama"}
#: An Ollama server speaks the others' protocols too: here it is asked for its own.
_LAST = {"ollama": {"priority": 100}}


async def furnish(settings: Settings, sandbox_url: str | None, found: Sequence[Offer]) -> str | None:
    """Make an account at the sandbox for each protocol, one for each offer, and a key for the sandbox.

    Returns the key's secret, or None without a sandbox.
    """
    sealer = Sealer(settings.master_key_bytes)
    async with engine(settings.database_url, size=1) as bound, sessions(bound)() as session:
        tenant = (await session.execute(select(m.Tenant.id).where(m.Tenant.name == tenants.DEFAULT))).scalar_one()
        for values, credentials in (*map(_of_offer, found), *_of_sandbox(sandbox_url)):
            await _account(session, sealer, tenant, values, credentials)
        secret = None if sandbox_url is None else await _key(session, settings, tenant)
        await session.commit()
        return secret


def _of_offer(offer: Offer) -> tuple[dict[str, Any], dict[str, Any]]:
    values = {"platform": offer.platform, "name": offer.name, "options": dict(offer.options)}
    values["provider"] = offer.platform
    if offer.base_url:
        values["base_url"] = offer.base_url
    return values, {name: secret.reveal() for name, secret in offer.credentials.items()}


def _of_sandbox(url: str | None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    if url is None:
        return []
    common = {"provider": "sandbox", "models": _MODELS}
    places = {platform: url + base for platform, base in _SANDBOX.items()}
    return [
        (
            {
                "platform": platform,
                "name": f"sandbox {platform}",
                "base_url": place,
                **common,
                **_LAST.get(platform, {}),
            },
            # Of no word that stands in an answer: errors that hold an account's secret are not shown to clients.
            {"api_key": token_hex(16)},
        )
        for platform, place in places.items()
    ]


async def _account(
    session: AsyncSession, sealer: Sealer, tenant: str, values: Mapping[str, Any], credentials: Mapping[str, Any]
) -> None:
    """Made if the tenant has none of this name; else only its address follows, as the sandbox's port may differ."""
    same = select(m.Account).where(
        m.Account.tenant_id == tenant, m.Account.name == values["name"], m.Account.deleted_at.is_(None)
    )
    account = (await session.execute(same.order_by(m.Account.id).limit(1))).scalar_one_or_none()
    if account is None:
        account = await accounts.create(session, sealer, tenant, values, credentials)
        await audit.record(session, _ACTOR, "accounts.create", account.id, tenant_id=tenant, after=values)
    elif account.base_url != values.get("base_url"):
        before, after = {"base_url": account.base_url}, {"base_url": values.get("base_url")}
        await accounts.change(session, sealer, account, after)
        await audit.record(session, _ACTOR, "accounts.change", account.id, tenant_id=tenant, before=before, after=after)


async def _key(session: AsyncSession, settings: Settings, tenant: str) -> str:
    """The key whose secret lies in the installation's folder, or a new one. Only a digest is in the database."""
    path = settings.home / "sandbox-key"
    kept = _read(path)
    mine = select(m.Key.id).join(m.KeySecret, m.KeySecret.key_id == m.Key.id)
    mine = mine.where(m.KeySecret.digest.in_(settings.peppers.digests(kept)), m.Key.deleted_at.is_(None))
    if kept and (await session.execute(mine)).first() is not None:
        return kept
    values = {"name": "sandbox", "platforms": ["*"], "models": _MODELS}
    key, secret = await keys.issue(session, settings.peppers, tenant, values)
    await audit.record(session, _ACTOR, "keys.create", key.id, tenant_id=tenant, after=values)
    # Before the commit: a file without its key is replaced next time, a key without its file would be lost.
    replace(path, secret.reveal())
    return secret.reveal()


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
