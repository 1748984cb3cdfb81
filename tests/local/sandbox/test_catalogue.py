"""Model lists in each provider's shape: the names that may be chosen from, and any other name by itself."""

import json

import pytest

from gateway.local.sandbox.catalogue import listing
from gateway.local.sandbox.dialect import Target
from gateway.local.sandbox.script import read

SHAPES = [
    ("anthropic", "data", "id"),
    ("openai-chat", "data", "id"),
    ("gemini", "models", "name"),
    ("ollama", "models", "name"),
]


@pytest.mark.parametrize(("protocol", "member", "name"), SHAPES)
def test_a_list(protocol: str, member: str, name: str) -> None:
    found = json.loads(listing(protocol, Target("list")))
    names = [row[name].removeprefix("models/") for row in found[member]]
    assert len(names) == len(set(names)) > 5
    scripted = [one for one in names if one.startswith("sandbox-")]
    assert "sandbox-echo" in scripted
    for one in scripted:
        read(one.removeprefix("sandbox-"))  # each does what its name says


@pytest.mark.parametrize(("protocol", "_", "name"), SHAPES)
def test_one_model_looks_as_in_the_list(protocol: str, _: str, name: str) -> None:
    listed = json.loads(listing(protocol, Target("list")))
    row = next(iter(listed.get("data") or listed["models"]))
    one = json.loads(listing(protocol, Target("model", row[name])))
    assert one == row
    other = json.loads(listing(protocol, Target("model", "anything/else:1")))
    assert other[name].removeprefix("models/") == "anything/else:1"
    assert set(other) == set(row)


def test_anthropics_page_says_where_it_ends() -> None:
    page = json.loads(listing("anthropic", Target("list")))
    ids = [row["id"] for row in page["data"]]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[0], ids[-1], False)
