"""A second opinion, where wrk is installed: the requests a second that somebody else's load client counts."""

import re
import shutil
import tempfile
from pathlib import Path

from tests.bench.load import prompt
from tests.bench.process import running
from tests.bench.target import Target

_PATIENCE = 15.0
_RATE = re.compile(rb"Requests/sec:\s+([0-9.]+)")
_WRONG = re.compile(rb"Non-2xx or 3xx responses: (\d+)")


def path() -> str | None:
    return shutil.which("wrk")


def script(target: Target, model: str) -> str:
    """What wrk sends: the same request as our own load client."""
    body = prompt(model, False, 0, 0.0).decode()
    headers = [header.split(": ", 1) for header in (*target.headers, "content-type: application/json")]
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{body}]==]"]
    return "\n".join([*lines, *(f'wrk.headers["{name}"] = "{value}"' for name, value in headers)])


def rate(program: str, target: Target, model: str, *, connections: int, seconds: int, core: int) -> tuple[float, int]:
    """Requests a second, and how many answers were errors. Raises ValueError when wrk says neither."""
    with tempfile.TemporaryDirectory(prefix="poolgate-wrk-") as folder:
        file = Path(folder) / "request.lua"
        file.write_text(script(target, model))
        command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(file)]
        with running([*command, f"http://127.0.0.1:{target.port}/v1/messages"], core=core) as process:
            output, _ = process.communicate(timeout=seconds + _PATIENCE)
    found, wrong = _RATE.search(output), _WRONG.search(output)
    if found is None:
        raise ValueError("wrk said no rate")
    return float(found[1]), int(wrong[1]) if wrong else 0
