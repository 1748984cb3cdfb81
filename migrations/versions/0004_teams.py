"""Teams: named groups of users with limits of their own.

Revision: 0004.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE teams (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    limits JSONB DEFAULT '[]' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_teams PRIMARY KEY (id),
    CONSTRAINT fk_teams_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE UNIQUE INDEX uq_teams_tenant_id_name ON teams (tenant_id, name);

CREATE TABLE team_members (
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    team_id UUID NOT NULL,
    CONSTRAINT pk_team_members PRIMARY KEY (tenant_id, user_id),
    CONSTRAINT fk_team_members_team_id FOREIGN KEY(team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT fk_team_members_user_id_tenant_id FOREIGN KEY(user_id, tenant_id)
        REFERENCES user_roles (user_id, tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_team_members_team_id ON team_members (team_id);
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("what was counted would be lost: restore a backup instead")
