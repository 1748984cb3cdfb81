"""The API behind the commands: pages, and every failure as one line."""

import asyncio
import socket

import pytest

from gateway.commands import store
from gateway.commands.api import Api, CommandError, Refused
from tests.commands.conftest import Commands, ControlPlane


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"POOLGATE_ADMIN_TOKEN": ""},
            "not logged in: `poolgate login`, or set POOLGATE_ADMIN_TOKEN (unauthenticated)",
        ),
        ({"POOLGATE_ADMIN_TOKEN": "pgadm_no"}, "the log-in or token is not valid any more: `poolgate login`"),
        ({"POOLGATE_ADMIN_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1 does not answer"),
        ({"POOLGATE_ADMIN_URL": "nowhere"}, "nowhere does not answer"),
        ({"POOLGATE_ADMIN_URL": "http://[::1"}, "http://[::1"),
    ],
)
async def test_a_failure_is_one_line(commands: Commands, environ: dict[str, str], message: str):
    done = await commands("keys list", expect=1, environ=environ)
    assert done.stderr.startswith(f"poolgate: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


async def test_a_refusal_names_the_fields(commands: Commands):
    done = await commands("keys create --all --limit requests/fortnight=60", expect=1)
    assert done.stderr.startswith("poolgate: limits[0].per: expected minute")
    assert done.stderr.endswith("(invalid_request)\n")
    done = await commands("accounts add --platform nothing --name x --credential api_key", said="sk\n", expect=1)
    assert "platform: " in done.stderr


async def test_all_pages_or_the_first_rows(plane: ControlPlane, commands: Commands, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.commands.api._PAGE", 2)
    for number in range(5):
        await commands(f"keys create --all --name paged-{number}")

    def pages() -> list[int]:
        with Api(store.Login(plane.url, token=plane.token)) as api:
            return [len(api.everything("GET /keys", {"q": "paged-"}, limit)) for limit in (None, 3, 1, 9)]

    assert await asyncio.to_thread(pages) == [5, 3, 1, 5]


async def test_an_answer_of_something_else(plane: ControlPlane):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad\r\ncontent-length: 5\r\nconnection: close\r\n\r\n<b>no")
        await writer.drain()
        writer.close()

    listening = socket.create_server(("127.0.0.1", 0))
    async with await asyncio.start_server(answer, sock=listening):
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def asked() -> None:
            with Api(store.Login(url, token="t")) as api:
                api("GET /me")

        with pytest.raises(CommandError, match=f"{url} is not the admin API: it answered 502") as error:
            await asyncio.to_thread(asked)
        assert not isinstance(error.value, Refused)
