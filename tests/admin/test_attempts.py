"""Log-ins are limited for an account, whether it exists or not, and for an address."""

import asyncio

import pytest

from admin.attempts import PER_ACCOUNT, PER_ADDRESS, WINDOW, Attempts
from admin.problem import Problem
from admin.resources import Resources
from tests.admin.conftest import Browser

pytestmark = pytest.mark.usefixtures("no_attempts_yet")


async def test_an_account_that_exists_or_not_is_refused_the_same(browser: Browser):
    await browser.user("limited@example.com")
    for email in ("limited@example.com", "limited-nobody@example.com"):
        assert (await browser.log_in(email, "wrong")).status_code == 401
        await browser.exhaust(email)
        refused = await browser.log_in(email)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
        assert 0 < int(refused.headers["retry-after"]) <= WINDOW


async def test_those_at_the_same_time_count_too(resources: Resources):
    attempts = Attempts(resources.redis)
    asked = [attempts.admit("same-time@example.com", f"198.51.100.{at}") for at in range(PER_ACCOUNT + 5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(answer is None for answer in answers) == PER_ACCOUNT
    assert all(isinstance(answer, Problem) and answer.status == 429 for answer in answers if answer is not None)


async def test_a_success_clears_the_account_and_not_the_address(resources: Resources):
    attempts = Attempts(resources.redis)
    for at in range(PER_ADDRESS):
        email = f"User{at // 5}@Example.com"
        await attempts.admit(email, "203.0.113.9")
        await attempts.succeeded(email.lower())
    await attempts.admit("user0@example.com", "203.0.113.10")
    for address in ("203.0.113.9",) * 2:
        with pytest.raises(Problem) as refused:
            await attempts.admit("someone-else@example.com", address)
        assert 0 < int(refused.value.headers["Retry-After"]) <= WINDOW


async def test_the_window_is_not_prolonged_by_trying_on(resources: Resources):
    attempts = Attempts(resources.redis)
    await attempts.admit("window@example.com", None)
    (name,) = [name async for name in resources.redis.scan_iter("pg:login:account:*")]
    assert "window" not in str(name), "the address of a person is not a name in Redis"
    await resources.redis.expire(name, 5)
    await attempts.admit("window@example.com", None)
    assert await resources.redis.ttl(name) <= 5
    assert await resources.redis.get("pg:login:address:unknown") == "2"
