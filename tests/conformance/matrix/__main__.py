"""Prints the matrix: `python -m tests.conformance.matrix`; with `--all` the ids of all tests, cell by cell."""

import contextlib
import io
import sys

from tests.conformance.matrix.cells import collected

with contextlib.redirect_stdout(io.StringIO()):
    found = collected()
if "--all" in sys.argv:
    for cell in found.cells.values():
        print(cell.client, cell.upstream, cell.feature, *cell.ids, sep="\n  ")
else:
    print("\n".join(found.lines()))
sys.exit(1 if found.missing() else 0)
