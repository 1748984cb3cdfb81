"""`/metrics` of one gateway process, for those addresses that may read it; for all others it is not there.

The text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/. Plain numbers that the
process keeps anyway; names of keys, tenants and models are in none. Workers that share a port answer in turn, each with
its own `process`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.datastructures import State

from gateway.core.address import is_trusted, networks
from gateway.core.errors import NotFound
from gateway.relay.gate import Gate
from gateway.web.edge import client_ip
from gateway.web.health import named, refused

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@route(["/metrics"], http_method=[HttpMethod.GET, HttpMethod.HEAD], sync_to_thread=False)
def metrics(request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    gate: Gate = state.gate
    scope = request.scope
    client = client_ip(scope["client"], scope["headers"], gate.settings.trusted_proxies)
    if not is_trusted(client, networks(gate.settings.metrics_allow)):
        return refused(request, NotFound("There is nothing at this path."))
    return Response("".join(_lines(gate)).encode(), headers={"content-type": _TYPE, **named(request)})


def _lines(gate: Gate) -> Iterator[str]:
    journal = gate.journal
    gauges: Mapping[str, tuple[str, float]] = {
        "requests_running": ("Requests that are admitted and not over.", len(gate.exchanges)),
        "degraded": ("1 while limits are enforced by this process alone.", int(gate.degraded)),
        "redis_connected": ("1 while Redis answers.", int(gate.scripts.connected)),
        "database_age_seconds": ("Since the configuration was last read.", round(gate.database_age(), 3)),
        "body_bytes": ("Request bodies in memory.", gate.body_bytes),
        "journal_rows": ("Rows that are not known to be in PostgreSQL.", journal.waiting),
        "journal_bytes": ("Size of the journal.", journal.size),
    }
    counters: Mapping[str, tuple[str, int]] = {
        "redis_failures_total": ("Times that Redis was given up.", gate.scripts.failures),
        "degraded_admissions_total": ("Requests admitted or refused without Redis.", gate.admission.alone),
        "rows_resent_total": ("Rows sent to Redis again.", gate.settler.resent),
        "captures_dropped_total": ("Prompts and answers that were to be kept and were not.", gate.captures.dropped),
        "key_reads_total": ("Keys read from PostgreSQL.", gate.keys.misses),
    }
    label = f'process="{journal.instance}"'
    for kind, found in (("gauge", gauges), ("counter", counters)):
        for name, (meaning, value) in found.items():
            yield f"# HELP poolgate_{name} {meaning}\n# TYPE poolgate_{name} {kind}\n"
            yield f"poolgate_{name}{{{label}}} {value}\n"
    yield "# HELP poolgate_requests_total Requests that are over, by how they ended.\n"
    yield "# TYPE poolgate_requests_total counter\n"
    for ending, count in sorted(gate.endings.items()):
        yield f'poolgate_requests_total{{{label},ending="{ending}"}} {count}\n'
