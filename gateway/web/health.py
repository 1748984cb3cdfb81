"""Health: `/health` and `/livez` say that the process answers; `/readyz` says whether it should get traffic, and why not."""

from typing import Any

from litestar import Response, get
from litestar.datastructures import State

from gateway.relay.gate import Gate


@get(["/health", "/livez"], sync_to_thread=False)
def alive() -> dict[str, str]:
    return {"status": "ok"}


@get("/readyz", sync_to_thread=False)
def ready(state: State) -> Response[dict[str, Any]]:
    gate: Gate = state.gate
    problems, notes = verdict(gate)
    body: dict[str, Any] = {"status": "unready" if problems else "ok"}
    if problems or notes:
        body["reasons"] = problems + notes
    return Response(body, status_code=503 if problems else 200)


def verdict(gate: Gate) -> tuple[list[str], list[str]]:
    """What keeps traffic away, and what does not but should be known."""
    problems: list[str] = []
    notes: list[str] = []
    if gate.leaving or gate.draining:
        problems.append("draining")
    if gate.stale():
        problems.append("PostgreSQL and Redis cannot be read")
    elif gate.database_age() > 5:
        notes.append("degraded: PostgreSQL cannot be read, known keys go on")
    if not gate.scripts.connected:
        text = f"degraded: {gate.scripts.reason}, each process enforces its share of the limits"
        (problems if gate.closes_without_redis() else notes).append(text)
    elif gate.admission.cold:
        notes.append("degraded: the counters are being rebuilt")
    return problems, notes
