"""All ways through translation, and the whole of one."""

from typing import Any

import pytest

from gateway.translation import SPEECHES, UPSTREAMS
from gateway.translation.prompt import Text, Turn
from tests.translation.hearing import found, heard, told
from tests.translation.wires import Said, wire

clients = pytest.mark.parametrize("client", SPEECHES)
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
HI = Turn("user", (Text("hi"),))


def through(client: str, upstream: str, said: Said, stream: bool) -> Any:
    """What the client finds of what the upstream says."""
    return found(client, told(client, heard(upstream, wire(upstream, said, stream), stream), stream), stream)
