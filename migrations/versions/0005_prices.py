"""Prices in versions, from a day on.

Revision: 0005.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE price_versions (
    id UUID NOT NULL,
    version TEXT NOT NULL,
    effective_at timestamptz NOT NULL,
    currency TEXT NOT NULL,
    source TEXT NOT NULL,
    prices JSONB NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_price_versions PRIMARY KEY (id),
    CONSTRAINT uq_price_versions_version UNIQUE (version)
);

ALTER TABLE tenants ADD COLUMN price_multiplier TEXT DEFAULT '1' NOT NULL;

CREATE INDEX ix_usage_hours_unpriced ON usage_hours (hour, key_id) WHERE unpriced > 0;
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was counted would be lost: restore a backup instead")
