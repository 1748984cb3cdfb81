"""The key that stands for that of Ollama's clients, which have none.

Revision: 0010.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tenants ADD COLUMN ollama_key_id UUID")


def downgrade() -> None:
    op.execute("ALTER TABLE tenants DROP COLUMN ollama_key_id")
