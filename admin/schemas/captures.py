"""Captured prompts and answers, as they are shown."""

from msgspec import Struct

from admin.schemas.page import at
from gateway.core import models as m
from gateway.core.services.captures import Content, Side


class CaptureView(Struct, frozen=True, kw_only=True):
    """`text` is redacted; `bytes` is what there was before, `truncated` when not all of it was kept."""

    request_id: str
    tenant_id: str
    key_id: str
    received_at: str
    expires_at: str
    request: Side
    answer: Side | None


def capture_view(capture: m.Capture, content: Content) -> CaptureView:
    return CaptureView(
        request_id=capture.request_id,
        tenant_id=capture.tenant_id,
        key_id=capture.key_id,
        received_at=at(capture.received_at),
        expires_at=at(capture.expires_at),
        request=content.request,
        answer=content.answer,
    )
