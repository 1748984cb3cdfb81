"""Groups."""

import json
from pathlib import Path
from typing import Any

import pytest
from click import UsageError

from gateway.commands.groups import aliases
from tests.commands.conftest import Commands


async def test_a_group_and_that_it_is_active(commands: Commands):
    words = ["groups", "create", "--name", "fast", "--description", "small ones"]
    for alias in ("quick=claude,claude-haiku-4-5", "gpt-*=deepseek:deepseek-chat", "gpt-*=gpt-5-mini"):
        words += ["--alias", alias]
    group = (await commands(words)).stdout.strip()
    assert group.startswith("grp_")
    listed = (await commands("groups list --search mall --tenant default")).stdout
    assert listed.splitlines()[1:] == [f"{group}\tfast\tyes\tno\tquick, gpt-*\tauto\tsmall ones"]
    assert (await commands(f"groups activate {group}")).stderr == f"poolgate: {group} fast is active\n"
    shown = (await commands(f"groups show {group}")).stdout
    assert "active\tyes\n" in shown
    assert shown.partition("\n\n")[2].splitlines() == [
        "match\tmodel\tplatform\tprovider\tpool_id\taccount_id\tweight",
        "quick\tclaude-haiku-4-5\tclaude\t-\t-\t-\t1",
        "gpt-*\tdeepseek-chat\t-\tdeepseek\t-\t-\t1",
        "gpt-*\tgpt-5-mini\t-\t-\t-\t-\t1",
    ]
    told = await commands.json(f"groups show {group}")
    assert (told["active"], told["aliases"][0]["match"]) == (True, "quick")
    assert f"{group} is deleted" in (await commands(f"groups delete {group}")).stderr
    assert await commands.json("groups list") == []


async def test_a_whole_group_from_a_file(commands: Commands, tmp_path: Path):
    body: dict[str, Any] = {
        "name": "whole",
        "aliases": [{"match": "a", "targets": [{"model": "m", "weight": 2}]}],
        "prompt": {"mode": "append", "text": "be brief"},
        "headers": {"x-team": "a"},
    }
    file = tmp_path / "group.json"
    file.write_text(json.dumps(body))
    made = await commands.json(f"groups create --file {file}")
    assert {name: made[name] for name in body} == body
    words = f"groups create --file - --name other --alias b=m --description d --tenant {made['tenant_id']}"
    other = await commands.json(words, said=json.dumps(body))
    assert {name: other[name] for name in body} == {
        **body, "name": "other", "aliases": [{"match": "b", "targets": [{"model": "m"}]}],
    }  # fmt: skip
    assert other["description"] == "d"
    refused = await commands("groups create --name models", expect=1)
    assert refused.stderr.startswith("poolgate: name: ")
    refused = await commands("groups create --name x --alias a=nonsense,m", expect=1)
    assert refused.stderr.startswith("poolgate: aliases[0].targets[0].platform: ")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ((), []),
        (("a=m",), [{"match": "a", "targets": [{"model": "m"}]}]),
        (("a=claude,m",), [{"match": "a", "targets": [{"platform": "claude", "model": "m"}]}]),
        (("a=ollama,gemma3:12b",), [{"match": "a", "targets": [{"platform": "ollama", "model": "gemma3:12b"}]}]),
        (("a=x:m",), [{"match": "a", "targets": [{"provider": "x", "model": "m"}]}]),
        (("a=x:m,n",), [{"match": "a", "targets": [{"platform": "x:m", "model": "n"}]}]),
        (("a=m=n",), [{"match": "a", "targets": [{"model": "m=n"}]}]),
        (
            ("b=m", "a*=m", "b=n"),
            [{"match": "b", "targets": [{"model": "m"}, {"model": "n"}]}, {"match": "a*", "targets": [{"model": "m"}]}],
        ),
    ],
)
def test_aliases(given: tuple[str, ...], found: list[dict[str, Any]]):
    assert aliases(given) == found


@pytest.mark.parametrize("word", ["", "a", "a=", "=m", "a=,m", "a=claude,", "a=:m", "a=x:", "a= "])
def test_what_is_no_alias(word: str):
    with pytest.raises(UsageError, match="MATCH="):
        aliases(("a=m", word))


@pytest.mark.parametrize(
    ("line", "said", "message"),
    [
        ("groups create", "", "say --name"),
        ("groups create --alias a=m", "", "say --name"),
        ("groups create --name x --alias a", "", "is not of the form MATCH="),
        ("groups create --file -", "{", "--file: this is not JSON"),
        ("groups create --file -", "[]", "--file: an object is expected"),
        ("groups create --file -", "{}", "say --name"),
        ("groups create --file /nowhere/at/all", "", "No such file"),
        ("groups activate ../me", "", "is not an id"),
        ("groups show", "", "GROUP_ID"),
    ],
)
async def test_what_is_not_said_is_not_guessed(commands: Commands, line: str, said: str, message: str):
    assert message in (await commands(line, said=said, expect=2)).stderr
