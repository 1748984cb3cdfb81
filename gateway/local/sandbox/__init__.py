"""The sandbox upstream: a simulated provider that speaks every protocol, is scripted, and keeps a bill.

For trying keys and limits without spending, for tests and for benchmarks. `serve` is the command,
`running` is for tests in the same process.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.local.sandbox import replay as recorded
from gateway.local.sandbox.bill import Bill, Row
from gateway.local.sandbox.exchange import Sandbox, Seen
from gateway.local.sandbox.script import Rule, load_rules
from gateway.local.sandbox.server import listening

__all__ = ["Bill", "Row", "Rule", "Running", "Sandbox", "Seen", "running", "serve"]


class Running:
    """A sandbox that listens. `url` has no trailing slash."""

    def __init__(self, url: str, sandbox: Sandbox) -> None:
        self.url = url
        self.sandbox = sandbox

    def bill(self) -> Bill:
        return self.sandbox.bill

    def rules(self, rules: Iterable[Rule]) -> None:
        """Replace the rules of the script file."""
        self.sandbox.rules.replace(rules)

    def requests(self) -> list[Seen]:
        """The newest thousand requests as they arrived, oldest first."""
        return list(self.sandbox.seen)


@asynccontextmanager
async def running(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rules: Iterable[Rule] = (),
    replay: Path | None = None,
    sock: socket.socket | None = None,
) -> AsyncGenerator[Running]:
    """A sandbox on a free port (or `port`, or a bound socket) until the block is left."""
    sandbox = Sandbox(rules, recorded.load(replay) if replay else ())
    async with listening(sandbox.handle, host=host, port=port, sock=sock) as (address, actual):
        place = f"[{address}]" if ":" in address else address
        yield Running(f"http://{place}:{actual}", sandbox)


async def serve(
    port: int,
    *,
    host: str = "127.0.0.1",
    script: Path | None = None,
    replay: Path | None = None,
    sock: socket.socket | None = None,
) -> None:
    """Run until cancelled. `script` is a file of rules, `replay` a folder or file of recordings."""
    rules = load_rules(script) if script else []
    async with running(host=host, port=port, rules=rules, replay=replay, sock=sock):
        await asyncio.Event().wait()
