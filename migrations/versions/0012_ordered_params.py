"""The parameters of groups keep the order of their members: a model that answers by a schema follows it.

Revision: 0012.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COLUMNS = ("params_default", "params_override")


def upgrade() -> None:
    # Without a default: a comparison of models and database cannot compare JSON.
    for name in _COLUMNS:
        op.execute(
            f"ALTER TABLE groups ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE json USING {name}::json"
        )


def downgrade() -> None:
    for name in _COLUMNS:
        op.execute(
            f"ALTER TABLE groups ALTER COLUMN {name} TYPE jsonb USING {name}::jsonb,"
            f" ALTER COLUMN {name} SET DEFAULT '{{}}'"
        )
