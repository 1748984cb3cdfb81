"""The ground: tenants, users, tokens, keys, accounts, pools, the ledger (partitioned by month), audit, changes.

Revision: 0001.
"""

import sqlalchemy as sa
from alembic import op

from gateway.core.ids import uuid7

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE audit (
    id UUID NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    tenant_id UUID,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before JSONB,
    after JSONB,
    address TEXT,
    request_id TEXT,
    CONSTRAINT pk_audit PRIMARY KEY (id)
);

CREATE INDEX ix_audit_tenant_id_at ON audit (tenant_id, at DESC);

CREATE TABLE changes (
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_changes PRIMARY KEY (version)
);

CREATE TABLE configuration (
    id SMALLINT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT pk_configuration PRIMARY KEY (id)
);

CREATE TABLE journals (
    instance TEXT NOT NULL,
    tag SMALLINT NOT NULL,
    committed BIGINT NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_journals PRIMARY KEY (instance, tag)
);

CREATE TABLE requests (
    request_id UUID NOT NULL,
    received_at timestamptz NOT NULL,
    client_request_id TEXT,
    tenant_id UUID NOT NULL,
    user_id UUID,
    key_id UUID NOT NULL,
    account_id UUID,
    platform TEXT,
    provider TEXT,
    protocol TEXT NOT NULL,
    path TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    model_used TEXT,
    stream BOOLEAN NOT NULL,
    status SMALLINT,
    error_code TEXT,
    ending TEXT NOT NULL,
    usage_source TEXT NOT NULL,
    input_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_read_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_write_5m_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_write_1h_tokens BIGINT DEFAULT '0' NOT NULL,
    output_tokens BIGINT DEFAULT '0' NOT NULL,
    reasoning_tokens BIGINT DEFAULT '0' NOT NULL,
    cost NUMERIC(20, 9),
    currency TEXT DEFAULT 'USD' NOT NULL,
    price_version TEXT,
    unpriced BOOLEAN DEFAULT 'false' NOT NULL,
    first_byte_at timestamptz,
    ended_at timestamptz,
    overhead_us INTEGER,
    attempts JSONB DEFAULT '[]' NOT NULL,
    client_ip TEXT,
    user_agent TEXT,
    session_id TEXT,
    CONSTRAINT pk_requests PRIMARY KEY (request_id, received_at)
)
 PARTITION BY RANGE (received_at);

CREATE INDEX ix_requests_account_id_received_at ON requests (account_id, received_at DESC);

CREATE INDEX ix_requests_key_id_received_at ON requests (key_id, received_at DESC);

CREATE INDEX ix_requests_tenant_id_received_at ON requests (tenant_id, received_at DESC);

CREATE TABLE tenants (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    enabled BOOLEAN DEFAULT 'true' NOT NULL,
    public_lists BOOLEAN DEFAULT 'false' NOT NULL,
    limits JSONB DEFAULT '[]' NOT NULL,
    deleted_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (id),
    CONSTRAINT uq_tenants_name UNIQUE (name)
);

CREATE TABLE usage_hours (
    hour timestamptz NOT NULL,
    tenant_id UUID NOT NULL,
    key_id UUID NOT NULL,
    user_id UUID,
    account_id UUID NOT NULL,
    platform TEXT NOT NULL,
    model TEXT NOT NULL,
    requests BIGINT DEFAULT '0' NOT NULL,
    errors BIGINT DEFAULT '0' NOT NULL,
    unpriced BIGINT DEFAULT '0' NOT NULL,
    input_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_read_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_write_5m_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_write_1h_tokens BIGINT DEFAULT '0' NOT NULL,
    output_tokens BIGINT DEFAULT '0' NOT NULL,
    reasoning_tokens BIGINT DEFAULT '0' NOT NULL,
    cost NUMERIC(20, 9) DEFAULT '0' NOT NULL,
    CONSTRAINT pk_usage_hours PRIMARY KEY (hour, tenant_id, key_id, account_id, platform, model)
);

CREATE INDEX ix_usage_hours_key_id_hour ON usage_hours (key_id, hour);

CREATE INDEX ix_usage_hours_tenant_id_hour ON usage_hours (tenant_id, hour);

CREATE TABLE users (
    id UUID NOT NULL,
    email TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    password_hash TEXT,
    one_time BOOLEAN DEFAULT 'true' NOT NULL,
    root BOOLEAN DEFAULT 'false' NOT NULL,
    enabled BOOLEAN DEFAULT 'true' NOT NULL,
    totp_secret BYTEA,
    limits JSONB DEFAULT '[]' NOT NULL,
    last_login_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_email UNIQUE (email)
);

