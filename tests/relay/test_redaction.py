"""What is taken out of prompts and answers, however they are cut; and that no pattern takes for ever."""

import asyncio
import base64
import json
import os
import random
import re
import signal
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.keys import new_key, new_token
from gateway.relay import redaction
from gateway.relay.redaction import REDACTED, TAIL, Part, Redactor, Task, redacted

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAAAA\n-----END RSA PRIVATE KEY-----"
SECRETS = [
    new_key(),
    new_token(),
    "sk-ant-api03-" + "aB3_-" * 18,
    "sk-proj-" + "Zz9" * 15,
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "ya29.a0AfH6SMBexampleexampleexample",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDE" * 6,
    "xoxb-123456789012-abcdefABCDEF",
    "whsec_" + "c2VjcmV0" * 5,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
]
KINDS = ["key", "token", *SECRETS[2:]]
"""Names of the tests with these: the first two secrets are new in each process."""
SENTENCES = [
    ("Authorization: Bearer abcdef0123456789abcd", "abcdef0123456789abcd"),
    ("authorization: basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    ('{"api_key": "0123456789abcdef0123"}', "0123456789abcdef0123"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("postgres://admin:hunter2@db.example/x", "hunter2"),
    (PEM, "MIIEow"),
    (PEM[:45], "MIIEow"),
]


def asked(text: str) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def said(text: str) -> str:
    """The one message of what is kept of it: still JSON."""
    return json.loads(redacted(Part(asked(text))))["messages"][0]["content"]


def stream(pieces: list[str]) -> bytes:
    events = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces
    ]
    return "".join(f"event: content_block_delta\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def heard(text: str) -> str:
    return "".join(json.loads(line[6:])["delta"]["text"] for line in text.splitlines() if line.startswith("data: "))


@pytest.mark.parametrize("secret", SECRETS, ids=KINDS)
@pytest.mark.parametrize("around", ["{}", "my key is {}, keep it", "a\n{}\nb", "\t{}", "key={}&x", "({})"])
def test_secrets_of_known_forms(secret: str, around: str):
    assert said(around.format(secret)) == around.format(REDACTED)
    assert secret not in redacted(Part(around.format(secret).encode()))


@pytest.mark.parametrize(("sentence", "secret"), SENTENCES)
def test_secrets_by_what_stands_before_them(sentence: str, secret: str):
    assert secret not in said(sentence) and REDACTED in said(sentence)
    assert secret not in redacted(Part(sentence.encode()))


@pytest.mark.parametrize("secret", SECRETS, ids=KINDS)
def test_json_inside_of_json(secret: str):
    inner = json.dumps({"path": "x", "content": f"first\n{secret}\n"})
    assert json.loads(said(inner)) == {"path": "x", "content": f"first\n{REDACTED}\n"}


@pytest.mark.parametrize("secret", SECRETS, ids=KINDS)
def test_a_stream_cuts_words_anywhere(secret: str):
    text = f"Here it is: {secret} and no more é中\n"
    for seed in range(12):
        source = random.Random(seed)
        cuts = sorted(source.sample(range(len(text)), 14))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert heard(redacted(Part(stream(pieces)))) == f"Here it is: {REDACTED} and no more é中\n"
    assert heard(redacted(Part(stream(list(text))))) == f"Here it is: {REDACTED} and no more é中\n"


def test_two_answers_side_by_side():
    """OpenAI's `n`: the pieces of the choices come in turn."""
    secret = SECRETS[0]
    lines = [
        json.dumps({"choices": [{"index": number, "delta": {"content": piece}}]})
        for at in range(0, len(secret), 3)
        for number, piece in ((0, secret[at : at + 3]), (1, "abc"))
    ]
    kept = [json.loads(line) for line in redacted(Part("\n".join(lines).encode())).splitlines()]
    heard = ["", ""]
    for one in kept:
        heard[one["choices"][0]["index"]] += one["choices"][0]["delta"]["content"]
    assert heard == [REDACTED, "abc" * len(lines[::2])]


@pytest.mark.parametrize(
    "text",
    [
        "The risk-management-framework-of-this-task-force-is-long.",
        "bearer of bad news, basic understanding",
        "https://example.com/a/long/path?with=values",
        "SELECT * FROM keys WHERE sk = 'x'",
        "日本語のテキスト" * 100,
        "word " * 500,
        "\\n\\n\\n\\u4e2d" * 200,
        'quotes " and \\ and \x00 and é',
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert said(text) == text


@pytest.mark.parametrize("size", [100, 3000, 30_000])
def test_files_become_a_note_of_their_length(size: int):
    data = base64.b64encode(os.urandom(size)).decode()
    body = {"content": [{"source": {"type": "base64", "media_type": "image/png", "data": data}}, {"text": "see"}]}
    kept: Any = json.loads(redacted(Part(json.dumps(body).encode())))
    assert kept["content"][0]["source"]["data"] == f"[base64: {len(data)} characters]"
    assert kept["content"][1] == {"text": "see"}
    assert (
        said(f"data:image/png;base64,{data} is it") == f"data:image/png;base64,[base64: {len(data)} characters] is it"
    )


def test_a_short_file_too():
    assert said("data:image/gif;base64,R0lGODlhAQ==") == "data:image/gif;base64,[base64: 12 characters]"


def test_the_tenants_own_patterns():
    patterns = [re.compile(pattern) for pattern in (r"\bemployee-\d{4}\b", r"(?i)project \w+", "", r"\d{4} \d{4}")]
    kept = redacted(Part(asked("line\nemployee-1234 works on Project Moon\n1234 5678é")), patterns)
    assert json.loads(kept)["messages"][0]["content"] == f"line\n{REDACTED} works on {REDACTED}\n{REDACTED}é"
    assert heard(redacted(Part(stream(list("at project moon 1234 5678!"))), patterns)) == f"at {REDACTED} {REDACTED}!"


@pytest.mark.parametrize("secret", SECRETS, ids=KINDS)
def test_half_a_secret_at_the_end(secret: str):
    """What was cut in two is not recognised: the end is dropped."""
    for length in range(1, len(secret)):
        for before in ("x " * 400, ""):
            kept = redacted(Part(asked(before + secret)[: -len(secret) - 5 + length], truncated=True))
            assert secret[:6] not in kept
    assert redacted(Part(b"w " * 500, truncated=True)) == ("w " * 500)[:-TAIL]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b'"', b'"\\', b'{"a":"\\ud83d', b'"\\x" and "', os.urandom(3000)]
)
def test_whatever_the_bytes_are(data: bytes):
    redacted(Part(data)).encode()
    redacted(Part(data, truncated=True)).encode("utf-8", "replace")


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_secret_anywhere_in_anything(noise: bytes, at: int):
    secret = SECRETS[0].encode()
    data = noise[:at] + b" " + secret + b" " + noise[at:]
    assert secret.decode() not in redacted(Part(data))


@given(st.lists(st.sampled_from(["abc ", 'say "x" ', "é\n", "\\", SECRETS[0], " "]), max_size=8), st.randoms())
def test_what_is_kept_is_still_json(words: list[str], source: random.Random):
    text = "".join(words)
    cuts = sorted(source.sample(range(len(text) + 1), min(5, len(text))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert SECRETS[0] not in heard(redacted(Part(stream(pieces))))
    assert SECRETS[0] not in said(text)


# The process that does it


@pytest_asyncio.fixture(loop_scope="session")
async def redactor() -> AsyncGenerator[Redactor]:
    made = Redactor()
    yield made
    await made.close()


async def test_it_is_done_elsewhere(redactor: Redactor):
    task = Task((r"\d{3}",), (Part(asked(f"{SECRETS[0]} 123")), Part(b"x 456")))
    assert await redactor.redact(task) == [asked(f"{REDACTED} {REDACTED}").decode(), f"x {REDACTED}"]
    first = redactor._process
    assert await redactor.redact(Task((), ())) == []
    large = Part(b"a b " * 65536)
    assert await redactor.redact(Task((), (large, large))) == [large.data.decode()] * 2
    assert redactor._process is first


async def test_a_pattern_without_end_is_ended_and_the_loop_runs_on(redactor: Redactor):
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    turning = asyncio.get_running_loop().create_task(turn())
    began = time.monotonic()
    assert await redactor.redact(Task((r"(a+)+$",), (Part(b"a" * 60 + b"!"),))) is None
    assert time.monotonic() - began < redaction.PATIENCE and turns > 50
    turning.cancel()
    assert await redactor.redact(Task(("b",), (Part(b"abc"),))) == [f"a{REDACTED}c"]


async def test_it_ends_with_the_one_that_made_it(redactor: Redactor):
    assert await redactor.redact(Task((), ())) == []
    process = redactor._process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert await redactor.redact(Task((), (Part(b"x"),))) == ["x"]


async def test_a_signal_for_all_of_the_service_does_not_end_it(redactor: Redactor):
    """As systemd sends it: the gateway drains, and what it still captures is redacted."""
    assert await redactor.redact(Task((), ())) == []
    process = redactor._process
    assert process is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    assert await redactor.redact(Task((), (Part(b"x"),))) == ["x"]
    assert redactor._process is process


async def test_it_knows_nothing_of_the_environment(redactor: Redactor):
    assert await redactor.redact(Task((), ())) == []
    assert redactor._process is not None
    with open(f"/proc/{redactor._process.pid}/environ", "rb") as environ:
        assert b"POOLGATE" not in environ.read()
