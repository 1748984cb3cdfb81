"""What a request costs before multipliers: what the budgets of accounts count.

Revision: 0011.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE requests ADD COLUMN base_cost NUMERIC(20, 9)")


def downgrade() -> None:
    op.execute("ALTER TABLE requests DROP COLUMN base_cost")
