"""Groups: aliases and rules below a path prefix, and which of them a tenant's `switch` stands for.

Revision: 0009.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE groups (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    aliases JSONB DEFAULT '[]' NOT NULL,
    prompt JSONB DEFAULT '{}' NOT NULL,
    temperature_ratio DOUBLE PRECISION DEFAULT '1' NOT NULL,
    tools_removed TEXT[] DEFAULT '{}' NOT NULL,
    tool_mode TEXT DEFAULT 'auto' NOT NULL,
    params_default JSONB DEFAULT '{}' NOT NULL,
    params_override JSONB DEFAULT '{}' NOT NULL,
    headers JSONB DEFAULT '{}' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_groups PRIMARY KEY (id),
    CONSTRAINT fk_groups_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE UNIQUE INDEX uq_groups_tenant_id_name ON groups (tenant_id, lower(name));

ALTER TABLE tenants ADD COLUMN active_group_id UUID;
ALTER TABLE tenants ADD CONSTRAINT fk_tenants_active_group_id
    FOREIGN KEY(active_group_id) REFERENCES groups (id) ON DELETE SET NULL;
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the groups would be lost: restore a backup instead")
