"""What needs a running gateway uses the relay's installation."""

from tests.relay.conftest import raw, site, world

__all__ = ["raw", "site", "world"]