CREATE TABLE accounts (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    provider TEXT NOT NULL,
    base_url TEXT,
    options JSONB DEFAULT '{}' NOT NULL,
    credentials BYTEA NOT NULL,
    credential_fields TEXT[] NOT NULL,
    models TEXT[],
    model_map JSONB DEFAULT '{}' NOT NULL,
    pools UUID[] DEFAULT '{}' NOT NULL,
    priority INTEGER DEFAULT '50' NOT NULL,
    weight INTEGER DEFAULT '1' NOT NULL,
    max_concurrency INTEGER,
    limits JSONB DEFAULT '[]' NOT NULL,
    timeouts JSONB DEFAULT '{}' NOT NULL,
    enabled BOOLEAN DEFAULT 'true' NOT NULL,
    explicit_only BOOLEAN DEFAULT 'false' NOT NULL,
    notes TEXT DEFAULT '' NOT NULL,
    expires_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT fk_accounts_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);

CREATE UNIQUE INDEX uq_accounts_tenant_id_name ON accounts (tenant_id, name) WHERE deleted_at IS NULL;

CREATE TABLE keys (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    user_id UUID,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    last_four TEXT NOT NULL,
    platforms TEXT[] NOT NULL,
    models TEXT[] NOT NULL,
    groups TEXT[] DEFAULT '{*}' NOT NULL,
    limits JSONB DEFAULT '[]' NOT NULL,
    pools UUID[] DEFAULT '{}' NOT NULL,
    account_id UUID,
    allowed_ips TEXT[] DEFAULT '{}' NOT NULL,
    allowed_clients TEXT[] DEFAULT '{}' NOT NULL,
    mcp_servers TEXT[] DEFAULT '{}' NOT NULL,
    on_disconnect TEXT,
    price_multiplier TEXT DEFAULT '1' NOT NULL,
    debug BOOLEAN DEFAULT 'false' NOT NULL,
    metadata JSONB DEFAULT '{}' NOT NULL,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    enabled BOOLEAN DEFAULT 'true' NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_keys PRIMARY KEY (id),
    CONSTRAINT fk_keys_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
    CONSTRAINT fk_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX ix_keys_tenant_id_created_at ON keys (tenant_id, created_at DESC);

CREATE INDEX ix_keys_user_id ON keys (user_id);

CREATE TABLE pools (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    name TEXT NOT NULL,
    strategy TEXT DEFAULT 'least_busy' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_pools PRIMARY KEY (id),
    CONSTRAINT fk_pools_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
);

CREATE UNIQUE INDEX uq_pools_tenant_id_name ON pools (tenant_id, name);

CREATE TABLE tokens (
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    digest BYTEA NOT NULL,
    prefix TEXT NOT NULL,
    last_four TEXT NOT NULL,
    scopes TEXT[] NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT pk_tokens PRIMARY KEY (id),
    CONSTRAINT fk_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_tokens_digest UNIQUE (digest)
);

CREATE INDEX ix_tokens_user_id ON tokens (user_id);

CREATE TABLE user_roles (
    user_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    role TEXT NOT NULL,
    CONSTRAINT pk_user_roles PRIMARY KEY (user_id, tenant_id),
    CONSTRAINT fk_user_roles_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_user_roles_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);

CREATE INDEX ix_user_roles_tenant_id ON user_roles (tenant_id);

CREATE TABLE key_secrets (
    digest BYTEA NOT NULL,
    key_id UUID NOT NULL,
    pepper_id TEXT NOT NULL,
    expires_at timestamptz,
    CONSTRAINT pk_key_secrets PRIMARY KEY (digest),
    CONSTRAINT fk_key_secrets_key_id FOREIGN KEY(key_id) REFERENCES keys (id) ON DELETE CASCADE
);

CREATE INDEX ix_key_secrets_key_id ON key_secrets (key_id);
"""

LEDGER = """
CREATE TABLE requests_default PARTITION OF requests DEFAULT;
"""

AUDIT = """
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
"""

ROWS = """
INSERT INTO configuration (id, version) VALUES (1, 0);
"""


def upgrade() -> None:
    for script in (TABLES, LEDGER, ROWS):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)
    op.execute(sa.text("INSERT INTO tenants (id, name) VALUES (:id, 'default')").bindparams(id=uuid7()))
    function, trigger = AUDIT.split("$$;")
    op.execute(function + "$$")
    op.execute(trigger)


def downgrade() -> None:
    raise NotImplementedError("the first revision is not undone: drop the database instead")
