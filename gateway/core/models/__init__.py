"""The tables, as SQLAlchemy models. Used as `m.Key`, `m.Account`…"""

from gateway.core.models.base import Model
from gateway.core.models.captures import Capture
from gateway.core.models.counters import Batch, CounterAmount
from gateway.core.models.groups import Group
from gateway.core.models.people import Tenant, Token, User, UserRole
from gateway.core.models.pool import Account, Key, KeySecret, Pool, Proxy
from gateway.core.models.prices import PriceVersion
from gateway.core.models.records import Audit, Change, Configuration, Journal, Request, UsageDay, UsageHour, UsageMonth
from gateway.core.models.refusals import Refusal
from gateway.core.models.teams import Team, TeamMember
from gateway.core.models.webhooks import Delivery, Webhook

__all__ = [
    "Account",
    "Audit",
    "Batch",
    "Capture",
    "Change",
    "Configuration",
    "CounterAmount",
    "Delivery",
    "Group",
    "Journal",
    "Key",
    "KeySecret",
    "Model",
    "Pool",
    "PriceVersion",
    "Proxy",
    "Refusal",
    "Request",
    "Team",
    "TeamMember",
    "Tenant",
    "Token",
    "UsageDay",
    "UsageHour",
    "UsageMonth",
    "User",
    "UserRole",
    "Webhook",
]
