"""Where a request would go, on a terminal."""

from gateway.local.sandbox import Running
from tests.commands.conftest import Commands


async def test_candidates_and_reasons(commands: Commands, upstream: Running):
    add = ["accounts", "add", "--platform", "claude-console", "--base-url", upstream.url, "--model", "explained-*"]
    first = await commands.json([*add, "--name", "explained first", "--priority", "1"], said="sk-x\n")
    await commands.json([*add, "--name", "explained second"], said="sk-x\n")
    off = await commands.json([*add, "--name", "explained off"], said="sk-x\n")
    await commands(f"accounts disable {off['id']}")
    key = (await commands.json("keys create --name explained --platform * --model *"))["id"]
    told = await commands.json(f"explain {key} explained-1")
    assert [one["name"] for one in told["candidates"]] == ["explained first", "explained second"]
    assert {"explained off": "disabled"}.items() <= {one["name"]: one["reason"] for one in told["excluded"]}.items()
    shown = (await commands(f"explain {key} explained-1 --path /claude/v1/messages")).stdout
    assert "protocol\tanthropic" in shown
    assert f"{first['id']}\texplained first\tclaude-console\texplained-1" in shown
    drained = await commands.json(f"accounts drain {first['id']}")
    assert drained["in_flight"] == 0
    again = await commands.json(f"explain {key} explained-1")
    assert [one["name"] for one in again["candidates"]] == ["explained second"]
