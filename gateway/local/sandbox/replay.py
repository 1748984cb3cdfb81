"""Recorded answers, served byte for byte: `/fx/{k}/…` as recorded, `/fx/{k}/cut-{n}/…` in writes of n bytes.

A recording is one JSON object a line: `id protocol path status content_type stream` and `response` (text) or
`response_b64` (bytes). `k` counts the lines of all `*.jsonl` files in the order of their names.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.local.sandbox.server import Reply, Request

_PATH = re.compile(r"^/fx/(\d+)(?:/cut-(\d+))?(?:/|$)")
_STEP = 997
"""Bytes in one write of a stream, when the path names none: a prime, so that writes and events do not agree."""


class Recording(Struct, frozen=True):
    id: str
    protocol: str = ""
    path: str | None = None
    status: int | None = None
    content_type: str | None = None
    stream: bool = False
    response: str = ""
    response_b64: str | None = None

    @property
    def data(self) -> bytes:
        return b64decode(self.response_b64) if self.response_b64 is not None else self.response.encode()


def load(source: Path) -> list[Recording]:
    """The recordings of a file, or of all `*.jsonl` files of a folder."""
    files = sorted(source.glob("*.jsonl")) if source.is_dir() else [source]
    decode = msgspec.json.Decoder(Recording).decode
    return [decode(line) for file in files for line in file.read_bytes().split(b"\n") if line.strip()]


def index(recordings: Iterable[Recording]) -> bytes:
    rows = [
        {"k": k, "id": r.id, "protocol": r.protocol, "path": r.path, "status": r.status or 200, "stream": r.stream}
        for k, r in enumerate(recordings)
    ]
    return msgspec.json.encode(rows)


class Replay(Struct, frozen=True):
    recording: Recording
    step: int | None

    async def send(self, reply: Reply) -> None:
        recording = self.recording
        data = recording.data
        status = recording.status or 200
        headers = f"content-type: {recording.content_type or 'application/json'}\r\n"
        if not recording.stream and self.step is None:
            reply.send(status, headers, data)
            return
        step = self.step or _STEP
        reply.start(status, headers)
        for start in range(0, len(data), step):
            await reply.chunk(data[start : start + step])
        reply.end()


def find(request: Request, recordings: list[Recording]) -> Replay | None:
    """What a path replays; None for other paths and for a number that is not there."""
    found = _PATH.match(request.path)
    if not found or int(found[1]) >= len(recordings):
        return None
    return Replay(recordings[int(found[1])], max(1, int(found[2])) if found[2] else None)
