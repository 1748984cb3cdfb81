"""Roll-ups by day, and what dashboards ask.

Revision: 0006.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE usage_hours ADD COLUMN provider TEXT DEFAULT '' NOT NULL;
UPDATE usage_hours SET provider = accounts.provider FROM accounts
WHERE accounts.id = usage_hours.account_id AND usage_hours.platform <> '';
UPDATE usage_hours SET user_id = '00000000-0000-0000-0000-000000000000' WHERE user_id IS NULL;
ALTER TABLE usage_hours
    ALTER COLUMN provider DROP DEFAULT,
    ALTER COLUMN user_id SET NOT NULL,
    DROP CONSTRAINT pk_usage_hours,
    ADD CONSTRAINT pk_usage_hours
        PRIMARY KEY (hour, tenant_id, key_id, user_id, account_id, platform, provider, model);

CREATE TABLE usage_days (
    day DATE NOT NULL,
    tenant_id UUID NOT NULL,
    key_id UUID NOT NULL,
    user_id UUID NOT NULL,
    account_id UUID NOT NULL,
    requests BIGINT DEFAULT '0' NOT NULL,
    errors BIGINT DEFAULT '0' NOT NULL,
    unpriced BIGINT DEFAULT '0' NOT NULL,
    input_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_read_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_write_5m_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_write_1h_tokens BIGINT DEFAULT '0' NOT NULL,
    output_tokens BIGINT DEFAULT '0' NOT NULL,
    reasoning_tokens BIGINT DEFAULT '0' NOT NULL,
    cost NUMERIC(20, 9) DEFAULT '0' NOT NULL,
    platform TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    CONSTRAINT pk_usage_days PRIMARY KEY (day, tenant_id, key_id, user_id, account_id, platform, provider, model)
);
INSERT INTO usage_days
SELECT (hour AT TIME ZONE 'UTC')::date AS day, tenant_id, key_id, user_id, account_id, sum(requests), sum(errors),
    sum(unpriced), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens),
    sum(output_tokens), sum(reasoning_tokens), sum(cost), platform, provider, model
FROM usage_hours GROUP BY day, tenant_id, key_id, user_id, account_id, platform, provider, model;
CREATE TABLE usage_months (LIKE usage_days INCLUDING DEFAULTS);
ALTER TABLE usage_months RENAME COLUMN day TO month;
INSERT INTO usage_months
SELECT date_trunc('month', day::timestamp)::date AS month, tenant_id, key_id, user_id, account_id, sum(requests),
    sum(errors), sum(unpriced), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens),
    sum(cache_write_1h_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost), platform, provider, model
FROM usage_days GROUP BY month, tenant_id, key_id, user_id, account_id, platform, provider, model;
ALTER TABLE usage_months ADD CONSTRAINT pk_usage_months
    PRIMARY KEY (month, tenant_id, key_id, user_id, account_id, platform, provider, model);
CREATE INDEX ix_usage_days_key_id_day ON usage_days (key_id, day);
CREATE INDEX ix_usage_days_tenant_id_day ON usage_days (tenant_id, day);
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was counted would be lost: restore a backup instead")
