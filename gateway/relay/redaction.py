"""What must not be kept is taken out of prompts and answers: secrets of known forms, files in base64, and what the
tenant's own patterns match.

`Redactor` has it done by a process of its own (`python -m gateway.relay.redaction`): a pattern may take for ever, and
Python lets nothing else run while it does. That process may compute for two seconds on one request, then the kernel
ends it.

Text is looked at three times: each string of the JSON as it is meant, without escapes; strings of the same member one
after the other, since a stream cuts words anywhere; and the whole as it stands.
"""

import json
import os
import re
import signal
import sys
from asyncio import IncompleteReadError, create_subprocess_exec, subprocess, timeout
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

import msgspec
from msgspec import Struct

SECONDS = 2.0
"""Of computing, for the request and the answer together."""
PATIENCE = 10.0
"""Seconds that we wait for it, on a machine that has other things to do."""
REDACTED = "[redacted]"
TAIL = 256
"""Characters at the end of what was truncated that are dropped: half a secret is not recognised."""

Span = tuple[int, int, str]
_APART = "\0"


class Part(Struct, frozen=True, array_like=True):
    data: bytes
    truncated: bool = False


class Task(Struct, frozen=True, array_like=True):
    patterns: tuple[str, ...]
    parts: tuple[Part, ...]


