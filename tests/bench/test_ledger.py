"""The short form of `python -m tests.bench.ledger`: it asks what it says, of rows that agree with their sums."""

import datetime as dt
from collections.abc import Callable

from gateway.jobs.leader import connect
from tests.bench import ledger
from tests.bench.ledger import LONGEST_QUESTION, LONGEST_WAIT, QUESTIONS, ask, fill, report, spans, waits


def test_the_months_meet() -> None:
    parts = spans(dt.datetime(2026, 11, 21, 2, tzinfo=dt.UTC))
    assert [name for name, _, _ in parts] == [f"requests_2026_{month:02}" for month in (8, 9, 10, 11)]
    assert [end for _, _, end in parts[:-1]] == [begin for _, begin, _ in parts[1:]]
    assert (parts[-1][2] - parts[0][1]) == 91 * 86_400_000


async def test_ten_questions_of_100000_rows(new_database: Callable[[], str]) -> None:
    url, now = new_database(), dt.datetime.now(dt.UTC)
    connection = await connect(url)
    made = await fill(connection, 100_000, now)
    assert 99_000 < made <= 100_000
    assert await connection.fetchval("SELECT count(*) FROM ONLY requests_default") == 0
    for table in ("usage_hours", "usage_days", "usage_months"):
        sums = await connection.fetchrow(f"SELECT sum(requests), sum(input_tokens), sum(cost) FROM {table}")
        assert sums == await connection.fetchrow("SELECT count(*), sum(input_tokens), sum(cost) FROM requests"), table
    indexes = await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE tablename ~ '^usage_(hours|days)$'")
    assert indexes >= 6
    await connection.close()
    answers = await ask(url, now)
    assert len(answers) == 2 * len(QUESTIONS) == 20
    assert [one.name for one in answers[10:]] == [f"{one.name}, mid-day" for one in answers[:10]]
    assert [one.groups for one in answers if not one.groups] == []
    assert max(one.median for one in answers) < LONGEST_QUESTION
    waited = await waits(url, 1.5)
    assert max(waited.values()) < LONGEST_WAIT
    assert waited["the same beside a reader of 1.5 s"] > 0.1, "it has waited for somebody"
    told = {"rows": made, "counted": made, "seconds": 1.0, "hours": 1, "days": 1, "bytes": 1, "waits": waited}
    assert len(report({**told, "answers": answers})) == 20 + len(waited) + 5
    assert ledger.LONGEST_QUESTION == 0.3
