"""Waiting until a process says that it is ready."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gateway.local import ready
from gateway.local.listening import free_port
from gateway.local.ready import NotReady, wait
from gateway.local.supervisor import Program, stopping

ENVIRON = {"PATH": "/usr/bin:/bin"}


class Answers(BaseHTTPRequestHandler):
    """503 twice, then 200."""

    left = 2

    def do_GET(self) -> None:
        ready = type(self).left == 0
        type(self).left = max(0, type(self).left - 1)
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b"" if ready else b"redis is gone")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Answers.left = 2
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/readyz"
    server.shutdown()
    thread.join()
    server.server_close()


def ended(program: Program) -> Exception:
    return RuntimeError(f"{program.title} said: {program.last_words}")


def test_it_returns_when_the_answer_is_200(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    wait(address, [], ended)
    assert Answers.left == 0


def test_it_gives_up_with_the_last_answer(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ready, "DEADLINE", 0.3)
    Answers.left = 10_000
    with pytest.raises(NotReady, match="503 redis is gone"):
        wait(address, [], ended)


def test_a_process_that_ends_is_noticed_at_once(tmp_path: Path):
    port = free_port("127.0.0.1", 0, "PORT")
    code = "print('the database is at revision 0007'); raise SystemExit(1)"
    program = Program("gateway 1", [sys.executable, "-c", code], ENVIRON, tmp_path / "log")
    with stopping([program], 1), pytest.raises(RuntimeError, match="gateway 1 said: the database is at revision 0007"):
        program.start()
        wait(f"http://127.0.0.1:{port}/readyz", [program], ended)
