"""Whether the process answers. It says nothing else, and asks nothing of anyone."""

from litestar import get


@get("/health", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def health() -> dict[str, str]:
    return {"status": "ok"}
