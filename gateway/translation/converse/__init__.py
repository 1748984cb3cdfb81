"""Bedrock's Converse, as an upstream alone: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html.

No client speaks it here, so there is nothing to parse and nothing to write.
"""

from gateway.translation.converse.answer import failure, reader, usage
from gateway.translation.converse.losses import LOSSES
from gateway.translation.converse.meter import meter
from gateway.translation.converse.request import build
from gateway.translation.speech import Upstream

UPSTREAM = Upstream(name="converse", build=build, reader=reader, failure=failure, meter=meter)

__all__ = ["LOSSES", "UPSTREAM", "build", "failure", "reader", "usage"]
