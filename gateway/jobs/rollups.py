"""The ledger's sums by hour, by day and by month, changed in the statement that changes its rows.

What writes rows names in a CTE `counted` what it added (`sign` 1) and what it took away (`sign` -1), each with all the
ledger's columns, and goes on with CTES: the tables then follow by the difference, in the same transaction. Only the
leader writes, and in the order of the keys, so that two such statements of its own never wait for one another.
"""

from uuid import UUID

NIL = UUID(int=0)
"""In place of the account or the user that a row does not have."""
TOKENS = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
MEASURES = ("requests", "errors", "unpriced", *TOKENS, "cost")
DIMENSIONS = ("tenant_id", "key_id", "user_id", "account_id", "platform", "provider", "model")
GOOD = ("complete", "client_abort_drained", "client_abort_cut")
"""The endings that are no error, unless the status is one."""

_KEY = ", ".join(DIMENSIONS)
_ADDED = ", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in MEASURES)


def _into(table: str, period: str, value: str) -> str:
    return f"""INSERT INTO {table} AS u ({period}, {_KEY}, {", ".join(MEASURES)})
    SELECT {value}, {_KEY}, {", ".join(f"sum({name})" for name in MEASURES)} FROM differences
    GROUP BY {value}, {_KEY} ORDER BY {value}, {_KEY}
    ON CONFLICT ({period}, {_KEY}) DO UPDATE SET {_ADDED}"""  # noqa: S608  # names of our own columns only


DAY = "(hour AT TIME ZONE 'UTC')::date"
MONTH = "date_trunc('month', hour AT TIME ZONE 'UTC')::date"
DIFFERENCES = f"""differences AS (
    SELECT date_trunc('hour', received_at, 'UTC') AS hour, tenant_id, key_id, coalesce(user_id, '{NIL}') AS user_id,
        coalesce(account_id, '{NIL}') AS account_id, coalesce(platform, '') AS platform,
        coalesce(provider, '') AS provider, coalesce(model_used, model_asked) AS model, sum(sign) AS requests,
        coalesce(sum(sign) FILTER (WHERE status >= 400 OR ending NOT IN {GOOD}), 0) AS errors,
        coalesce(sum(sign) FILTER (WHERE unpriced), 0) AS unpriced,
        {", ".join(f"sum(sign * {name}) AS {name}" for name in TOKENS)}, coalesce(sum(sign * cost), 0) AS cost
    FROM counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)"""  # noqa: S608  # names of our own columns only
"""By hour and every dimension: what `counted` changes."""
CTES = f"""{DIFFERENCES}, into_hours AS (
    {_into("usage_hours", "hour", "hour")}
), into_days AS (
    {_into("usage_days", "day", DAY)}
), into_months AS (
    {_into("usage_months", "month", MONTH)}
)"""
"""They come after `counted`; a statement of any kind follows them."""
