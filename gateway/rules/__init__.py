"""What a group's rules do to the body of a request, in the client's own protocol and in its own bytes."""

from gateway.rules.steps import DIALECTS as DIALECTS
from gateway.rules.steps import ruled as ruled
