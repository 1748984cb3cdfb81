"""The `poolgate` command: what runs poolgate. Each command imports only what it runs.

The one module that knows both planes, because it starts both; nothing imports it.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.commands import register

if TYPE_CHECKING:
    from gateway.local.up import Ready


class OneLine(click.ClickException):
    """An error that a person can act on: one line, no traceback, exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"poolgate: {self.message}", err=True)


def one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Show the errors that name their own cure as one line."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except Exception as error:
            if isinstance(error, _explained()):
                raise OneLine(str(error)) from error
            raise

    return run


def _explained() -> tuple[type[Exception], ...]:
    """Imported only when something has failed."""
    from gateway.core.migrate import UnknownRevision
    from gateway.core.settings import SettingError
    from gateway.local.listening import PortError
    from gateway.local.ready import NotReady
    from gateway.local.servers import ServerError
    from gateway.local.up import UpError

    return (SettingError, UnknownRevision, PortError, ServerError, UpError, NotReady)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="poolgate")
def main() -> None:
    """Poolgate: a multi-tenant relay gateway for AI APIs."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready.")
@click.option("--sandbox", is_flag=True, help="Start the sandbox upstream, with accounts and a key for it.")
@click.option("--import-env", is_flag=True, help="Make accounts of the provider keys in the environment.")
@click.option("--allow-local", is_flag=True, help="Let accounts point to this machine (Ollama, vLLM).")
@one_line
def up(as_json: bool, sandbox: bool, import_env: bool, allow_local: bool) -> None:
    """Run everything on this machine.

    With PostgreSQL and Redis of its own, unless their URLs are given.
    """
    from gateway.local.up import Options
    from gateway.local.up import up as run

    options = Options(sandbox=sandbox, import_env=import_env, allow_local=allow_local)
    run(options, os.environ, say=_say, announce=_announce_json if as_json else _announce)


@main.command()
@one_line
def gateway() -> None:
    """Run one gateway process."""
    from gateway.app import create_app
    from gateway.core import logs
    from gateway.core.settings import Settings
    from gateway.web.server import serve

    settings = Settings.from_environ()
    asyncio.run(_check_revision(settings.database_url))
    logs.configure()
    serve(create_app(settings), settings)


@main.command()
@one_line
def jobs() -> None:
    """Run the background jobs."""
    from gateway.core.settings import Settings
    from gateway.jobs import run

    run(Settings.from_environ())


@main.command()
@one_line
def admin() -> None:
    """Run the admin API."""
    import uvloop

    from admin.serve import serve
    from gateway.core.settings import Settings

    uvloop.run(serve(Settings.from_environ()))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the user as JSON, or null when there is one already.")
@one_line
def bootstrap(as_json: bool) -> None:
    """Make the first user and print the one-time password."""
    from admin.bootstrap import bootstrap as make
    from gateway.core.settings import Settings

    made = asyncio.run(make(Settings.from_environ()))
    if as_json:
        click.echo(msgspec.json.encode(None if made is None else {"email": made[0], "password": made[1]}))
    elif made is None:
        click.echo("There is a user already.")
    else:
        click.echo(f"{made[0]}\npassword {made[1]} (shown this once)")


@main.command()
@one_line
def migrate() -> None:
    """Bring the database to the revision of this version."""
    from gateway.core.migrate import upgrade
    from gateway.core.settings import Settings

    asyncio.run(upgrade(Settings.from_environ().database_url))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--script", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Rules to answer by.")
@click.option("--replay", type=click.Path(exists=True, path_type=Path), help="Recorded answers, a folder or a file.")
@one_line
def sandbox(host: str, port: int, script: Path | None, replay: Path | None) -> None:
    """Run the sandbox upstream: a simulated provider."""
    import uvloop

    from gateway.local.sandbox import serve

    with suppress(KeyboardInterrupt):
        uvloop.run(serve(port, host=host, script=script, replay=replay))


async def _check_revision(url: str) -> None:
    """Before the server starts: what fails inside it is a traceback, this is one line."""
    from gateway.core.db import engine
    from gateway.core.migrate import check_revision

    async with engine(url, size=1) as bound:
        await check_revision(bound)


def _say(line: str) -> None:
    click.echo(f"poolgate: {line}", err=True)


def _announce_json(ready: "Ready") -> None:
    line: dict[str, Any] = {"ready": True, "gateway": ready.gateway, "admin": ready.admin, "owner": ready.owner}
    if ready.sandbox is not None:
        line["sandbox"] = ready.sandbox
    click.echo(msgspec.json.encode(line))
    sys.stdout.flush()


def _announce(ready: "Ready") -> None:
    lines = [f"gateway  {ready.gateway}", f"admin    {ready.admin}"]
    if ready.owner is not None:
        lines += [f"owner    {ready.owner['email']}", f"password {ready.owner['password']}  (shown this once)"]
    if ready.sandbox is not None:
        lines += [f"sandbox  {ready.sandbox['url']}", f"key      {ready.sandbox['key']}", "", "Try it:", _curl(ready)]
    lines += ["", f"Ctrl-C stops everything. Data and logs stay in {ready.home}"]
    click.echo("\n".join(lines))
    sys.stdout.flush()


def _curl(ready: "Ready") -> str:
    assert ready.sandbox is not None
    body = '{"model":"sandbox-echo","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}'
    return (
        f"  curl {ready.gateway}/v1/messages -H 'x-api-key: {ready.sandbox['key']}' "
        f"-H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' -d '{body}'"
    )


register(main)

if __name__ == "__main__":
    main()
