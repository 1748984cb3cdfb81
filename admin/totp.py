"""One-time passwords by time (RFC 6238 over RFC 4226): SHA-1, 30 seconds, 6 digits, as every authenticator has them."""

import base64
import hmac
import secrets
from urllib.parse import quote

STEP = 30
DIGITS = 6


def new_secret() -> bytes:
    return secrets.token_bytes(20)


def code(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one time step (RFC 4226, 5.3)."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    at = mac[-1] & 0x0F
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).rjust(digits, "0")


def matching_step(secret: bytes, given: str, now: float) -> int | None:
    """The time step that the code belongs to, one step of drift either way; None when it is wrong."""
    current = int(now) // STEP
    found = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(code(secret, step).encode(), given.encode()):
            found = step
    return found


def uri(secret: bytes, email: str) -> str:
    """What authenticators read from a QR code (the Key URI format)."""
    label = quote(f"poolgate:{email}")
    return f"otpauth://totp/{label}?secret={base32(secret)}&issuer=poolgate&digits={DIGITS}&period={STEP}"


def base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")
