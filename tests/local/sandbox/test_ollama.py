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


async def test_a_model_is_loaded_and_freed_for_nothing(sandbox, http) -> None:
    for path, asked, said in (
        ("/api/chat", {"messages": []}, {"message": {"role": "assistant", "content": ""}, "done_reason": "load"}),
        ("/api/generate", {"prompt": ""}, {"response": "", "done_reason": "load"}),
        ("/api/generate", {"keep_alive": 0}, {"response": "", "done_reason": "unload"}),
    ):
        answer = await http.post(path, json={"model": "sandbox-echo", **asked})
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.json().items() >= (said | {"done": True}).items()
        assert "prompt_eval_count" not in answer.json()
    assert {(row.input_tokens, row.output_tokens, row.outcome) for row in sandbox.bill().rows} == {(0, 0, "complete")}


async def test_generate_streams_what_it_says_whole(sandbox, http) -> None:
    asked = {"model": "sandbox-tokens-9-think-2", "prompt": "hi"}
    lines = [json.loads(line) for line in (await http.post("/api/generate", json=asked)).text.splitlines()]
    whole = (await http.post("/api/generate", json=asked | {"stream": False})).json()
    for name in ("response", "thinking"):
        assert "".join(line.get(name, "") for line in lines) == whole[name]
    assert lines[-1]["eval_count"] == whole["eval_count"] == 9
    assert (await http.post("/api/generate", json=asked)).text.count("\n") == len(lines) == 10


async def test_the_limit_of_the_output(http) -> None:
    for options, reason, count in (
        ({"num_predict": 4}, "length", 4),
        ({"num_predict": -1}, "stop", 9),
        (None, "stop", 9),
    ):
        asked = {"model": "sandbox-tokens-9", "prompt": "hi", "stream": False, "options": options}
        whole = (await http.post("/api/generate", json=asked)).json()
        assert (whole["done_reason"], whole["eval_count"]) == (reason, count)


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("404", 404, "model 'sandbox' not found"),
        ("404-model", 404, "model 'sandbox' not found"),
        ("401", 401, "unauthorized"),
        ("429-quota", 429, "you've reached your hourly usage limit, please wait or upgrade to continue"),
        ("503", 503, "server busy, please try again.  maximum pending requests exceeded"),
        ("500", 500, "an unknown error was encountered while running the model"),
        ("422", 422, "invalid character 'x' looking for beginning of value"),
    ],
)
async def test_errors_say_what_ollama_says(http, script, status, said) -> None:
    for path, more in (("/api/chat", {"messages": HELLO}), ("/api/embed", {"input": "a"})):
        answer = await http.post(path, json={"model": f"sandbox-error-{script}-retry-after-7", **more})
        assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (status, {"error": said}, "7")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings"])
async def test_a_request_without_a_model_is_refused(http, path) -> None:
    answer = await http.post(path, json={"prompt": "hi"})
    assert (answer.status_code, answer.json()) == (400, {"error": "model is required"})


async def test_vectors_of_a_size(http) -> None:
    answer = (await http.post("/api/embed", json={"model": "m", "input": "a", "dimensions": 8})).json()
    assert [len(vector) for vector in answer["embeddings"]] == [8]
    assert answer["prompt_eval_count"] > 0
    assert (await http.post("/api/embeddings", json={"model": "m", "prompt": []})).json() == {"embedding": []}


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
