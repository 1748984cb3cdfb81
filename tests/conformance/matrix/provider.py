"""The other side: the sandbox, with recordings to replay and answers that tests have written, which keeps the bodies
that it was sent.

A model's name decides: `told-{number}` is answered as it was told (recordings too), all others by the sandbox's script.
"""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote

from gateway.local.sandbox import Sandbox
from gateway.local.sandbox.replay import Recording, Replay
from gateway.local.sandbox.server import Reply, Request, Rest, listening

_TOLD = re.compile(r"told-(\d+)")


class Provider:
    def __init__(self) -> None:
        self.url = ""
        self.sandbox = Sandbox()
        self.requests: list[Request] = []
        self._told: list[Recording] = []

    def tell(self, recording: Recording) -> str:
        """The model that is answered so."""
        self._told.append(recording)
        return f"told-{len(self._told) - 1}"

    def handle(self, request: Request, reply: Reply) -> Rest | None:
        self.requests.append(request)
        found = _TOLD.search(unquote(request.target)) or _TOLD.search(request.body.decode())
        if found is None:
            return self.sandbox.handle(request, reply)
        return partial(Replay(self._told[int(found[1])], None).send, reply)

    @property
    def body(self) -> dict[str, Any]:
        """Of the last request."""
        return json.loads(self.requests[-1].body)


@asynccontextmanager
async def providing() -> AsyncGenerator[Provider]:
    made = Provider()
    async with listening(made.handle) as (host, port):
        made.url = f"http://{host}:{port}"
        yield made
