"""The `poolgate` commands that talk to a running installation: HTTP to the admin API, nothing else of poolgate.

httpx and rich are imported by the command that runs, so that `poolgate --help` stays quick.
"""

import click

from gateway.commands.accounts import accounts
from gateway.commands.client import client
from gateway.commands.explain import explain
from gateway.commands.groups import groups
from gateway.commands.keys import keys
from gateway.commands.login import login, logout
from gateway.commands.prices import prices
from gateway.commands.reconcile import reconcile
from gateway.commands.records import requests, usage
from gateway.commands.refusals import refusals
from gateway.commands.teams import teams
from gateway.commands.users import users

COMMANDS: tuple[click.Command, ...] = (
    accounts,
    client,
    explain,
    groups,
    keys,
    login,
    logout,
    prices,
    reconcile,
    refusals,
    requests,
    teams,
    usage,
    users,
)


def register(main: click.Group) -> None:
    for command in COMMANDS:
        main.add_command(command)
