"""What is measured beside the token classes.

Revision: 0007.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Constant defaults: no table is rewritten, and the lock is held for the catalogue alone.
UP = """
ALTER TABLE requests
    ADD COLUMN audio_tokens BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN image_tokens BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN server_tool_calls BIGINT DEFAULT '0' NOT NULL
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was counted would be lost: restore a backup instead")
