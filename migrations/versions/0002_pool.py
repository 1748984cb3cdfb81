"""The pool: proxies, renewed credentials, draining, probes, webhooks.

Revision: 0002.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE proxies (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    url BYTEA NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_proxies PRIMARY KEY (id),
    CONSTRAINT fk_proxies_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE UNIQUE INDEX uq_proxies_tenant_id_name ON proxies (tenant_id, name);

ALTER TABLE accounts
    ADD COLUMN renewed BYTEA,
    ADD COLUMN proxy_id UUID,
    ADD COLUMN probe JSONB,
    ADD COLUMN draining BOOLEAN DEFAULT 'false' NOT NULL,
    ADD CONSTRAINT fk_accounts_proxy_id FOREIGN KEY(proxy_id) REFERENCES proxies (id);

CREATE TABLE webhooks (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    url BYTEA NOT NULL,
    host TEXT NOT NULL,
    secret BYTEA,
    events TEXT[] NOT NULL,
    enabled BOOLEAN DEFAULT 'true' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (id),
    CONSTRAINT fk_webhooks_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);
CREATE UNIQUE INDEX uq_webhooks_tenant_id_name ON webhooks (tenant_id, name);

CREATE TABLE deliveries (
    id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    subject TEXT NOT NULL,
    event JSONB NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    first_at timestamptz NOT NULL,
    next_at timestamptz,
    delivered_at timestamptz,
    status INTEGER,
    error TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_deliveries PRIMARY KEY (id),
    CONSTRAINT fk_deliveries_webhook_id FOREIGN KEY(webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
);
CREATE INDEX ix_deliveries_webhook_id_created_at ON deliveries (webhook_id, created_at DESC);
CREATE INDEX ix_deliveries_next_at ON deliveries (next_at) WHERE next_at IS NOT NULL;
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("sealed values would be lost: restore a backup instead")
