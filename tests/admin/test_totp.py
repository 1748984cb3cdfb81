"""RFC 6238, appendix B (SHA-1), and drift."""

import pytest

import admin.totp as totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_the_rfc(moment: int, code: str):
    assert totp.code(SECRET, moment // 30, digits=8) == code
    assert totp.code(SECRET, moment // 30) == code[-6:]


def test_one_step_of_drift_either_way():
    now = 1111111111.0
    step = int(now) // 30
    for off, found in ((-2, None), (-1, step - 1), (0, step), (1, step + 1), (2, None)):
        assert totp.matching_step(SECRET, totp.code(SECRET, step + off), now) == found
    assert totp.matching_step(SECRET, "", now) is None


def test_the_uri_is_what_authenticators_read():
    uri = totp.uri(SECRET, "a b@example.com")
    assert uri.startswith("otpauth://totp/poolgate%3Aa%20b%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&")
