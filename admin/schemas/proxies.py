"""Outbound proxies, as they are written and as they are shown. The URL is written only: it may hold a password."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from admin.schemas.page import Name, at
from gateway.core import models as m
from gateway.core.sealing import SealBroken, Sealer
from gateway.core.services import proxies

Url = Annotated[str, Meta(min_length=1, max_length=2_048)]


class ProxyDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    url: Url
    tenant_id: str | None = None


class ProxyPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType | None = UNSET
    url: Url | UnsetType | None = UNSET


class ProxyView(Struct, frozen=True, kw_only=True):
    """The parts of the URL are null when it cannot be opened: it must be given again."""

    id: str
    tenant_id: str
    name: str
    scheme: str | None
    host: str | None
    port: int | None
    has_credentials: bool | None
    created_at: str
    updated_at: str


def proxy_view(row: m.Proxy, sealer: Sealer) -> ProxyView:
    try:
        proxy = proxies.opened(row, sealer)
    except SealBroken:
        proxy = None
    return ProxyView(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        scheme=proxy and proxy.scheme,
        host=proxy and proxy.host,
        port=proxy and proxy.port,
        has_credentials=proxy and proxy.username is not None,
        created_at=at(row.created_at),
        updated_at=at(row.updated_at),
    )
