from typing import Any

from gateway.local.sandbox.bill import Bill, Row


def row(outcome="complete", **more) -> Row:
    base: dict[str, Any] = dict.fromkeys(
        ("id", "request_id", "protocol", "operation", "model", "credential", "path"), "x"
    )
    tokens = {"input_tokens": 10, "cache_read_tokens": 1, "cache_write_5m_tokens": 2, "cache_write_1h_tokens": 3}
    tokens |= {"output_tokens": 20, "reasoning_tokens": 4}
    rest: dict[str, Any] = {
        "stream": False,
        "status": 200,
        "client_request_id": None,
        "started_at": 1.0,
        "ended_at": 2.0,
    }
    values: dict[str, Any] = {**base, **tokens, **rest, "outcome": outcome, **more}
    return Row(**values)


def test_totals_count_everything_but_the_tokens_of_errors() -> None:
    bill = Bill()
    for outcome in ("complete", "cut", "client_gone", "error"):
        bill.add(row(outcome))
    totals = bill.totals
    assert [totals[k] for k in ("requests", "complete", "cut", "client_gone", "error")] == [4, 1, 1, 1, 1]
    assert (totals["input_tokens"], totals["output_tokens"], totals["cache_write_1h_tokens"]) == (30, 60, 9)
    assert [r["outcome"] for r in bill.as_dict()["requests"]] == ["complete", "cut", "client_gone", "error"]
    bill.clear()
    assert not bill.rows and not any(bill.totals.values())


def test_rows_are_bounded_and_totals_are_not() -> None:
    bill = Bill(keep=2)
    for number in range(5):
        bill.add(row(id=str(number)))
    assert [r.id for r in bill.rows] == ["3", "4"]
    assert bill.totals["requests"] == 5
