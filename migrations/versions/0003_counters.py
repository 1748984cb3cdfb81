"""Counters of limits as the ledger says them.

Revision: 0003.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE counters (
    tag SMALLINT NOT NULL,
    name TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    span BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    ends_at timestamptz,
    CONSTRAINT pk_counters PRIMARY KEY (tag, name, bucket)
);
CREATE INDEX ix_counters_ends_at ON counters (ends_at);

CREATE TABLE batches (
    tag SMALLINT NOT NULL,
    batch BIGINT NOT NULL,
    charges TEXT NOT NULL,
    CONSTRAINT pk_batches PRIMARY KEY (tag)
);
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was counted would be lost: restore a backup instead")
