import re

import pytest
from msgspec import structs

from gateway.protocols.anthropic import usage
from gateway.protocols.codec import Usage
from gateway.translation.anthropic.shapes import delta_usage, ending, identify, message, usage_of
from gateway.translation.events import Ended
from tests.translation.anthropic.sdk import ASKING

ALL = Usage(7, 5, 3, 2, 40, 11, server_tool_calls=4)


@pytest.mark.parametrize(
    ("request_id", "found"),
    [
        ("req_0aB9", "0aB9"),
        ("0aB9", "0aB9"),
        ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "1b4e28ba2fa111d2883f0016d3cca427"),
    ],
)
def test_ids_are_made_of_the_requests(request_id, found):
    assert identify(structs.replace(ASKING, request_id=request_id)) == found


@pytest.mark.parametrize("request_id", ["", "é", "a b", "x" * 99, "\ud83d"])
def test_any_id_gives_one(request_id):
    asking = structs.replace(ASKING, request_id=request_id)
    assert re.fullmatch(r"[0-9a-f]{24}", identify(asking))
    assert identify(asking) == identify(asking)
    assert message(asking)["id"] == f"msg_{identify(asking)}"


def test_figures_are_read_back_as_they_were():
    assert usage(usage_of(ALL)) == ALL
    assert usage(delta_usage(ALL)) == ALL
    assert usage_of(Usage())["server_tool_use"] is None


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("length", "max_tokens"),
        ("tool_use", "tool_use"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
    ],
)
def test_stops(stop, reason):
    found = ending(Ended(stop))
    assert found["stop_reason"] == reason
    assert (found["stop_details"] is not None) is (stop == "refusal")
