"""Ready configuration of the usual clients, for a key and the gateway's address.

Names and files are the clients' own: code.claude.com/docs/en/settings, developers.openai.com/codex/config,
github.com/google-gemini/gemini-cli/docs, and the READMEs of the vendors' SDKs.
"""

import shlex
from collections.abc import Callable, Mapping

import click
from msgspec import Struct

from gateway.commands import secrets, text
from gateway.commands.options import as_json as json_option

DEFAULT_URL = "http://127.0.0.1:8080"


class Configuration(Struct, frozen=True):
    """`environ`: variables of the client's process. `files`: what to put where, `~` is the user's home."""

    environ: Mapping[str, str]
    files: Mapping[str, str]


def claude_code(url: str, key: str, model: str | None) -> Configuration:
    """The token goes as a Bearer; with it Claude Code asks for no log-in."""
    environ = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": key}
    return Configuration(environ | ({"ANTHROPIC_MODEL": model} if model else {}), {})


def codex(url: str, key: str, model: str | None) -> Configuration:
    """A provider of its own: it uses plain HTTP at once, where the built-in one tries a WebSocket first."""
    lines = [f"model = {_toml(model)}"] if model else []
    lines += [
        'model_provider = "poolgate"',
        "",
        "[model_providers.poolgate]",
        'name = "poolgate"',
        f"base_url = {_toml(url + '/v1')}",
        'env_key = "POOLGATE_KEY"',
        'wire_api = "responses"',
    ]
    return Configuration({"POOLGATE_KEY": key}, {"~/.codex/config.toml": "\n".join(lines) + "\n"})


def gemini_cli(url: str, key: str, model: str | None) -> Configuration:
    environ = {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": key}
    settings = '{"security": {"auth": {"selectedType": "gemini-api-key"}}}\n'
    return Configuration(environ | ({"GEMINI_MODEL": model} if model else {}), {"~/.gemini/settings.json": settings})


def openai(url: str, key: str, model: str | None) -> Configuration:
    """What OpenAI's SDKs read, and most tools that are built on them. The model is the program's own matter."""
    return Configuration({"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key}, {})


CLIENTS: Mapping[str, Callable[[str, str, str | None], Configuration]] = {
    "claude-code": claude_code,
    "codex": codex,
    "gemini-cli": gemini_cli,
    "openai": openai,
}


@click.command()
@click.argument("name", type=click.Choice(list(CLIENTS)), metavar="|".join(CLIENTS))
@click.option("--url", envvar="POOLGATE_URL", default=DEFAULT_URL, show_default=True, help="Where the gateway is.")
@click.option("--key", "source", default="env:POOLGATE_KEY", metavar="SOURCE",
              help="Where the key is: -, @FILE or env:NAME; asked for when POOLGATE_KEY is not set.")  # fmt: skip
@click.option("--model", help="The model to start with.")
@json_option
def client(name: str, url: str, source: str, model: str | None, as_json: bool) -> None:
    """Print ready client configuration for a key."""
    import os

    if source == "env:POOLGATE_KEY" and not os.environ.get("POOLGATE_KEY"):
        source = ""
    made = CLIENTS[name](url.rstrip("/"), secrets.read(source, "Key"), model)
    if as_json:
        text.as_json({"env": made.environ, "files": made.files})
    else:
        click.echo(rendered(made), nl=False)


def rendered(made: Configuration) -> str:
    """For a person to copy: the shell's lines, then each file."""
    parts = ["".join(f"export {name}={shlex.quote(value)}\n" for name, value in made.environ.items())]
    parts += [f"# {place}\n{content}" for place, content in made.files.items()]
    return "\n".join(parts)


def _toml(value: str) -> str:
    """A basic string of TOML is one of JSON, but for DEL."""
    import json

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
