"""Sums and the ledger, after real requests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from tests.admin.conftest import serving, token_of
from tests.commands.conftest import Commands
from tests.support.installation import Site, installation


class Used:
    def __init__(self, site: Site, commands: Commands) -> None:
        self.site, self.commands = site, commands


@pytest.fixture(scope="module")
async def used(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Used]:
    home: Path = tmp_path_factory.mktemp("home")
    async with installation(database_url, redis_url) as site:
        owner = await bootstrap(site.settings)
        assert owner is not None
        async with open_resources(site.settings) as resources:
            token = await token_of(resources, owner[0])
        async with serving(site.settings) as url:
            yield Used(site, Commands(url, token, home))


async def test_what_was_used(used: Used, tmp_path: Path):
    site, commands = used.site, used.commands
    assert (
        await commands("usage")
    ).stdout == "requests\terrors\tunpriced\tinput_tokens\tcache_read_tokens\toutput_tokens\tcost\n"
    account = await site.account("claude-console")
    key, secret = await site.new_key()
    ids: list[str] = []
    for number in range(3):
        body = {
            "model": f"sandbox-tokens-{number + 1}",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "x"}],
        }
        answer = await site.http.post("/v1/messages", headers={"x-api-key": secret}, json=body)
        assert answer.status_code == 200
        ids.append(answer.headers["x-request-id"])
    for identifier in ids:
        await site.row(identifier)
    listed = await commands.json(f"requests --key {key} --limit 2")
    assert [row["request_id"] for row in listed] == [ids[2], ids[1]]
    lines = (await commands("requests --model sandbox-tokens-1")).stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{ids[0]}\t")
    one = (await commands(f"requests {ids[0]}")).stdout
    assert f"account_id\t{account}\n" in one
    assert f"\n{account}\tclaude-console\tsandbox-tokens-1\t200\t" in one
    assert (await commands.json(f"requests {ids[0]}"))["attempts"][0]["account_id"] == account

    for form, heading in (("csv", 1), ("jsonl", 0)):
        target = tmp_path / f"rows.{form}"
        await commands(f"requests export --key {key} --format {form} --output {target}")
        lines = target.read_text().splitlines()
        assert (len(lines), all(found in line for found, line in zip(ids, lines[heading:], strict=True))) == (
            3 + heading, True,
        )  # fmt: skip
        assert target.stat().st_mode & 0o777 == 0o600
    printed = (await commands(f"usage export --by model,provider --key {key}")).stdout_bytes
    assert printed.startswith(b"model,provider,requests,") and printed.count(b"\r\n") == 4
    largest = await commands.json(f"usage --by model --key {key} --sort output_tokens")
    assert [group["output_tokens"] for group in largest["data"]] == [3, 2, 1]
    assert (await commands.json(["requests", "--json", ids[0]]))["request_id"] == ids[0]
    assert "come after the word" in (await commands("usage --by key export", expect=2)).stderr
    assert "is not an id" in (await commands("requests a/b", expect=2)).stderr

    sums = await commands.json(f"usage --by key,model --key {key}")
    assert [group["output_tokens"] for group in sums["data"]] == [1, 2, 3]
    plain = (await commands("usage --by key")).stdout.splitlines()
    assert plain[0].startswith("key_id\trequests\t")
    assert plain[1].startswith(f"{key}\t3\t0\t")
    refused = await commands("usage --by weather", expect=1)
    assert "group_by: cannot group by this" in refused.stderr
    assert "from: expected a time" in (await commands("requests --from soon", expect=1)).stderr
