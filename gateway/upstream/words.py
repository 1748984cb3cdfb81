"""What someone else's server said, made fit to be shown: without secrets, without control characters, short."""

import re
from collections.abc import Iterable

LONGEST = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
#: What looks like a key or a token, whoever's it is.
_SECRET = re.compile(r"\b(?:sk|pk|rk|key|pgadm|ya29|AIza|eyJ)[-_.A-Za-z0-9]{12,}|(?i:bearer)\s+\S{8,}")


def clean(text: str, secrets: Iterable[str]) -> str:
    """Without these secrets, without what looks like one, without control characters; then cut."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "[secret]")
    return _CONTROL.sub(" ", _SECRET.sub("[secret]", text)).strip()[:LONGEST]
