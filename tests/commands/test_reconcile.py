"""The ledger of an account beside a provider's export: rules of comparison, then real requests through the sandbox."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admin.bootstrap import bootstrap
from admin.resources import open_resources
from gateway.commands.reconcile import Gap, compared, explained, names
from gateway.local.sandbox.bill import Row
from tests.admin.conftest import serving, token_of
from tests.commands.conftest import Commands
from tests.commands.test_statements import CONSOLE, DASHBOARD
from tests.support.installation import Site, installation

DAY = date(2026, 8, 5)
PLAIN = {"input_tokens": ("input_tokens",), "output_tokens": ("output_tokens",)}


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("gpt-4o gpt-4o-2024-08-06", "gpt-4o gpt-4o"),
        ("gpt-4o-2024-05-13 gpt-4o-2024-08-06", "gpt-4o-2024-05-13 gpt-4o-2024-08-06"),
        ("gpt-4o gpt-4o-2024-05-13 gpt-4o-2024-08-06", "gpt-4o gpt-4o gpt-4o"),
        ("gpt-4o gpt-4o-mini gpt-4o-mini-2024-07-18", "gpt-4o gpt-4o-mini gpt-4o-mini"),
        ("claude-sonnet-4-5 claude-sonnet-4-5-20250929", "claude-sonnet-4-5 claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929 claude-sonnet-4-5", "claude-sonnet-4-5 claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514 claude-sonnet-4-5", "claude-sonnet-4-20250514 claude-sonnet-4-5"),
        ("claude-sonnet-4-0 claude-sonnet-4-20250514", "claude-sonnet-4 claude-sonnet-4"),
        ("claude-3-5-haiku-latest claude-3-5-haiku-20241022", "claude-3-5-haiku claude-3-5-haiku"),
        ("gpt-4 gpt-4-0613 gpt-4-turbo", "gpt-4 gpt-4 gpt-4-turbo"),
        ("gpt-5.1 gpt-5", "gpt-5.1 gpt-5"),
        ("claude-opus-4-5", "claude-opus-4-5"),
    ],
)
def test_an_alias_stands_for_every_date_of_its_name(models: str, expected: str) -> None:
    words = models.split()
    known = names(words)
    assert [known[word] for word in words] == expected.split()
    assert names(reversed(words)) == known


def test_what_only_one_side_has_is_a_gap() -> None:
    ours = {
        (DAY, "gpt-4o"): {"input_tokens": 5, "output_tokens": 2},
        (DAY, "only-ours"): {"input_tokens": 1, "output_tokens": 0},
    }
    theirs = {
        (DAY, "gpt-4o-2024-05-13"): {"input_tokens": 3, "output_tokens": 1},
        (DAY, "gpt-4o-2024-08-06"): {"input_tokens": 2, "output_tokens": 3},
        (DAY + timedelta(1), "only-theirs"): {"input_tokens": 0, "output_tokens": 7},
    }
    assert compared(ours, theirs, PLAIN) == [
        Gap("2026-08-05", "gpt-4o", "input_tokens", 5, 5, 0),
        Gap("2026-08-05", "gpt-4o", "output_tokens", 2, 4, -2),
        Gap("2026-08-05", "only-ours", "input_tokens", 1, 0, 1),
        Gap("2026-08-05", "only-ours", "output_tokens", 0, 0, 0),
        Gap("2026-08-06", "only-theirs", "input_tokens", 0, 0, 0),
        Gap("2026-08-06", "only-theirs", "output_tokens", 0, 7, -7),
    ]
    summed = compared({(DAY, "m"): {"a": 1, "b": 2}}, {(DAY, "m"): {"ab": 3}}, {"ab": ("a", "b")})
    assert summed == [Gap("2026-08-05", "m", "ab", 3, 3, 0)]


def test_estimates_are_told_apart() -> None:
    def row(model: str | None, ending: str, **more: Any) -> dict[str, Any]:
        figures = {"input_tokens": 10, "output_tokens": 1}
        asked = {"model_used": model, "model_asked": "gpt-4o", "received_at": "2026-08-05T23:59:59.999Z"}
        return {**figures, **asked, "ending": ending, **more}

    ours = {(DAY, "gpt-4o"): {"input_tokens": 25, "output_tokens": 9}}
    theirs = {(DAY, "gpt-4o-2024-08-06"): {"input_tokens": 5, "output_tokens": 9}}
    unsure = [
        row("gpt-4o-2024-08-06", "gateway_lost"),
        row(None, "stalled"),
        row("gpt-5", "gateway_lost"),
        row("gpt-4o", "gateway_lost", received_at="2026-08-06T00:00:00Z"),
    ]
    first, second = explained(compared(ours, theirs, PLAIN), unsure, ours, theirs, PLAIN)
    assert list(first) == ["day", "model", "class", "ours", "theirs", "difference", "estimated", "gateway_lost"]
    assert list(first.values()) == ["2026-08-05", "gpt-4o", "input_tokens", 25, 5, 20, 20, 10]
    assert (second["class"], second["difference"], second["estimated"], second["gateway_lost"]) == (
        "output_tokens", 0, 2, 1,
    )  # fmt: skip


# ---------------------------------------------------------------- through the sandbox


class Used:
    """Accounts that have served, and what the simulated provider has billed for each."""

    def __init__(self, site: Site, commands: Commands, anthropic: str, openai: str) -> None:
        self.site, self.commands, self.anthropic, self.openai = site, commands, anthropic, openai

    def billed(self, protocol: str) -> list[Row]:
        rows = self.site.sandbox.bill().rows
        return [row for row in rows if row.protocol.startswith(protocol) and row.outcome != "error"]


@pytest.fixture(scope="module")
async def used(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Used]:
    async with installation(database_url, redis_url) as site:
        owner = await bootstrap(site.settings)
        assert owner is not None
        async with open_resources(site.settings) as resources:
            token = await token_of(resources, owner[0])
        async with serving(site.settings) as url:
            await not_over_midnight()
            anthropic, openai = await site.account("claude-console"), await site.account("openai")
            await ask(site, anthropic, "/v1/messages", ["claude-sandbox-echo-4-5", "claude-sandbox-cached-30-wrote-9"])
            await ask(site, openai, "/v1/chat/completions", ["gpt-sandbox-tokens-9", "gpt-sandbox-cached-30"])
            commands = Commands(url, token, tmp_path_factory.mktemp("home"))
            yield Used(site, commands, anthropic, openai)


async def not_over_midnight() -> None:
    now = datetime.now(UTC)
    left = (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(1) - now).total_seconds()
    if left < 60:
        await asyncio.sleep(left)


async def ask(site: Site, account: str, path: str, models: Iterable[str]) -> None:
    secret = await site.key(account_id=account)
    for model in models:
        for stream in (False, True, True):
            body = {
                "model": model,
                "max_tokens": 99,
                "stream": stream,
                "messages": [{"role": "user", "content": "x" * 400}],
            }
            answer = await site.http.post(path, headers={"authorization": f"Bearer {secret}"}, json=body)
            assert answer.status_code == 200
            row = await site.row(answer.headers["x-request-id"])
            assert (row.account_id, row.usage_source) == (account, "provider")


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def console(rows: Iterable[Row]) -> str:
    head = CONSOLE.partition("\n")[0]
    lines = [
        f"{today()},{row.model}-20250929,key,Default,standard,≤ 200k,{row.input_tokens},{row.cache_write_5m_tokens},"
        f"{row.cache_write_1h_tokens},{row.cache_read_tokens},{row.output_tokens},0,global,"
        for row in rows
    ]
    return "\n".join([head, *lines, ""])


def report(rows: Iterable[Row]) -> str:
    results = [
        {
            "model": row.model,
            "uncached_input_tokens": row.input_tokens,
            "cache_read_input_tokens": row.cache_read_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": row.cache_write_5m_tokens,
                "ephemeral_1h_input_tokens": row.cache_write_1h_tokens,
            },
            "output_tokens": row.output_tokens,
        }
        for row in rows
    ]
    return json.dumps({"data": [{"starting_at": f"{today()}T00:00:00Z", "results": results}], "has_more": False})


def start() -> int:
    return int(datetime.fromisoformat(f"{today()}T00:00:00+00:00").timestamp())


def dashboard(rows: Iterable[Row]) -> str:
    head = DASHBOARD.partition("\n")[0]
    lines = [
        f"{start()},{start() + 86400},,,p,1.0,u,k,{row.model},FALSE,default,"
        f"{row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens}.0,{row.output_tokens},"
        f"{row.cache_read_tokens},"
        for row in rows
    ]
    return "\n".join([head, *lines, ""])


def organization(rows: Iterable[Row]) -> str:
    results = [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens,
            "input_cached_tokens": row.cache_read_tokens,
            "output_tokens": row.output_tokens,
            "model": f"{row.model}-2026-08-06",
        }
        for row in rows
    ]
    return json.dumps({"object": "page", "data": [{"start_time": start(), "results": results}]})


FORMS = {
    "anthropic, CSV": ("anthropic", console),
    "anthropic, JSON": ("anthropic", report),
    "openai, CSV": ("openai", dashboard),
    "openai, JSON": ("openai", organization),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_ledger_that_is_right_has_no_gap(used: Used, tmp_path: Path, form: str) -> None:
    vendor, written = FORMS[form]
    billed = used.billed(vendor)
    assert len(billed) == 6
    file = tmp_path / "export"
    file.write_text(written(billed))
    done = await used.commands(["reconcile", str(file)])
    assert done.stdout == "day\tmodel\tclass\tours\ttheirs\tdifference\testimated\tgateway_lost\n"
    assert "figures agree" in done.stderr
    assert "today is not over" in done.stderr
    account = getattr(used, vendor)
    told = await used.commands.json(["reconcile", "--all", "--account", account, str(file)])
    assert (told["account_id"], told["provider"], told["gaps"], told["from"]) == (account, vendor, 0, today())
    assert sum(line["ours"] for line in told["data"]) == sum(
        row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens + row.output_tokens for row in billed
    )
    assert all(line["ours"] == line["theirs"] and line["difference"] == 0 for line in told["data"])


@pytest.mark.parametrize("form", FORMS)
async def test_what_was_billed_beside_is_shown(used: Used, tmp_path: Path, form: str) -> None:
    vendor, written = FORMS[form]
    billed = used.billed(vendor)
    file, again = tmp_path / "export", tmp_path / "again"
    file.write_text(written(billed))
    again.write_text(written(billed[-1:]))
    told = await used.commands.json(["reconcile", str(file), str(again)], expect=1)
    last = billed[-1]
    differences = {line["class"]: -line["difference"] for line in told["data"]}
    assert differences["output_tokens"] == last.output_tokens
    assert differences["cache_read_tokens"] == last.cache_read_tokens == 30
    assert {last.model in line["model"] or line["model"] in last.model for line in told["data"]} == {True}
    assert told["gaps"] == len(differences) == len(told["data"])
    plain = (await used.commands(["reconcile", str(file), str(again)], expect=1)).stdout.splitlines()
    assert len(plain) == 1 + told["gaps"]
    await used.commands(["reconcile", str(file), str(again), "--tolerance", "100000"])
    await used.commands(["reconcile", str(file), str(again), "--tolerance", "10%"], expect=1)
    await used.commands(["reconcile", str(file), str(again), "--tolerance", "60%"])


async def test_what_the_provider_did_not_say_is_told_apart(used: Used, tmp_path: Path) -> None:
    site = used.site
    account = await site.account("claude-console")
    secret = await site.key(account_id=account)
    body = {
        "model": "sandbox-tokens-40-cut-20",
        "max_tokens": 99,
        "stream": True,
        "messages": [{"role": "user", "content": "x"}],
    }
    answer = await site.http.post("/v1/messages", headers={"x-api-key": secret}, json=body)
    row = await site.row(answer.headers["x-request-id"])
    assert (row.usage_source, row.ending) == ("estimated", "upstream_error")
    file = tmp_path / "export"
    file.write_text(report(row for row in used.billed("anthropic") if row.model.endswith("cut-20")))
    told = await used.commands.json(["reconcile", "--account", account, str(file)], expect=1)
    (output,) = [line for line in told["data"] if line["class"] == "output_tokens"]
    assert output["difference"] != 0
    assert (output["ours"], output["estimated"], output["gateway_lost"]) == (row.output_tokens, row.output_tokens, 0)
    refused = await used.commands(["reconcile", str(file)], expect=2)
    assert "--account: there are 2 accounts of anthropic: say which" in refused.stderr


async def test_other_days_are_not_compared(used: Used, tmp_path: Path) -> None:
    file = tmp_path / "export"
    file.write_text(CONSOLE)
    told = await used.commands.json(["reconcile", "--account", used.anthropic, str(file)], expect=1)
    assert (told["from"], told["to"]) == ("2026-08-05", "2026-08-07")
    assert {line["ours"] for line in told["data"]} == {0}
    within = ["--from", "2026-08-06", "--to", "2026-08-07"]
    told = await used.commands.json(["reconcile", "--account", used.anthropic, *within, str(file)], expect=1)
    assert {line["day"] for line in told["data"]} == {"2026-08-06"}
    told = await used.commands.json(
        ["reconcile", "--account", used.anthropic, "--api-key", "laptop", str(file)], expect=1
    )
    assert sum(line["theirs"] for line in told["data"]) == 151


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "Missing argument 'FILE...'"),
        (["{file}", "--from", "2026-08-06", "--to", "2026-08-06"], 2, "--to: it must come after --from"),
        (["{file}", "--from", "soon"], 2, "Invalid value for '--from'"),
        (["{file}", "--tolerance", "much"], 2, "'much' is neither a number of tokens nor a part such as 0.1%"),
        (["{file}", "--api-key", "mine"], 1, "nothing is said of mine; the keys that are named: gateway, laptop"),
        (["{file}", "--account", "acct_nothing"], 1, "account_id"),
        (["{file}", "{other}"], 1, "the files do not belong together: one is openai's"),
        (["/nowhere/export.csv"], 1, "/nowhere/export.csv: No such file"),
        (["{broken}"], 1, "broken: line 2: usage_output_tokens: expected a whole number, not 'many'"),
    ],
)
async def test_what_is_wrong_is_named(used: Used, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    texts = {"file": CONSOLE, "other": DASHBOARD, "broken": CONSOLE.replace("16932", "many")}
    for name, content in texts.items():
        (tmp_path / name).write_text(content)
    given = [word.format(**{name: tmp_path / name for name in texts}) for word in words]
    done = await used.commands(["reconcile", *given], expect=code)
    assert message in done.stderr


async def test_a_page_says_that_others_follow(used: Used, tmp_path: Path) -> None:
    file = tmp_path / "export"
    file.write_text(report(used.billed("anthropic")).replace('"has_more": false', '"has_more": true'))
    done = await used.commands(["reconcile", "--account", used.anthropic, "--tolerance", "100000", str(file)])
    assert "others follow: give all of them" in done.stderr
