"""Why a request would go where it would go."""

from typing import Any

import click

from gateway.commands import text
from gateway.commands.api import Api
from gateway.commands.options import ID, said
from gateway.commands.options import as_json as json_option

CANDIDATES = ("account_id", "name", "platform", "model", "translated", "in_flight", "tier", "strategy", "score")
EXCLUDED = ("account_id", "name", "reason", "until")


@click.command()
@click.argument("key_id", type=ID)
@click.argument("model")
@click.option("--path", default="/v1/messages", show_default=True, help="What the client asks for.")
@click.option("--session", "session_id", help="The client's session.")
@click.option("--stream/--no-stream", default=True, show_default=True)
@json_option
def explain(as_json: bool, **asked: Any) -> None:
    """Show which accounts a key's request for MODEL would be tried on, in order, and why not on the others."""
    with Api() as api:
        told = api("POST /route:explain", said(asked))
    if as_json:
        text.as_json(told)
        return
    text.fields({name: told[name] for name in ("protocol", "group", "model", "sticky", "error")})
    text.table(told["candidates"], CANDIDATES)
    text.table(told["excluded"], EXCLUDED)
