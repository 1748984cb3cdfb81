"""Running the control plane by uvicorn."""

import uvicorn

from admin.app import create_app
from gateway.core import db
from gateway.core.migrate import check_revision
from gateway.core.settings import Settings


async def serve(settings: Settings) -> None:
    """Until SIGINT or SIGTERM. Raises UnknownRevision before anything listens."""
    async with db.engine(settings.database_url, size=1) as engine:
        await check_revision(engine)
    await uvicorn.Server(config(settings)).serve()


def config(settings: Settings) -> uvicorn.Config:
    """`proxy_headers` is off because the app reads them itself, from trusted proxies only."""
    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.admin_port,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        log_level="warning",
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=64 * 1024,
    )
