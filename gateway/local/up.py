"""`poolgate up`: all of poolgate on one machine, under one supervisor.

In order: check every setting and take the ports, start PostgreSQL and Redis (unless their URLs are given), migrate,
start the processes, wait until they answer, make the first user, say where everything is. Whatever ends it (a signal,
an error half-way) unwinds the same way: the gateways first, whose streams run on for a while, then our other processes,
then the servers, so that nothing they write is lost.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.migrate import upgrade
from gateway.core.settings import Settings
from gateway.local import listening, ready
from gateway.local.demo import furnish
from gateway.local.keyfiles import generated
from gateway.local.offers import Offer, halves, offers
from gateway.local.postgres import postgres
from gateway.local.privilege import make_home
from gateway.local.redis import redis
from gateway.local.servers import Server
from gateway.local.supervisor import Program, Supervisor, interruptible, stopping
from gateway.platforms import InvalidAccount, validate

#: `-P`: a folder called `gateway` where the command is run must not stand in for ours.
PYTHON = (sys.executable, "-P", "-m")
LOOPBACK = "127.0.0.0/8,::1/128"

Say = Callable[[str], None]


class UpError(Exception):
    """It cannot run; the message is one line that says why."""


class Options(Struct, frozen=True):
    sandbox: bool = False
    import_env: bool = False
    allow_local: bool = False


class Ready(Struct, frozen=True):
    """What is printed when everything answers."""

    gateway: str
    admin: str
    owner: Mapping[str, str] | None
    sandbox: Mapping[str, str] | None
    home: Path


def up(options: Options, environ: Mapping[str, str], *, say: Say, announce: Callable[[Ready], None]) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; then stop everything and return. A second signal ends at once.

    `say` is told what goes on, `announce` is called once, when a request would be answered. Raises SettingError,
    PortError, ServerError or UpError, each one line.
    """
    site = Site(options, environ, say)
    with interruptible(site.abandon):
        try:
            with ExitStack() as stack:
                announce(site.start(stack))
                Supervisor([*site.servers, *site.programs], say).run()
        except KeyboardInterrupt:
            say("stopped")


