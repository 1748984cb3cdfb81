import json

import httpx2
import pytest

HELLO = [{"role": "user", "content": "one two"}]


@pytest.fixture
async def http(sandbox):
    async with httpx2.AsyncClient(base_url=sandbox.url) as client:
        yield client


async def test_chat_streams_lines_and_says_the_same_whole(sandbox, http) -> None:
    answer = await http.post("/api/chat", json={"model": "sandbox-echo-think-3", "messages": HELLO})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    whole = (await http.post("/api/chat", json={"model": "sandbox-echo", "messages": HELLO, "stream": False})).json()
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines) == whole["message"]["content"] == "one two"
    assert [line["done"] for line in lines] == [False] * 5 + [True]
    first, second = sandbox.bill().rows
    assert (first.output_tokens, first.reasoning_tokens) == (lines[-1]["eval_count"], 3) == (5, 3)
    assert second.input_tokens == whole["prompt_eval_count"]


async def test_generate(sandbox, http) -> None:
    asked = {"model": "sandbox-echo", "prompt": "hi", "stream": False}
    assert (await http.post("/api/generate", json=asked)).json()["response"] == "hi"


async def test_tools_and_structured_output(sandbox, http) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    asked = {"model": "sandbox-tool", "messages": HELLO, "tools": tools}
    whole = (await http.post("/api/chat", json=asked | {"stream": False})).json()
    lines = [json.loads(line) for line in (await http.post("/api/chat", json=asked)).text.splitlines()]
    called = [{"function": {"name": "f", "arguments": {"a": 1}}}]
    assert whole["message"]["tool_calls"] == lines[0]["message"]["tool_calls"] == called
    formed = await http.post("/api/chat", json={"model": "m", "messages": HELLO, "format": schema, "stream": False})
    assert json.loads(formed.json()["message"]["content"]) == {"a": 1}


async def test_lists_vectors_and_errors(sandbox, http) -> None:
    assert "sandbox-echo" in [m["name"] for m in (await http.get("/api/tags")).json()["models"]]
    assert (await http.get("/api/version")).json()["version"]
    assert (await http.post("/api/show", json={"model": "m"})).is_success
    assert len((await http.post("/api/embed", json={"model": "m", "input": ["a", "b"]})).json()["embeddings"]) == 2
    assert len((await http.post("/api/embeddings", json={"model": "m", "prompt": "a"})).json()["embedding"]) == 768
    refused = await http.post("/api/chat", json={"model": "sandbox-error-500", "messages": HELLO})
    assert (refused.status_code, list(refused.json())) == (500, ["error"])
    late = await http.post("/api/chat", json={"model": "sandbox-late-error", "messages": HELLO})
    assert "error" in json.loads(late.text.splitlines()[-1])
