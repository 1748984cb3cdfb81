"""What a request said and was answered, where its tenant has turned the capture on. Every look is in the audit log."""

from litestar import Controller, get
from litestar.params import FromPath

from admin import trail
from admin.deps import Asking, Database, Holding, Within
from admin.schemas.captures import CaptureView, capture_view
from gateway.core.services import captures


class CaptureController(Controller):
    path = "/requests/{request_id:str}/capture"
    tags = ("requests",)

    @get(opt={"permission": "captures:read"})
    async def read(
        self, session: Database, caller: Asking, reach: Within, resources: Holding, request_id: FromPath[str]
    ) -> CaptureView:
        capture = await captures.find(session, reach, request_id)
        content = captures.opened(capture, resources.sealer)
        await trail.note(session, caller, "captures.read", capture.request_id, tenant_id=capture.tenant_id)
        return capture_view(capture, content)