class Site:
    """One installation: its settings, its servers and its programs."""

    def __init__(self, options: Options, environ: Mapping[str, str], say: Say) -> None:
        self.options = options
        self.say = say
        self.home = make_home(Path(environ.get("POOLGATE_HOME") or ".poolgate").absolute())
        self.logs = self.home / "logs"
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self.servers: list[Server] = []
        self.gateways: list[Program] = []
        self.others: list[Program] = []
        self.environ = self._with_servers(dict(environ))
        self._default_environ()
        # Everything is checked here, before anything is started.
        self._take_ports(Settings.from_environ(self.environ))
        self.settings = Settings.from_environ(self.environ)
        if options.import_env:
            _check(offers(self.environ))

    @property
    def programs(self) -> list[Program]:
        return [*self.others, *self.gateways]

    def _with_servers(self, environ: dict[str, str]) -> dict[str, str]:
        if not environ.get("POOLGATE_DATABASE_URL"):
            self.servers.append(postgres(self.home))
            environ["POOLGATE_DATABASE_URL"] = self.servers[-1].url
        if not environ.get("POOLGATE_REDIS_URL"):
            self.servers.append(redis(self.home))
            environ["POOLGATE_REDIS_URL"] = self.servers[-1].url
        return environ

    def _default_environ(self) -> None:
        environ = self.environ
        environ["POOLGATE_HOME"] = str(self.home)
        # One machine, one person waiting at a terminal: no time for a load balancer to notice, little for streams.
        environ.setdefault("POOLGATE_DRAIN_GRACE", "0")
        environ.setdefault("POOLGATE_DRAIN_TIMEOUT", "5")
        for name, file in (("POOLGATE_MASTER_KEYS", "master-key"), ("POOLGATE_KEY_PEPPERS", "key-pepper")):
            if not environ.get(name) and not environ.get(f"{name}_FILE"):
                environ[f"{name}_FILE"] = str(generated(self.home / file))
        if self.options.allow_local:
            self._allow(LOOPBACK)

    def _allow(self, networks: str) -> None:
        given = self.environ.get("POOLGATE_EGRESS_ALLOW")
        self.environ["POOLGATE_EGRESS_ALLOW"] = f"{given},{networks}" if given else networks

    def _take_ports(self, settings: Settings) -> None:
        host = settings.host
        self._port = listening.Port(host, settings.gateway_port, settings.workers, "POOLGATE_GATEWAY_PORT")
        self.gateway_url = listening.url(host, self._port.number)
        admin = listening.free_port(host, settings.admin_port, "POOLGATE_ADMIN_PORT")
        self.admin_url = listening.url(host, admin)
        self.environ["POOLGATE_GATEWAY_PORT"] = str(self._port.number)
        self.environ["POOLGATE_ADMIN_PORT"] = str(admin)
        self.sandbox_url: str | None = None
        if self.options.sandbox:
            self._sandbox_port = listening.free_port("127.0.0.1", settings.sandbox_port, "POOLGATE_SANDBOX_PORT")
            self.sandbox_url = listening.url("127.0.0.1", self._sandbox_port)
            self._allow(f"127.0.0.1/32:{self._sandbox_port}")

    def start(self, stack: ExitStack) -> Ready:
        """Start everything, in order, and return when every process answers. `stack` stops it all."""
        for server in self.servers:
            self.say(f"starting {server.title} ({server.build.name})")
            stack.enter_context(server)
        self._migrate()
        key = self._furnish()
        self._make_programs()
        stack.enter_context(stopping(self.others, self.settings.drain_timeout))
        # Left first: a stream of the sandbox's runs on until its gateway has ended.
        stack.enter_context(stopping(self.gateways, self.settings.drain_timeout))
        stack.callback(self._port.close)
        for program in self.programs:
            program.start()
        for title, url in self._health():
            mine = [program for program in self.programs if program.title.startswith(title)]
            ready.wait(url, mine, lambda program: UpError(f"{program.title} stopped at once: {program.last_words}"))
        sandbox = None if key is None else {"url": str(self.sandbox_url), "key": key}
        # Last, because the password is shown once: nothing may fail between here and showing it.
        return Ready(self.gateway_url, self.admin_url, self._bootstrap(), sandbox, self.home)

    def abandon(self) -> None:
        """End at once. The servers still stop as they should: they are told to, and nobody waits for them."""
        for program in self.programs:
            program.send(signal.SIGKILL)
        for server in self.servers:
            if server.pid is not None:
                os.kill(server.pid, server.stop_signals[0])
        os._exit(130)

    def _migrate(self) -> None:
        try:
            asyncio.run(upgrade(self.settings.database_url))
        except (OSError, SQLAlchemyError) as error:
            raise UpError(f"POOLGATE_DATABASE_URL: the database cannot be migrated: {_one_line(error)}") from error

    def _furnish(self) -> str | None:
        """Accounts and the sandbox's key, before the gateways read the configuration for the first time."""
        found = offers(self.environ)
        for half in halves(self.environ):
            self.say(str(half))
        if found and not self.options.import_env:
            names = ", ".join(offer.variable for offer in found)
            self.say(f"{names} found: `poolgate up --import-env` makes accounts of them")
        if not self.options.sandbox and not self.options.import_env:
            return None
        return asyncio.run(furnish(self.settings, self.sandbox_url, found if self.options.import_env else ()))

    def _make_programs(self) -> None:
        # Read by the admin process alone.
        plain = {name: value for name, value in self.environ.items() if "BOOTSTRAP_TOKEN" not in name}
        if self.options.sandbox:
            command = (*PYTHON, "gateway.cli", "sandbox", "--port", str(self._sandbox_port))
            self.others.append(Program("sandbox", command, plain, self.logs / "sandbox.log"))
        for number in range(1, self.settings.workers + 1):
            log = self.logs / f"gateway-{number}.log"
            command = (*PYTHON, "gateway.cli", "gateway")
            self.gateways.append(Program(f"gateway {number}", command, plain, log, port=self._port))
        for name, environ in (("admin", self.environ), ("jobs", plain)):
            command = (*PYTHON, "gateway.cli", name)
            self.others.append(Program(name, command, environ, self.logs / f"{name}.log"))

    def _health(self) -> list[tuple[str, str]]:
        found = [("gateway", f"{self.gateway_url}/readyz"), ("admin", f"{self.admin_url}/health")]
        return [("sandbox", f"{self.sandbox_url}/_bill"), *found] if self.options.sandbox else found

    def _bootstrap(self) -> Mapping[str, str] | None:
        """The first user, made by the admin package in a process of its own; None when there is one already."""
        command = (*PYTHON, "gateway.cli", "bootstrap", "--json")
        done = subprocess.run(command, env=self.environ, check=False, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise UpError(f"the first user cannot be made: {_last_line(done.stderr)}")
        answer: Any = msgspec.json.decode(done.stdout)
        return answer


def _check(found: Sequence[Offer]) -> None:
    """Raises UpError for the first that its platform cannot use."""
    for offer in found:
        credentials = {name: secret.reveal() for name, secret in offer.credentials.items()}
        try:
            validate(offer.platform, credentials, offer.options, offer.base_url or None)
        except InvalidAccount as error:
            raise UpError(f"{offer.variable}: no account can be made of it: {error}") from error


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {_first_line(str(error))}"


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no reason given")


def _last_line(text: str) -> str:
    return next(reversed(text.strip().splitlines()), "no reason given")
