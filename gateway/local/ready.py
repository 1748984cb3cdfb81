"""Waiting until a process answers."""

import time
from collections.abc import Callable, Sequence

import httpx

from gateway.local.supervisor import Program

DEADLINE = 60.0
_POLL = 0.05


class NotReady(Exception):
    """A process runs but does not say that it is ready; the message is one line."""


def wait(url: str, programs: Sequence[Program], ended: Callable[[Program], Exception]) -> None:
    """Return when `url` answers 200. Raises what `ended` makes of the first program that is no longer running, and
    NotReady after a minute."""
    deadline = time.monotonic() + DEADLINE
    # No proxy of the environment may stand between us and our own process.
    with httpx.Client(trust_env=False, timeout=2) as client:
        while (last := _ask(client, url)) is not None:
            for program in programs:
                if not program.alive:
                    raise ended(program)
            if time.monotonic() > deadline:
                raise NotReady(f"{url} is not ready after {DEADLINE:.0f} s: {last}")
            time.sleep(_POLL)


def _ask(client: httpx.Client, url: str) -> str | None:
    """None when it is ready, else why not."""
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return str(error)
    return None if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
