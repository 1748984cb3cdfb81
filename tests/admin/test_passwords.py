"""argon2id, in threads, two at a time."""

import asyncio
import threading

import pytest

import admin.passwords as passwords
from admin.passwords import AT_ONCE, Passwords


async def test_a_hash_is_argon2id_and_opens_to_its_password_only():
    with Passwords() as hashing:
        made = await hashing.hash("right")
        assert made.startswith("$argon2id$v=19$m=65536,t=3,")
        assert await hashing.verify(made, "right")
        assert not await hashing.verify(made, "wrong")
        assert not await hashing.verify(None, "\x00"), "nobody's hash lets nobody in"
        assert not await hashing.verify("not a hash", "right")


async def test_two_at_once_and_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch):
    running, most, lock = 0, 0, threading.Lock()
    real = passwords._matches

    def counted(password_hash: str, password: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return real(password_hash, password)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(passwords, "_matches", counted)
    with Passwords() as hashing:
        asked = [asyncio.ensure_future(hashing.verify(None, "x")) for _ in range(6)]
        await asyncio.sleep(0.01)
        assert not all(one.done() for one in asked)
        for one in asked[:2]:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert most == AT_ONCE
