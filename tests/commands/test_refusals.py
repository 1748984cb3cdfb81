"""Counts of refusals, after real ones."""

from tests.commands.test_records import Used, used

__all__ = ["used"]


async def test_what_was_refused(used: Used):
    site, commands = used.site, used.commands
    assert (await commands("refusals")).stdout == "count\n"
    key, secret = await site.new_key(models=["claude-*"])
    for _ in range(3):
        body = {"model": "gpt", "max_tokens": 9, "messages": []}
        assert (await site.http.post("/v1/messages", headers={"x-api-key": secret}, json=body)).status_code == 403
    site.gate.refusals.flush()
    await site.settled()
    assert (await commands("refusals")).stdout == f"key_id\tcode\tcount\n{key}\tmodel_forbidden\t3\n"
    told = await commands.json(f"refusals --by status --key {key} --code model_forbidden --tenant default")
    assert told["data"] == [{"status": 403, "count": 3}]
    assert (await commands.json("refusals --status 401"))["data"] == []
    assert "group_by: cannot group by this" in (await commands("refusals --by weather", expect=1)).stderr
