"""The loss table: every row is one that happens, and nothing happens that is no row."""

from gateway.translation.ollama.losses import LOSSES, OPTIONS
from tests.translation.ollama.test_build import ADJUSTED, REFUSED
from tests.translation.ollama.test_parse import PNG, parse

NAMES = {verdict: {name for name, row, _ in LOSSES if row == verdict} for verdict in ("dropped", "clamped", "400")}


def test_rows_are_well_formed():
    assert len({name for name, _, _ in LOSSES}) == len(LOSSES) == sum(map(len, NAMES.values()))
    assert all(why and not why.endswith(".") for _, _, why in LOSSES)


def test_what_clients_say_and_others_cannot():
    members = {"context": [1], "keep_alive": 0, "shift": False, "truncate": True}
    found = parse("generate", prompt="hi", options=dict.fromkeys(OPTIONS, 1), images=[PNG], **members)
    of_clients = {*members, *(f"options.{name}" for name in OPTIONS)}
    assert set(found.dropped) == of_clients
    of_requests = {name for name, _, _ in ADJUSTED}
    assert NAMES["dropped"] | NAMES["clamped"] == of_clients | of_requests
    # Those of `parse` are in its table of what is wrong.
    assert NAMES["400"] == {name for name, _ in REFUSED} | {"suffix", "template", "raw", "images"}
