"""Logging in to the admin API, and out of it."""

import os
import sys

import click

from gateway.commands import secrets, store, text
from gateway.commands.api import Api, CommandError, Refused
from gateway.commands.options import as_json as json_option

OWNER = "owner@localhost"


@click.command()
@click.option("--url", help=f"Where the admin API is [default: {store.DEFAULT_URL}, or POOLGATE_ADMIN_URL].")
@click.option("--email", help=f"Who you are [default: asked for, or {OWNER}].")
@click.option("--token", "by_token", is_flag=True, help="Store an admin token (pgadm_…) instead of a session.")
@json_option
def login(url: str | None, email: str | None, by_token: bool, as_json: bool) -> None:
    """Log in to the admin API.

    The password (or token) is asked for, or read from standard input, a line each. A one-time password is changed at
    once. A session lasts 12 hours; scripts set POOLGATE_ADMIN_TOKEN instead of logging in.
    """
    url = (url or os.environ.get("POOLGATE_ADMIN_URL") or store.DEFAULT_URL).rstrip("/")
    held = store.Login(url, token=secrets.ask("Admin token")) if by_token else _session(url, email or _email())
    with Api(held) as api:
        me = api("GET /me")
    path = store.save(held)
    if as_json:
        text.as_json({"url": url, "file": str(path), **{name: me[name] for name in ("actor", "user", "root", "roles")}})
    else:
        text.note(f"logged in to {url} as {(me['user'] or {}).get('email', me['actor'])}; kept in {path}")


@click.command()
@json_option
def logout(as_json: bool) -> None:
    """End the session and forget it."""
    held = store.load()
    if held is not None and held.session:
        try:
            with Api(held) as api:
                api("DELETE /session")
        except CommandError as error:
            # It is forgotten here all the same, and ends by itself.
            text.note(f"the session could not be ended: {error.message}")
    store.forget()
    if as_json:
        text.as_json({"logged_in": False})


def _email() -> str:
    return str(click.prompt("E-mail", default=OWNER, err=True)) if sys.stdin.isatty() else OWNER


def _session(url: str, email: str) -> store.Login:
    password = secrets.ask("Password")
    body = {"email": email, "password": password}
    with Api(store.Login(url)) as api:
        try:
            said, cookie = api.open_session(body)
        except Refused as error:
            if error.code != "totp_required":
                raise
            said, cookie = api.open_session({**body, "totp": secrets.ask("Code of your authenticator")})
    held = store.Login(url, session=cookie, csrf=said["csrf_token"])
    if said["must_change_password"]:
        with Api(held) as api:
            api("POST /me/password", {"current": password, "new": _new_password()})
    return held


def _new_password() -> str:
    """Twice on a terminal, where nobody sees what is typed."""
    text.note("this password works once: choose one of your own, of 8 characters at least")
    while True:
        chosen = secrets.ask("New password")
        if not sys.stdin.isatty() or secrets.ask("The same again") == chosen:
            return chosen
        text.note("these were not the same")
