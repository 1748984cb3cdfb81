"""An export is whole or it is not there: what breaks off leaves the file that was before, and says so."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.commands import export
from gateway.commands.api import Api, CommandError
from gateway.commands.store import Login

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\nx-poolgate-rows: 2\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = HEAD + b"3\r\na\r\n\r\n6\r\n1\r\n2\r\n\r\n0\r\n\r\n"
BROKEN = HEAD + b"3\r\na\r\n\r\n"
PROBLEM = b'{"code":"forbidden","detail":"you lack usage:read"}'
REFUSED = b"HTTP/1.1 403 Forbidden\r\ncontent-length: %d\r\n\r\n%s" % (len(PROBLEM), PROBLEM)


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def exported(data: bytes, output: Path | str, params: Mapping[str, str] | None = None) -> None:
    async with answering(data) as url:

        def run() -> None:
            with Api(Login(url, token="pgadm_x")) as api:
                export.write(api, "GET /usage/export", params or {}, "csv", str(output))

        await asyncio.to_thread(run)


async def test_a_whole_one_replaces_the_file(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before")
    await exported(WHOLE, target)
    assert target.read_bytes() == b"a\r\n1\r\n2\r\n"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("data", "words"), [(BROKEN, "broke off"), (b"", "broke off"), (REFUSED, "you lack usage:read")]
)
async def test_what_breaks_off_leaves_what_was(tmp_path: Path, data: bytes, words: str) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before")
    with pytest.raises(CommandError, match=words):
        await exported(data, target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        await exported(WHOLE, tmp_path / "none" / "out.csv")


async def test_a_terminal_has_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    await exported(WHOLE, tmp_path / "out.csv")
    assert "3/3" in terminal.getvalue()
    terminal.truncate(0)
    await exported(WHOLE.replace(b"x-poolgate-rows: 2\r\n", b""), tmp_path / "out.csv")
    assert "bytes" in terminal.getvalue() and "3/3" not in terminal.getvalue()
    assert (tmp_path / "out.csv").read_bytes() == b"a\r\n1\r\n2\r\n"
