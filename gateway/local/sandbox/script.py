"""Scripts: what the sandbox is told to do, read from a model's name (`sandbox-tokens-500-gap-20`) or from rules.

A script begins after the word `sandbox` anywhere in the name (so `claude-sandbox-error-529` works too) and is a row of
directives in any order; the first word that is none ends it, so a real-looking suffix may follow
(`sandbox-echo-claude-sonnet-4-5`). The directives are the rows of `DIRECTIVES`.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs


class Script(Struct, frozen=True):
    """What happens to one request. Times are seconds; events are counted from the first one sent."""

    echo: bool = False
    """Answer with the last user text."""
    say: str | None = None
    """Answer with this text, whatever is asked; only rules have it."""
    tokens: int | None = None
    """Output tokens of the answer, thinking included."""
    error: int | None = None
    """Answer with this status and the provider's own error body."""
    reason: str = ""
    """Which error of that status: quota, credit, key, model, disabled, window."""
    retry_after: int | None = None
    stall: float = 0
    """Silence before the first byte."""
    stall_after: tuple[int, float] | None = None
    """After so many events, so long a silence."""
    cut: int | None = None
    """Reset the connection after so many events; an answer in one piece is cut in its middle."""
    drop: bool = False
    """Close the connection without a byte."""
    tool: bool = False
    think: int = 0
    """Tokens of thinking before the text."""
    gap: float = 0
    """Pause before each event."""
    first_error: int | None = None
    """200, whose first event is an error of this status."""
    late_error: int | None = None
    """An error event in the place of the sixth event."""
    length: bool = False
    refuse: bool = False
    cached: int | None = None
    wrote: int | None = None
    wrote_long: int | None = None


def _seconds(text: str) -> float:
    return int(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text)


def _milliseconds(text: str) -> float:
    return int(text) / 1000


def _after(text: str) -> tuple[int, float]:
    events, _, seconds = text.partition("-")
    return int(events), _seconds(seconds)


def _yes(text: str) -> bool:
    return True


def _or(default: int) -> Callable[[str], int]:
    return lambda text: int(text or default)


_Fields = tuple[tuple[str, Callable[[str], Any]], ...]

DIRECTIVES: tuple[tuple[str, _Fields], ...] = (
    (r"echo", (("echo", _yes),)),
    (r"tokens-(\d+)", (("tokens", int),)),
    (r"error-(\d{3})(?:-(quota|credit|key|model|disabled|window))?", (("error", int), ("reason", str))),
    (r"retry-after-(\d+)", (("retry_after", int),)),
    (r"stall-after-(\d+-\d+(?:ms)?)", (("stall_after", _after),)),
    (r"stall-(\d+(?:ms)?)", (("stall", _seconds),)),
    (r"cut-(\d+)", (("cut", int),)),
    (r"drop", (("drop", _yes),)),
    (r"tool", (("tool", _yes),)),
    (r"think(?:-(\d+))?", (("think", _or(12)),)),
    (r"gap-(\d+)", (("gap", _milliseconds),)),
    (r"first-error(?:-(\d{3}))?", (("first_error", _or(529)),)),
    (r"late-error(?:-(\d{3}))?", (("late_error", _or(529)),)),
    (r"length", (("length", _yes),)),
    (r"refuse", (("refuse", _yes),)),
    (r"cached-(\d+)", (("cached", int),)),
    (r"wrote-1h-(\d+)", (("wrote_long", int),)),
    (r"wrote-(\d+)", (("wrote", int),)),
)
"""Each directive's form, and the fields that its groups set."""

_COMPILED = tuple((re.compile(rf"-{pattern}(?=-|$)"), fields) for pattern, fields in DIRECTIVES)
_START = re.compile(r"(?:^|[^a-z0-9])sandbox(?=-|$)")


def read(directives: str) -> Script:
    """A script from its directives alone: `error-529-retry-after-7`."""
    return _read(f"-{directives}")[0]


@lru_cache(4096)
def of_model(model: str) -> Script:
    """The script in a model's name; the empty one when the name holds none."""
    start = _START.search(model)
    return _read(model[start.end() :])[0] if start else Script()


def _read(text: str) -> tuple[Script, str]:
    changes: dict[str, Any] = {}
    known = True
    while known:
        known = False
        for pattern, fields in _COMPILED:
            if found := pattern.match(text):
                groups = found.groups("") or ("",)
                changes |= {name: convert(group) for (name, convert), group in zip(fields, groups, strict=True)}
                text, known = text[found.end() :], True
                break
    return Script(**changes), text


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a script file: for requests whose model (and credential) match, at most `times` times."""

    script: str = ""
    match: str = "*"
    credential: str = "*"
    times: int | None = None
    say: str | None = None
    """The text of the answer."""


class Rulebook:
    """Rules in order; the first that matches and is not used up wins over the script in the model's name."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.replace(rules)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Forget all rules and their counts. ValueError names a script that cannot be read to its end."""
        rows: list[tuple[Rule, Script]] = []
        for rule in rules:
            script, rest = _read(f"-{rule.script}")
            if rest not in {"", "-"}:
                raise ValueError(f"script: no such directive: {rest.lstrip('-')}")
            rows.append((rule, structs.replace(script, say=rule.say)))
        self._rows = rows
        self._used = [0] * len(rows)

    def find(self, model: str, credential: str) -> Script:
        """The script of one request; using a rule counts."""
        for index, (rule, script) in enumerate(self._rows):
            if rule.times is not None and self._used[index] >= rule.times:
                continue
            if fnmatchcase(model, rule.match) and fnmatchcase(credential, rule.credential):
                self._used[index] += 1
                return script
        return of_model(model)


def decode_rules(text: bytes) -> list[Rule]:
    """Rules from JSON; msgspec.ValidationError names what is wrong."""
    return msgspec.json.decode(text, type=list[Rule])


def load_rules(path: Path) -> list[Rule]:
    return decode_rules(path.read_bytes())
