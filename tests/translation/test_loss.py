from gateway.translation.loss import Loss, alike, losses


def test_rows_go_one_way():
    assert losses("to its accounts", ("a", "dropped", "why"), ("b", "400", "why not")) == (
        Loss("to its accounts", "a", "dropped", "why"),
        Loss("to its accounts", "b", "400", "why not"),
    )


def test_rows_that_differ_by_name_alone():
    assert alike(("a", "b"), "clamped", "why") == [("a", "clamped", "why"), ("b", "clamped", "why")]
