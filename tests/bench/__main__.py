"""`make bench`: direct, nginx (where it is installed) and poolgate with keys, limits, pool and ledger on, in one run.

    python -m tests.bench [--quick] [--json FILE] [--targets direct,nginx,poolgate]

The exit code is 1 when a figure that must be reached is missed, 2 when it could not be measured. The raw data goes to
FILE, or into the folder `bench` of POOLGATE_HOME.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec

from tests.bench import nginx as nginx_
from tests.bench import report, wrk
from tests.bench.load import MODEL
from tests.bench.measure import CONNECTIONS, FULL, QUICK, Bench, LoadFailed, Sample, TooSlow
from tests.bench.poolgate import Installation, Unusable, poolgate, wait_for_rows
from tests.bench.process import busy_seconds, many_files, own_seconds, running, two_cores
from tests.bench.target import Target

_ROWS_WITHIN = 15.0
#: Cores' worth of others' work from which on the figures say more about them.
_NOISE = 0.1


def main() -> int:
    options = _options()
    if not sys.platform.startswith("linux"):
        return _cannot("processor time and memory are read from /proc: this runs on Linux only")
    many_files()
    # Ended from outside, it leaves like after Ctrl-C: what it started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    samples: list[Sample] = []
    start, busy, own = time.monotonic(), busy_seconds(), own_seconds()
    try:
        rows = _measure(options, samples)
    except (Unusable, TooSlow, LoadFailed, httpx.HTTPError, subprocess.TimeoutExpired) as error:
        _write(options, samples, {}, [])
        return _cannot(str(error))
    names = [name for name in ("direct", "nginx", "poolgate") if any(sample.target == name for sample in samples)]
    found = {name: report.figures(samples, name) for name in names}
    asked = sum(sample.load["asked"] for sample in samples if sample.target == "poolgate")
    gates = report.gates(found, rows, asked) if "poolgate" in found else []
    print("\n".join(["", *report.table(found)]))
    if gates:
        print("\n" + "\n".join([f"{'':<46}{'found':>12}{'wanted':>12}", *map(report.verdict, gates)]))
    others = (busy_seconds() - busy - own_seconds() + own) / (time.monotonic() - start)
    print(f"\nother programs used {max(0.0, others):.2f} of {os.cpu_count()} cores meanwhile", end="")
    print(": on a quiet machine the figures are better" if others > _NOISE else "")
    print(f"raw data: {_write(options, samples, found, gates)}")
    return 0 if all(gate.ok is not False for gate in gates) else 1


def _measure(options: argparse.Namespace, samples: list[Sample]) -> int:
    """All rounds, into `samples`; how many rows poolgate's ledger has of them."""
    gateway_core, core = two_cores()
    scale = QUICK if options.quick else FULL
    wanted = options.targets.split(",")
    with ExitStack() as stack:
        bench = Bench(scale, core, _say)
        upstream = stack.enter_context(running([sys.executable, "-m", "tests.bench.upstream"], core=core))
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        targets = [Target("direct", port)]
        program = nginx_.path() if "nginx" in wanted else None
        if program is not None:
            targets.append(stack.enter_context(nginx_.nginx(program, port, core=gateway_core)))
        installation: Installation | None = None
        if "poolgate" in wanted:
            _say("starting poolgate")
            installation = stack.enter_context(poolgate(port, gateway_core=gateway_core, core=core))
            targets.append(installation.target)
        samples.extend(bench.warm(target) for target in targets)
        for number in range(1, scale.rounds + 1):
            samples.extend(bench.round(number, targets))
        if installation is None:
            _second_opinion(targets, core)
            return 0
        asked = sum(sample.load["asked"] for sample in samples if sample.target == "poolgate")
        for complaint, times in Counter(installation.complaints()).most_common(5):
            _say(f"poolgate logged {times} × {complaint}")
        rows = wait_for_rows(installation, asked, _ROWS_WITHIN)
        _second_opinion(targets, core)  # after the rows are counted: what wrk leaves unfinished at its end is a row too
        return rows


def _second_opinion(targets: list[Target], core: int) -> None:
    """The same closed loop by wrk, where it is installed."""
    program = wrk.path()
    for target in targets if program else ():
        rate, errors = wrk.rate(program, target, MODEL, connections=CONNECTIONS, seconds=2, core=core)
        _say(f"wrk      {target.name:<9} {rate:>9,.0f} requests/s  {errors} errors")


def _write(
    options: argparse.Namespace,
    samples: list[Sample],
    found: dict[str, report.Figures],
    gates: list[report.Gate],
) -> Path:
    home = Path(os.environ.get("POOLGATE_HOME") or ".poolgate")
    path: Path = options.json or home / "bench" / time.strftime("%Y%m%d-%H%M%S.json")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    machine = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
    }
    data = {"at": time.time(), "machine": machine, "figures": found, "gates": gates, "samples": samples}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1))
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure poolgate beside nginx.")
    parser.add_argument("--quick", action="store_true", help="one short round, below a minute")
    parser.add_argument("--json", type=Path, help="where the raw data goes")
    parser.add_argument("--targets", default="direct,nginx,poolgate", help="a comma list; direct is always measured")
    return parser.parse_args()


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def _cannot(reason: str) -> int:
    _say(reason)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
