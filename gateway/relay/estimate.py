"""What a request will use, before anybody knows: for what it reserves under limits. No tokenizer on the hot path."""

import re
from collections import OrderedDict
from collections.abc import Collection, Sequence

from gateway.core.domain import Limit
from gateway.core.prices import Table, max_output, priced
from gateway.protocols.codec import Peek, Usage
from gateway.routing.authorise import Route
from gateway.routing.fitting import Candidate

PROMPT_CAP = 200_000
LEAST_OUTPUT = 1024
UNKNOWN_OUTPUT = 32_768
"""Taken as a model's maximum where neither the request nor the price table says one."""
_MEANS = 50_000
_WEIGHT = 0.2
_LONG = 512
#: Some writers escape the slash, or break the lines: "\/", "\n".
_BASE64 = re.compile(rb"[A-Za-z0-9+/_=\\-]+")


def prompt_tokens(body: bytes) -> int:
    """Bytes ÷ 4 without base64, capped."""
    size = len(body)
    if size > _LONG and _holds_files(body):
        # Judged by its end: a data URL begins with words.
        size -= sum(len(text) for text in body.split(b'"') if len(text) > _LONG and _BASE64.fullmatch(text[-_LONG:]))
    return min(size // 4, PROMPT_CAP)


def _holds_files(body: bytes) -> bool:
    """What is said beside a picture or a file in any of the protocols. Spelt out: a loop costs more than the search."""
    return (
        b"base64" in body
        or b"nlineData" in body
        or b"nline_data" in body
        or b"input_audio" in body
        or b"file_data" in body
        or b'"images"' in body
    )


class Means:
    """The moving mean of the tokens that one answer by a model to a key has. Of this process; bounded."""

    def __init__(self) -> None:
        self._means: OrderedDict[tuple[str, str], float] = OrderedDict()

    def of(self, key_id: str, model: str) -> float:
        """0 when there was none yet."""
        return self._means.get((key_id, model), 0.0)

    def add(self, key_id: str, model: str, output: int, answers: int = 1) -> None:
        """`output`: of all the answers that the request asked for."""
        name, each = (key_id, model), output / answers
        before = self._means.get(name)
        if before is None:
            if len(self._means) >= _MEANS:
                self._means.popitem(last=False)
            self._means[name] = each
        else:
            self._means[name] = before + _WEIGHT * (each - before)
            self._means.move_to_end(name)


class Estimate:
    """Of one request: under any limit, whichever of the candidates takes it. Money is that of the dearest of them."""

    __slots__ = (
        "_answers", "_at", "_candidates", "_free", "_means", "_most", "_priced", "_route", "_table", "asked", "prompt",
    )  # fmt: skip

    def __init__(
        self,
        route: Route,
        peek: Peek,
        prompt: int,
        candidates: Sequence[Candidate],
        means: Means,
        table: Table,
        at: float,
    ) -> None:
        operation = route.endpoint.operation
        self._free = operation == "count"
        self._answers = peek.answers
        self.prompt = 0 if self._free else prompt
        self.asked: int | None = peek.max_tokens if operation == "generate" else 0
        self._route, self._candidates = route, candidates
        self._means, self._table, self._at = means, table, at
        self._most: int | None = None
        self._priced: dict[tuple[int, str], int] = {}

    def _names(self) -> Collection[tuple[str, str]]:
        """Platform and upstream's model of those who may take it."""
        if len(self._candidates) == 1:
            one = self._candidates[0]
            return ((one.account.platform, one.model),)
        return {(one.account.platform, one.model) for one in self._candidates}

    def output(self, reserve: str) -> int:
        """`worst`: as much as the request and the model allow; `expected`: by what the key's answers were. Of all the
        answers that are asked for."""
        if reserve == "expected":
            expected = max(LEAST_OUTPUT, int(2 * self._means.of(self._route.caller.key_id, self._route.model)))
            return self._answers * (expected if self.asked is None else min(self.asked, expected))
        if self._most is None:
            self._most = self._answers * self._longest()
        return self._most

    def _longest(self) -> int:
        """One answer's: as much as the most able of them gives; one of which that is not known gives what is asked."""
        table, asked, most = self._table, self.asked, 0
        for one in self._candidates:
            platform = one.account.platform
            able = max_output(table, platform, one.model) or max_output(table, platform, self._route.model)
            most = max(most, able or asked or UNKNOWN_OUTPUT)
            if asked is not None and most >= asked:
                return asked
        return most

    def under(self, limit: Limit) -> int:
        """How much the request is expected to count, in the limit's own unit; tokens at least one."""
        kind = limit.type
        if kind in {"requests", "concurrency"}:
            return 1
        if kind == "input_tokens":
            return max(1, self.prompt)
        output = self.output(limit.reserve)
        if kind == "output_tokens":
            return max(1, output)
        if kind == "tokens":
            return max(1, self.prompt + output)
        # An account's budget is about the provider's money, which no multiplier changes.
        return self._cost(output, "1" if limit.scope == "account" else self._route.caller.price_multiplier)

    def _cost(self, output: int, multiplier: str) -> int:
        """0 where none of them has a price, and for the counting of tokens, which nobody pays for."""
        if self._free:
            return 0
        found = self._priced.get((output, multiplier))
        if found is None:
            usage, asked = Usage(input_tokens=self.prompt, output_tokens=output), self._route.model
            prices = [
                priced(self._table, platform, (model, asked), self._at, usage, multiplier)
                for platform, model in self._names()
            ]
            found = max((one[0] for one in prices if one is not None), default=0)
            self._priced[output, multiplier] = found
        return found
