"""Hosts as configuration may write them: one way to read each, for us, for the resolver and for a proxy."""

import re
from ipaddress import IPv6Address, ip_address

HOST = r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
"""No userinfo, no whitespace, no backslash, no escapes, no zone, nothing but ASCII."""
# A last label that is a number makes the C resolver read the host as an address (2130706433, 0x7f.1, 0177.0.0.1).
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


def read_host(text: str) -> str:
    """A match of HOST in lower case, an IPv6 address without its brackets. Raises ValueError for a doubtful one."""
    if text.startswith("["):
        return str(IPv6Address(text[1:-1]))
    if _NUMERIC.fullmatch(text):
        try:
            return str(ip_address(text))
        except ValueError:
            raise ValueError("the host is a number in disguise") from None
    return text.lower()


def written(host: str) -> str:
    """As it stands in a URL or an authority."""
    return f"[{host}]" if ":" in host else host
