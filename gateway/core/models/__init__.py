"""The tables, as SQLAlchemy models. Used as `m.Key`, `m.Account`…"""

from gateway.core.models.base import Model
from gateway.core.models.people import Tenant, Token, User, UserRole
from gateway.core.models.pool import Account, Key, KeySecret, Pool, Proxy
from gateway.core.models.records import Audit, Change, Configuration, Journal, Request, UsageHour
from gateway.core.models.webhooks import Delivery, Webhook

__all__ = [
    "Account",
    "Audit",
    "Change",
    "Configuration",
    "Delivery",
    "Journal",
    "Key",
    "KeySecret",
    "Model",
    "Pool",
    "Proxy",
    "Request",
    "Tenant",
    "Token",
    "UsageHour",
    "User",
    "UserRole",
    "Webhook",
]
