"""Which test proves what: the tables of client and upstream, from the parametrization of the tests themselves."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from tests.conformance.matrix.recorded import FILES
from tests.conformance.matrix.said import PROTOCOLS, Protocol
from tests.conformance.matrix.scripts import SCRIPTS

FEATURES = ("text", "tools", "images", "thinking", "errors", "stream")


class Cell(Struct):
    """The ids of the tests of a client at an upstream, for one feature."""

    client: Protocol
    upstream: Protocol
    feature: str
    ids: list[str] = []


class Collector:
    """A plugin of pytest's: looks at what would be run."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str, str], Cell] = {}
        self.recorded: dict[tuple[str, str], list[str]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.take(item.nodeid, getattr(getattr(item, "callspec", None), "params", {}))

    def take(self, id: str, params: dict[str, Any]) -> None:
        """A script's test is of its feature, and as a stream of streams too; a recording's file holds all kinds."""
        client = params.get("client")
        if client is not None and params.get("file") in FILES:
            self.recorded[client, FILES[params["file"]]].append(id)
        elif client is not None and params.get("script") in SCRIPTS:
            features = {SCRIPTS[params["script"]].feature, *(("stream",) if params["stream"] else ())}
            for feature in features:
                key = (client, params["upstream"], feature)
                self.cells.setdefault(key, Cell(*key)).ids.append(id)

    def missing(self) -> list[tuple[str, str, str]]:
        """Cells that no test proves."""
        every = [(client, upstream, feature) for client in PROTOCOLS for upstream in PROTOCOLS for feature in FEATURES]
        return [key for key in every if key not in self.cells]

    def lines(self) -> Iterator[str]:
        """Markdown: a row for each client and upstream, in each cell the number of its tests and the first of them;
        below, the tests of recorded answers."""
        yield f"| client | upstream | {' | '.join(FEATURES)} |"
        yield f"|---|---|{'---|' * len(FEATURES)}"
        for client in PROTOCOLS:
            for upstream in PROTOCOLS:
                found = (self.cells.get((client, upstream, feature)) for feature in FEATURES)
                yield f"| {client} | {upstream} | {' | '.join(map(_shown, found))} |"
        yield ""
        yield "| client | upstream | every recorded answer and error |"
        yield "|---|---|---|"
        for (client, upstream), ids in sorted(self.recorded.items()):
            yield f"| {client} | {upstream} | {' '.join(f'`{_short(id)}`' for id in ids)} |"


def _shown(cell: Cell | None) -> str:
    return "—" if cell is None else f"`{_short(cell.ids[0])}` ({len(cell.ids)})"


def _short(id: str) -> str:
    """Without the file, which is one for all."""
    return id.partition("::")[2]


def collected() -> Collector:
    found = Collector()
    status = pytest.main(
        ["--collect-only", "-qq", "-Wignore::pytest.PytestAssertRewriteWarning", "tests/conformance/test_matrix.py"],
        plugins=[found],
    )
    assert status == 0, "the tests cannot be collected"
    return found
