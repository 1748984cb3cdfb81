"""nginx as the yardstick: one worker that passes everything on, with connections to the upstream kept alive."""

import contextlib
import shutil
import socket
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from tests.bench.process import children, pin, running
from tests.bench.target import Target, free_port

_CONFIG = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream behind {{
        server 127.0.0.1:{upstream};
        keepalive 512;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


def path() -> str | None:
    """Where nginx is; Debian keeps it out of the PATH of plain users."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")


@contextlib.contextmanager
def nginx(program: str, upstream: int, *, core: int) -> Generator[Target]:
    """Runs nginx with a configuration and folders of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="poolgate-bench-nginx-") as name:
        folder = Path(name)
        # As root its worker is another user, who must get into the folder.
        folder.chmod(0o755)
        config = folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=folder, upstream=upstream, port=port))
        command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
        with (folder / "output.log").open("wb") as log, running(command, core=core, log=log) as process:
            _wait(port)
            workers = [pid for pid, line in children(process.pid).items() if "worker" in line]
            for worker in workers:
                pin(worker, core)
            yield Target("nginx", port, workers=tuple(workers))


def _wait(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
