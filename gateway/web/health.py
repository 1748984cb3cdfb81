"""Health: `/health` and `/livez` say that the process answers, `/readyz` whether it should get traffic, and why not."""

from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.datastructures import State
from litestar.exceptions import MethodNotAllowedException

from gateway.core.errors import GatewayError
from gateway.core.ledger import new_request
from gateway.relay.gate import Gate
from gateway.routing.paths import LOOK
from gateway.web import errors
from gateway.web.edge import own_id

_LOOK = [HttpMethod.GET, HttpMethod.HEAD]


@route(["/health", "/livez"], http_method=_LOOK, sync_to_thread=False)
def alive(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
    return Response({"status": "ok"}, headers=named(request))


@route("/readyz", http_method=_LOOK, sync_to_thread=False)
def ready(request: Request[Any, Any, Any], state: State) -> Response[dict[str, Any]]:
    gate: Gate = state.gate
    problems, notes = verdict(gate)
    body: dict[str, Any] = {"status": "unready" if problems else "ok"}
    if problems or notes:
        body["reasons"] = problems + notes
    return Response(body, status_code=503 if problems else 200, headers=named(request))


def method_not_allowed(request: Request[Any, Any, Any], _: MethodNotAllowedException) -> Response[bytes]:
    """The framework's refusal, in the words of all others."""
    return refused(request, errors.method_not_allowed(LOOK))


def refused(request: Request[Any, Any, Any], error: GatewayError) -> Response[bytes]:
    """An error of a page that no client's protocol has."""
    status, headers, body = errors.rendered(error, "openai_chat", new_request()[0], _own_id(request))
    return Response(body, status_code=status, headers={name.decode(): value.decode() for name, value in headers})


def named(request: Request[Any, Any, Any]) -> dict[str, str]:
    """What the edge puts on every answer: the request's id, and the client's own."""
    own = _own_id(request)
    return {"x-request-id": new_request()[0], **({"x-client-request-id": own} if own else {})}


def _own_id(request: Request[Any, Any, Any]) -> str | None:
    return own_id(request.headers.get("x-request-id", "").encode("latin-1"))


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
