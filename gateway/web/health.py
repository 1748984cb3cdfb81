"""Health: `/health` and `/livez` say that the process answers, `/readyz` whether it should get traffic, and why not."""

from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.datastructures import State
from litestar.exceptions import MethodNotAllowedException

from gateway.core.errors import Refused
from gateway.core.ledger import new_request
from gateway.relay.gate import Gate
from gateway.web.errors import rendered

_LOOK = [HttpMethod.GET, HttpMethod.HEAD]


@route(["/health", "/livez"], http_method=_LOOK, sync_to_thread=False)
def alive() -> dict[str, str]:
    return {"status": "ok"}


@route("/readyz", http_method=_LOOK, sync_to_thread=False)
def ready(state: State) -> Response[dict[str, Any]]:
    gate: Gate = state.gate
    problems, notes = verdict(gate)
    body: dict[str, Any] = {"status": "unready" if problems else "ok"}
    if problems or notes:
        body["reasons"] = problems + notes
    return Response(body, status_code=503 if problems else 200)


def method_not_allowed(_: Request[Any, Any, Any], __: MethodNotAllowedException) -> Response[bytes]:
    """The framework's refusal, in the words of all others."""
    error = Refused(
        "The method is not allowed here.", status=405, code="method_not_allowed", headers={"allow": ", ".join(_LOOK)}
    )
    status, headers, body = rendered(error, "openai_chat", new_request()[0], None)
    return Response(body, status_code=status, headers={name.decode(): value.decode() for name, value in headers})


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
    if gate.journal.full:
        problems.append("the journal is full: its rows cannot be committed")
    elif gate.journal.failing:
        notes.append(f"degraded: the journal cannot be written ({gate.journal.failing}), its rows wait in memory")
    if not gate.scripts.connected:
        text = f"degraded: {gate.scripts.reason}, each process enforces its share of the limits"
        (problems if gate.closes_without_redis() else notes).append(text)
    elif gate.admission.cold:
        notes.append("degraded: the counters are being rebuilt")
    return problems, notes
