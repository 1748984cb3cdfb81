"""The tables, as SQLAlchemy models. Used as `m.Key`, `m.Account`…"""

from gateway.core.models.base import Model
from gateway.core.models.people import Tenant, Token, User, UserRole
from gateway.core.models.pool import Account, Key, KeySecret, Pool
from gateway.core.models.records import Audit, Change, Configuration, Journal, Request, UsageHour

__all__ = [
    "Account",
    "Audit",
    "Change",
    "Configuration",
    "Journal",
    "Key",
    "KeySecret",
    "Model",
    "Pool",
    "Request",
    "Tenant",
    "Token",
    "UsageHour",
    "User",
    "UserRole",
]
