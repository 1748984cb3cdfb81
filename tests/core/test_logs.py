"""Logs are one JSON object a line on standard error, and hold what a call site named."""

import json
import subprocess
import sys

SCRIPT = """
import logging
import structlog
from gateway.core import logs
from gateway.core.secret import Secret
logs.configure()
log = structlog.get_logger()
log.debug("not shown")
log.info("shown", key=Secret("canary"), text="two\\nlines")
try:
    local = "canary"
    raise ValueError("told")
except ValueError:
    log.exception("failed")
logging.getLogger("other").info("not shown")
logging.getLogger("other").warning("another library")
print("standard output is for programs")
"""


def test_a_line_is_an_object() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "standard output is for programs\n"
    *lines, last = done.stderr.splitlines()
    assert last == "another library"
    shown, failed = (json.loads(line) for line in lines)
    assert (shown["event"], shown["level"], shown["text"]) == ("shown", "info", "two\nlines")
    assert shown["timestamp"].endswith("Z")
    assert (failed["event"], failed["level"]) == ("failed", "error")
    assert "ValueError: told" in failed["exception"]
    assert "canary" not in done.stderr.replace('local = "canary"', "")
