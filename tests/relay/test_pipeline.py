"""The request path, end to end on real sockets."""

import pytest

from tests.support.installation import Site

ASKED = {
    "/v1/messages": {"model": "sandbox-echo", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/chat/completions": {"model": "sandbox-echo", "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"model": "sandbox-echo", "input": "Hello"},
    "/v1beta/models/sandbox-echo:generateContent": {"contents": [{"parts": [{"text": "Hello"}]}]},
}
PLATFORM = {
    "/v1/messages": "claude-console",
    "/v1/chat/completions": "openai",
    "/v1/responses": "openai-responses",
    "/v1beta/models/sandbox-echo:generateContent": "gemini",
}


@pytest.mark.parametrize("path", ASKED)
async def test_an_answer_and_its_row(site: Site, path: str) -> None:
    account = await site.account(PLATFORM[path])
    key = await site.key(platforms=[PLATFORM[path]])
    answer = await site.http.post(path, headers={"x-api-key": key}, json=ASKED[path])
    assert answer.status_code == 200, answer.text
    row = await site.row(answer.headers["x-request-id"])
    assert (row.account_id, row.ending, row.usage_source) == (account, "complete", "provider")
    billed = site.sandbox.bill().rows[-1]
    assert (row.input_tokens, row.output_tokens) == (billed.input_tokens, billed.output_tokens)
