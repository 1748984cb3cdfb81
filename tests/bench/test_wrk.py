"""wrk sends the very request of our own load client, and counts what the upstream answers."""

import sys

import pytest

from tests.bench import wrk
from tests.bench.load import MODEL
from tests.bench.process import running
from tests.bench.target import Target


def test_it_counts_against_the_upstream() -> None:
    program = wrk.path()
    if program is None:
        pytest.skip("wrk is not installed")
    with running([sys.executable, "-m", "tests.bench.upstream"], core=0) as upstream:
        assert upstream.stdout is not None
        target = Target("direct", int(upstream.stdout.readline()), headers=("x-api-key: sk-test",))
        rate, errors = wrk.rate(program, target, MODEL, connections=2, seconds=1, core=0)
    assert rate > 100 and errors == 0


def test_the_script_says_the_request() -> None:
    said = wrk.script(Target("poolgate", 1, headers=("x-api-key: sk-test",)), MODEL)
    assert 'wrk.headers["x-api-key"] = "sk-test"' in said and f'"model":"{MODEL}"' in said
