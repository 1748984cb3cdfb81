"""The values that flow through poolgate: accounts, pools, keys and their limits.

Pure and frozen: no IO and no framework is imported here, so protocols, platforms and the relay can share them.
Times are seconds since the epoch (UTC) unless a name says otherwise; ids are the public ones (`key_…`, `acct_…`).
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from gateway.core.secret import Secret

LimitType = Literal["requests", "tokens", "input_tokens", "output_tokens", "concurrency", "budget"]
LimitScope = Literal["key", "user", "team", "tenant", "account"]
OnDisconnect = Literal["abort", "drain"]
Strategy = Literal["least_busy", "round_robin", "weighted", "random", "latency"]

#: What a key may name in `platforms` besides the platforms themselves.
FAMILIES: Mapping[str, frozenset[str]] = {
    "claude": frozenset({"claude-official", "claude-console", "claude-ccr", "bedrock"}),
    "openai": frozenset({"openai", "azure-openai", "openai-responses"}),
    "gemini": frozenset({"gemini"}),
    "ollama": frozenset({"ollama"}),
}


class Period(Struct, frozen=True):
    """How long a limit looks back: a sliding length, or a calendar window in the limit's time zone."""

    name: str
    seconds: int | None
    """Length of a sliding period; None for a calendar one (day, week, month) and for `total`."""


class Limit(Struct, frozen=True, cache_hash=True):
    """One limit of a key, a user, a team, a tenant or an account."""

    type: LimitType
    max: int
    """Of a budget in 10⁻⁹ of the currency."""
    per: Period | None = None
    timezone: str = "UTC"
    models: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    on_limiter_failure: Literal["open", "closed"] = "open"
    reserve: Literal["expected", "worst"] = "expected"
    """What a request takes of it before anybody knows what it uses."""
    queue_ms: int = 0
    """Concurrency: how long a request waits for a place before it is refused."""
    scope: LimitScope = "key"
    owner: str = ""
    """Id of the key, team, tenant or account whose limit this is, `USER/TENANT` for a user's: the counter's name, so
    rotation keeps the count."""


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. `first_event` and `stream_idle` are for streams, `total` is for answers in one piece."""

    connect: float = 10
    first_event: float = 60
    stream_idle: float = 600
    total: float = 600


class Proxy(Struct, frozen=True):
    """A way out that accounts may be sent through."""

    id: str
    scheme: Literal["http", "https", "socks5h"]
    host: str
    port: int
    username: Secret | None = None
    password: Secret | None = None


class Probe(Struct, frozen=True, forbid_unknown_fields=True):
    """A cheap request every so many minutes, and before an account that cools down gets traffic again."""

    every_minutes: int
    model: str | None = None
    """The client's name of it; None: the platform's cheapest that the account serves."""


class Account(Struct, frozen=True, eq=False):
    """An upstream account as the gateway uses it, its secrets opened. Compared by identity: one of a snapshot."""

    id: str
    tenant_id: str
    name: str
    platform: str
    base_url: str
    credentials: Mapping[str, Secret]
    provider: str = ""
    options: Mapping[str, Any] = {}
    models: tuple[str, ...] = ()
    model_map: Mapping[str, str] = {}
    pools: tuple[str, ...] = ()
    priority: int = 50
    weight: int = 1
    max_concurrency: int | None = None
    enabled: bool = True
    explicit_only: bool = False
    expires_at: float | None = None
    created_at: float = 0.0
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: tuple["Limit", ...] = ()
    """The operator's own caps: an account that reached one is no candidate."""
    draining: bool = False
    """Only the sessions that are bound to it go on."""
    proxy: Proxy | None = None
    probe: Probe | None = None


class Pool(Struct, frozen=True):
    """A named set of accounts of one tenant, with the way to choose among them."""

    id: str
    tenant_id: str
    name: str
    strategy: Strategy = "least_busy"


class Capture(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a tenant's prompts and answers are kept."""

    enabled: bool = False
    retention_days: int = 7
    redact: tuple[str, ...] = ()
    """Patterns of what is taken out, besides secrets of known forms."""
    max_bytes: int = 65536
    """Of the request, and of the answer."""


class Tenant(Struct, frozen=True):
    id: str
    name: str
    enabled: bool = True
    public_lists: bool = False
    limits: tuple[Limit, ...] = ()
    capture: Capture | None = None
    """Only while it is on."""
    ollama_key_id: str | None = None
    """The key of Ollama's clients on this machine, which present none. Only the tenant `default` has one."""
    active_group: str | None = None
    """The name of the group that `/switch/…` stands for."""


class Caller(Struct, frozen=True):
    """Who presented a key, and all that the key may do. Cached; holds nothing of any one request."""

    key_id: str
    tenant_id: str
    name: str
    user_id: str | None = None
    team_id: str | None = None
    """The user's team in the tenant."""
    platforms: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("*",)
    pools: tuple[str, ...] = ()
    account_id: str | None = None
    allowed_ips: tuple[str, ...] = ()
    allowed_clients: tuple[str, ...] = ()
    expires_at: float | None = None
    secret_expires_at: float | None = None
    """End of the overlap of a rotated secret; None for the current one."""
    enabled: bool = True
    limits: tuple[Limit, ...] = ()
    """Of the key, its user, the user's team and the tenant together: all must pass."""
    on_disconnect: OnDisconnect | None = None
    price_multiplier: str = "1"
    debug: bool = False
