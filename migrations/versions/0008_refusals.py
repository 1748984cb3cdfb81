"""Refusals by key, code and hour; captured prompts and answers.

Revision: 0008.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE refusals (
    hour timestamptz NOT NULL,
    tenant_id UUID NOT NULL,
    key_id UUID NOT NULL,
    code TEXT NOT NULL,
    status SMALLINT NOT NULL,
    count BIGINT NOT NULL,
    CONSTRAINT pk_refusals PRIMARY KEY (hour, tenant_id, key_id, code, status)
);
CREATE INDEX ix_refusals_tenant_id_hour ON refusals (tenant_id, hour);
CREATE INDEX ix_refusals_key_id_hour ON refusals (key_id, hour);

ALTER TABLE tenants ADD COLUMN capture JSONB;
CREATE TABLE captures (
    request_id UUID NOT NULL,
    received_at timestamptz NOT NULL,
    tenant_id UUID NOT NULL,
    key_id UUID NOT NULL,
    content BYTEA NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_captures PRIMARY KEY (request_id)
);
CREATE INDEX ix_captures_expires_at ON captures (expires_at);
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was counted would be lost: restore a backup instead")