_WORD = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
"""Where a word begins, also after an escape of JSON inside of JSON."""
SECRETS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
        _WORD + r"(?:sk|pk|rk|gsk|xai|whsec|pgadm|hf|glpat|npm|pypi|dop_v1|r8)[-_][A-Za-z0-9_-]{16,}",
        _WORD + r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
        r"(?i:secret_?-?access_?-?key|aws_?secret)[^A-Za-z0-9]{1,8}[A-Za-z0-9/+=]{40}",
        _WORD + r"AIza[0-9A-Za-z_-]{30,}",
        _WORD + r"ya29\.[0-9A-Za-z_-]{20,}",
        _WORD + r"(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{20,}",
        _WORD + r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
        _WORD + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        r"(?i:bearer|basic)[ \t]{1,4}[A-Za-z0-9._~+/-]{16,}={0,2}",
        r"(?i:(?:x-)?api-?_?key|authorization)['\"]?[ \t]{0,4}[:=][ \t]{0,4}['\"]?[A-Za-z0-9._~+/=-]{16,}",
        r"(?<=://)[^\s/:@\"'\\]{1,100}:[^\s/@\"'\\]{1,200}(?=@)",
    )
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]|\\/){128,}={0,2}|(?<=;base64,)(?:[A-Za-z0-9+/_-]|\\/)+={0,2}")
_LITERAL = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)("(\s*:)?|\Z)', re.DOTALL)
_NUMBER = re.compile(r"\s*([0-9]{1,9})")
_LAST_WORD = re.compile(r"[^\s\"',]+\Z")


def redacted(part: Part, patterns: Sequence["re.Pattern[str]"] = ()) -> str:
    """The text that may be kept. May take long: see `Redactor`."""
    rules = (*SECRETS, *patterns)
    text = _strings(part.data.decode("utf-8", "replace"), rules)
    text = _without(text, [*_files(text), *_found(text, rules)])
    return _LAST_WORD.sub("", text[:-TAIL]) if part.truncated else text


def _files(text: str) -> Iterator[Span]:
    for match in _BASE64.finditer(text):
        yield *match.span(), f"[base64: {len(match[0])} characters]"


def _found(text: str, rules: Sequence["re.Pattern[str]"]) -> Iterator[Span]:
    for match in chain.from_iterable(rule.finditer(text) for rule in rules):
        if match[0]:
            yield *match.span(), REDACTED


def _merged(spans: list[Span]) -> Iterator[Span]:
    """In order, without overlaps; of several it says what the first one says."""
    last: Span | None = None
    for start, end, said in sorted(spans, key=lambda span: (span[0], -span[1])):
        if last is None or start >= last[1]:
            if last is not None:
                yield last
            last = start, end, said
        elif end > last[1]:
            last = last[0], end, last[2]
    if last is not None:
        yield last


def _without(text: str, spans: list[Span]) -> str:
    out: list[str] = []
    at = 0
    for start, end, said in _merged(spans):
        out += (text[at:start], said)
        at = end
    return "".join(out) + text[at:]


def _strings(text: str, rules: Sequence["re.Pattern[str]"]) -> str:
    """The text, with what its strings hold redacted, each for itself and along its member."""
    changed: list[Span] = []
    for found in _members(text).values():
        pieces = [_meant(match[1]) for match in found]
        inside: defaultdict[int, list[Span]] = defaultdict(list)
        apart = _APART.join(pieces)
        for spans, gap in (([*_files(apart), *_found(apart, rules)], 1), (list(_found("".join(pieces), rules)), 0)):
            for number, span in _shared(spans, pieces, gap):
                inside[number].append(span)
        for number, spans in inside.items():
            kept = json.dumps(_without(pieces[number], spans), ensure_ascii=False)
            changed.append((*found[number].span(1), kept[1:-1]))
    return _without(text, changed)


def _members(text: str) -> "dict[tuple[str, str], list[re.Match[str]]]":
    """String values by the name of their member and the last index that was told: what a stream says bit by bit."""
    members: defaultdict[tuple[str, str], list[re.Match[str]]] = defaultdict(list)
    name = index = ""
    for match in _LITERAL.finditer(text):
        if match[3] is None:
            members[name, index].append(match)
            continue
        name = match[1]
        if name.endswith("index") and (number := _NUMBER.match(text, match.end())):
            index = number[1]
    return members


def _meant(literal: str) -> str:
    """A string of JSON without its escapes; as it stands when it is none."""
    if "\\" not in literal:
        return literal
    try:
        return json.loads(f'"{literal}"', strict=False)
    except ValueError:
        return literal


def _shared(spans: list[Span], pieces: list[str], gap: int) -> Iterator[tuple[int, Span]]:
    """Spans of all pieces after one another as spans of each: what lies across several is told in the first."""
    starts = [0, *accumulate(len(piece) + gap for piece in pieces)]
    for begins, ends, said in _merged(spans):
        number = bisect_right(starts, begins) - 1
        while number < len(pieces) and starts[number] < ends:
            start = starts[number]
            yield number, (max(begins - start, 0), min(ends - start, len(pieces[number])), said)
            number, said = number + 1, ""


class Redactor:
    """One process, made when it is first needed, and again after it has ended. One task at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Process | None = None

    async def redact(self, task: Task) -> list[str] | None:
        """The parts' texts; None when they took too long. Raises OSError when there can be no process."""
        if self._process is not None and self._process.returncode is not None:
            await self.close()
        if self._process is None:
            self._process = await create_subprocess_exec(
                sys.executable, "-I", "-m", __name__,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={}, start_new_session=True,
            )  # fmt: skip
        try:
            async with timeout(PATIENCE):
                return await _asked(self._process, task)
        except (IncompleteReadError, OSError, TimeoutError, RuntimeError):  # the last is uvloop's of a closed pipe
            await self.close()
            return None

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _asked(process: subprocess.Process, task: Task) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    sent = msgspec.msgpack.encode(task)
    process.stdin.write(len(sent).to_bytes(4, "big") + sent)
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(4), "big")
    return msgspec.msgpack.decode(await process.stdout.readexactly(size), type=list[str])


def main() -> None:
    """The process: tasks from standard input, texts to standard output, each with its length before it. It ends with
    its parent, and when a task takes too long."""
    for number in (signal.SIGINT, signal.SIGTERM):  # said to the gateway, which still has captures to write
        signal.signal(number, signal.SIG_IGN)
    os.nice(10)  # requests come first
    read, write = sys.stdin.buffer.read, sys.stdout.buffer
    while head := read(4):
        task = msgspec.msgpack.decode(read(int.from_bytes(head, "big")), type=Task)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        patterns = [re.compile(pattern) for pattern in task.patterns]
        done = [redacted(part, patterns).encode("utf-8", "replace").decode() for part in task.parts]
        signal.setitimer(signal.ITIMER_PROF, 0)
        sent = msgspec.msgpack.encode(done)
        write.write(len(sent).to_bytes(4, "big") + sent)
        write.flush()


if __name__ == "__main__":
    main()
