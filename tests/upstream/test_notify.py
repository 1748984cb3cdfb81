"""Telling a webhook over real sockets: what counts as told, what is never followed, where it never goes."""

import asyncio
import time

import pytest

from gateway.core.messages import Post
from gateway.upstream import Egress, Upstream, notify
from gateway.upstream.notify import tell
from tests.support.receiver import receiving


async def told(url: str, kind: str = "plain", *, allow: tuple[str, ...] = ("127.0.0.0/8",)) -> notify.Told:
    async with Upstream(Egress(allow)) as upstream:
        post = Post(url, (("content-type", "application/json"), ("webhook-id", "dlv_1")), b'{"a":1}')
        return await tell(upstream, "whk_1", kind, post, "whsec_secret")


async def test_it_is_told_by_a_post():
    async with receiving() as receiver:
        said = await told(receiver.url)
        assert (said.status, said.error, said.words, said.not_before) == (200, None, "ok", None)
        (one,) = receiver.received
        assert one.path == "/hook/token-of-the-receiver?key=value-of-it"
        assert (one.headers["content-type"], one.headers["webhook-id"], one.body) == (
            "application/json", "dlv_1", b'{"a":1}',
        )  # fmt: skip


async def test_a_redirect_is_not_followed():
    async with receiving() as receiver, receiving() as other:
        receiver.says(307, location=other.url)
        said = await told(receiver.url)
        assert (said.status, said.error) == (307, "HTTP 307: redirects are not followed")
        assert other.received == []


async def test_the_secrets_are_not_repeated():
    async with receiving() as receiver:
        receiver.says(400, body=f"bad {receiver.url} token-of-the-receiver whsec_secret\r\n".encode())
        said = await told(receiver.url)
        assert (said.status, said.error) == (400, "HTTP 400")
        assert "value-of-it" not in said.words
        assert "whsec_secret" not in said.words


@pytest.mark.parametrize("given", ["7", "Fri, 31 Dec 2199 23:59:59 GMT"])
async def test_the_receiver_may_ask_for_a_pause(given: str):
    async with receiving() as receiver:
        receiver.says(503, retry_after=given)
        said = await told(receiver.url)
        assert said.not_before is not None
        assert 5 < said.not_before - time.time() <= 1800


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("http://127.0.0.1:9/x", ()),
        ("https://169.254.169.254/latest/meta-data", ()),
        ("https://[::ffff:127.0.0.1]/x", ()),
        ("https://localhost/x", ()),
        ("http://93.184.216.34/x", ("127.0.0.0/8",)),
    ],
)
async def test_where_it_never_goes(url: str, allow: tuple[str, ...]):
    """Private addresses without the allow list, and public ones without TLS."""
    said = await told(url, allow=allow)
    assert said.status is None
    assert "is refused" in (said.error or "")


async def test_nobody_there():
    said = await told("http://127.0.0.1:9/x")
    assert (said.status, said.error) == (None, "127.0.0.1 (127.0.0.1) port 9: refused")


async def test_a_receiver_that_hangs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notify, "SECONDS", 0.3)
    async with receiving() as receiver:
        receiver.answers = [30.0]
        said = await asyncio.wait_for(told(receiver.url), 10)
        assert said.status is None
        assert said.error


async def test_chats_refuse_with_a_good_status():
    async with receiving() as receiver:
        receiver.says(200, body=b'{"code":19021,"msg":"sign match fail"}')
        said = await told(receiver.url, "feishu")
        assert (said.status, said.error, said.words) == (200, "code 19021", '{"code":19021,"msg":"sign match fail"}')
