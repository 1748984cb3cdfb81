"""Tunnels: through real proxies of each kind, and past mean ones that say anything at all."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from gateway.core.domain import Proxy
from gateway.core.secret import Secret
from gateway.upstream import ConnectionBroken, DialFailed, Egress, TimedOut, Truncated, Upstream, tls_context
from gateway.upstream.request import Origin
from gateway.upstream.tunnel import ANSWER_LIMIT, tunnelled
from tests.support.outbound import Kind, Outbound, outbound, pass_on
from tests.upstream.test_pool import Authority

from .scene import AUTHORITIES, LOCAL, Collect, Handler, Scene, both_loops, read_request, reset, scene

KINDS: list[Kind] = ["http", "https", "socks5h"]
NAME, PROXY = "upstream.example", "proxy.example"
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LOGIN = ("some one", "pä:ss/@")
OK = b"HTTP/1.1 200 OK\r\n\r\n"


class Certificates:
    """The test's authority, made once: keys are slow."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self.client = tls_context(str(authority.path))
        self.upstream = authority.server(x509.DNSName(NAME))
        self.proxy = authority.server(x509.DNSName(PROXY))
        self.other = authority.server(x509.DNSName("other.example"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def way(kind: Kind, port: int, login: tuple[str, str] | None = None, identifier: str = "prx_1") -> Proxy:
    username, password = (Secret(login[0]), Secret(login[1])) if login else (None, None)
    return Proxy(identifier, kind, PROXY, port, username, password)


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(HELLO)


async def asked(names: list[str], host: str) -> Sequence[str]:
    names.append(host)
    return ["127.0.0.1"]


@asynccontextmanager
async def proxied(
    kind: Kind,
    certificates: Certificates,
    handler: Handler = hello,
    *,
    server: ssl.SSLContext | None = None,
    login: tuple[str, str] | None = None,
    said: tuple[str, str] | None = None,
) -> AsyncGenerator[tuple[Scene, Outbound]]:
    """A TLS upstream that only the proxy can find."""
    resolved: list[str] = []
    async with AsyncExitStack() as stack:
        # The far sides of broken handshakes are reported to this loop as well; only our side is looked at.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        egress = Egress(LOCAL, resolver=lambda host, port: asked(resolved, host))
        tls = (server or certificates.upstream, certificates.client)
        it = await stack.enter_async_context(scene(handler, tls=tls, egress=egress))
        port = int(it.url.rsplit(":", 1)[1])
        names = {NAME: port, "other.example": port}
        proxy = await stack.enter_async_context(
            outbound(kind, names=names, credentials=login, tls=certificates.proxy if kind == "https" else None)
        )
        it.url = f"https://{NAME}:{port}"
        it.proxy = way(kind, proxy.port, said or login)
        yield it, proxy
        assert set(resolved) <= {PROXY}, "names of upstreams are the proxy's to resolve"


@pytest.mark.parametrize("login", [None, LOGIN])
@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_through(kind: Kind, login: tuple[str, str] | None, certificates: Certificates) -> None:
    async with proxied(kind, certificates, login=login) as (it, proxy):
        for stream in (True, False, True):
            answer = await it.open(headers=[(b"x-api-key", b"sk-upstream-secret")], body=b"tell nobody", stream=stream)
            sink = Collect()
            assert await sink.outcome(answer) is None
            assert sink.body == b"hello"
        assert (it.upstream.dials, it.upstream.reuses, it.upstream.connections) == (1, 2, 1)
        assert proxy.asked == [(NAME, int(it.url.rsplit(":", 1)[1]))]
        for secret in (b"sk-upstream-secret", b"tell nobody", b"x-api-key", b"/v1/messages"):
            assert secret not in proxy.heard


@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_a_plain_target_is_an_allowed_address(kind: Kind, certificates: Certificates) -> None:
    async with proxied(kind, certificates) as (it, proxy), scene(hello) as plain:
        it.url = plain.url
        assert await (await it.open()).read(9) == b"hello"
        assert len(proxy.asked) == 1
        it.url = plain.url.replace("127.0.0.1", NAME)
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert (caught.value.reason, len(proxy.asked)) == ("egress", 1)


@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_much_in_both_directions(kind: Kind, certificates: Certificates) -> None:
    size = 3 * 1024 * 1024

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 65536):
            writer.write(body[at : at + 65536])
            await writer.drain()
        await reader.read()

    async with proxied(kind, certificates, handle) as (it, _):
        body = bytes(range(256)) * (size // 256)
        answer = await it.open(body=b"%d" % size + b"\n" + body)

        class Pausing(Collect):
            def data(self, chunk: bytes) -> None:
                super().data(chunk)
                answer.pause()

        sink = Pausing()
        answer.start(sink)
        while not sink.over.done():
            answer.resume()
            await asyncio.sleep(0)
        assert sink.endings == [None]
        assert sink.body == b"%d" % size + b"\n" + body


@pytest.mark.parametrize("proper", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_only_the_targets_closing_alert_ends_an_answer_without_length(
    kind: Kind, proper: bool, certificates: Certificates
) -> None:
    """A proxy that closes, with an alert of its own or not, does not speak for the upstream."""
    cut = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        if not proper:
            cut.set()
            await asyncio.sleep(5)

    async with proxied(kind, certificates, handle) as (it, proxy):
        answer = await it.open()
        sink = Collect()
        answer.start(sink)
        while not proper and sink.body != b"hello":
            await asyncio.sleep(0.005)
        if not proper:
            proxy.cut(gently=True)
        await sink.over
        assert sink.body == b"hello"
        assert sink.endings == [None] if proper else isinstance(sink.endings[0], Truncated)


@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_limits_and_cuts_within_a_tunnel(kind: Kind, certificates: Certificates) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with proxied(kind, certificates, silent) as (it, proxy):
        with pytest.raises(TimedOut):
            await it.open(first_event=0.1)
        opening = asyncio.ensure_future(it.open())
        while it.upstream.running == 0:
            await asyncio.sleep(0.005)
        proxy.cut()
        with pytest.raises(ConnectionBroken):
            await opening


@both_loops
async def test_nothing_is_shared_between_proxies_or_with_direct_connections(certificates: Certificates) -> None:
    async with proxied("http", certificates) as (it, proxy):
        ways = [
            way("http", proxy.port),
            way("http", proxy.port, identifier="prx_2"),
            way("http", proxy.port, ("a", "b")),
            way("http", proxy.port, ("a", "c")),
        ]
        for each in ways * 2:
            it.proxy = each
            await (await it.open()).read(9)
        # The same proxy, read anew from the configuration, is the same way.
        it.proxy = way("http", proxy.port, ("a", "c"))
        await (await it.open()).read(9)
        assert (it.upstream.dials, it.upstream.reuses) == (4, 5)
        await (await it.open(account="acct_2")).read(9)
        assert it.upstream.dials == 5


# ---------------------------------------------------------------- refusals of honest proxies


@pytest.mark.parametrize("said", [None, ("some one", "wrong"), ("another", LOGIN[1])])
@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_wrong_credentials(kind: Kind, said: tuple[str, str] | None, certificates: Certificates) -> None:
    async with proxied(kind, certificates, login=LOGIN) as (it, proxy):
        it.proxy = way(kind, proxy.port, said)
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert (caught.value.reason, caught.value.sent, proxy.asked) == ("proxy", False, [])
        assert it.upstream.connections == 0
        for secret in (*LOGIN, "wrong", "another"):
            assert secret not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_a_target_that_the_proxy_cannot_reach(kind: Kind, certificates: Certificates) -> None:
    """The proxy works: its other accounts must keep it."""
    async with proxied(kind, certificates) as (it, proxy):
        it.url = "https://nowhere.example"
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert (caught.value.reason, proxy.asked) == ("unreachable", [("nowhere.example", 443)])


@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_the_certificate_is_the_targets(kind: Kind, certificates: Certificates) -> None:
    """Whoever the proxy really connects to must show the target's certificate, by its name."""
    async with proxied(kind, certificates, server=certificates.other) as (it, _):
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert (caught.value.reason, caught.value.sent) == ("tls", False)
        it.url = it.url.replace(NAME, "other.example")
        assert await (await it.open()).read(9) == b"hello"


@pytest.mark.parametrize("fault", ["another name", "unknown authority", "no TLS"])
@both_loops
async def test_the_proxys_own_certificate(fault: str, certificates: Certificates) -> None:
    tls = {"another name": certificates.other, "unknown authority": certificates.proxy, "no TLS": None}[fault]
    client = AUTHORITIES if fault == "unknown authority" else certificates.client
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with outbound("https", tls=tls) as proxy, scene(hello, tls=(certificates.upstream, client)) as it:
        it.url = f"https://{NAME}"
        it.proxy = way("https", proxy.port, LOGIN)
        with pytest.raises(DialFailed) as caught:
            await it.open(connect=1)
        assert (caught.value.reason, proxy.asked, proxy.heard) == ("proxy", [], b"")
        assert it.upstream.connections == 0


# ---------------------------------------------------------------- mean proxies

Mean = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def mean(handler: Mean, *, egress: Egress | None = None) -> AsyncGenerator[Scene]:
    """A scripted proxy in the clear, and a client that must get through it to an upstream."""

    async def resolver(host: str, port: int) -> Sequence[str]:
        assert host == PROXY
        return ["127.0.0.1"]

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with scene(handler, egress=egress or Egress(LOCAL, resolver=resolver)) as it:
        port = int(it.url.rsplit(":", 1)[1])
        it.url = f"https://{NAME}"
        it.proxy = way("http", port)
        yield it


def through(it: Scene, kind: Kind, login: tuple[str, str] | None = None) -> None:
    assert it.proxy is not None
    it.proxy = way(kind, it.proxy.port, login)


async def dial(it: Scene, connect: float = 5) -> DialFailed:
    """The failure of a dial that must fail, and leave nothing behind."""
    with pytest.raises(DialFailed) as caught:
        await it.open(connect=connect)
    assert not caught.value.sent
    assert (it.upstream.connections, it.upstream.running) == (0, 0)
    return caught.value


STEPS: dict[Kind, list[tuple[int, bytes]]] = {
    "http": [(0, OK)],
    "socks5h": [(4, b"\x05\x02"), (11, b"\x01\x00"), (23, b"\x05\x00\x00\x03\x03abc\x01\xbb")],
}
"""How an honest proxy answers: after so many more bytes (0: a head), these."""
PHASES: list[tuple[Kind, int]] = [("http", 0), ("socks5h", 0), ("socks5h", 1), ("socks5h", 2)]
SOCKS_LOGIN = ("name", "pass")


async def step(reader: asyncio.StreamReader, size: int) -> None:
    await (reader.readexactly(size) if size else reader.readuntil(b"\r\n\r\n"))


async def play(kind: Kind, steps: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The first so many steps of an honest proxy, and the client's word for the next one."""
    for size, answer in STEPS[kind][:steps]:
        await step(reader, size)
        writer.write(answer)
    if steps < len(STEPS[kind]):
        await step(reader, STEPS[kind][steps][0])


@pytest.mark.parametrize("ending", ["hang", "close", "reset", "garbage", "flood", "half and close", "half and hang"])
@pytest.mark.parametrize(("kind", "phase"), PHASES)
@both_loops
async def test_mean_in_each_phase(kind: Kind, phase: int, ending: str) -> None:
    over = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await play(kind, phase, reader, writer)
        answer = STEPS[kind][phase][1]
        if ending == "reset":
            reset(writer)
        elif ending == "garbage":
            writer.write(b"\xff\xfe\xfd\xfc\r\n\r\n\r\n\r\n")
        elif ending == "flood":
            writer.write(b"HTTP/1.1 200 OK\r\nx: ".ljust(4 * ANSWER_LIMIT, b"y"))
        elif ending.startswith("half"):
            writer.write(answer[: len(answer) // 2])
        await writer.drain()
        if "hang" in ending or ending in {"garbage", "flood"}:
            assert await reader.read() == b""
            over.set()

    async with mean(handle) as it:
        through(it, kind, SOCKS_LOGIN if kind == "socks5h" else None)
        hangs = "hang" in ending
        assert (await dial(it, 0.2 if hangs else 5)).reason == "proxy"
        if hangs or ending in {"garbage", "flood"}:
            await over.wait()  # the connection is closed on our side


@pytest.mark.parametrize(("kind", "phase"), PHASES)
@both_loops
async def test_given_up_in_each_phase(kind: Kind, phase: int) -> None:
    """A client that goes away while its tunnel is being made leaves no connection."""
    reached, over = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await play(kind, phase, reader, writer)
        reached.set()
        assert await reader.read() == b""
        over.set()

    async with mean(handle) as it:
        through(it, kind, SOCKS_LOGIN if kind == "socks5h" else None)
        opening = asyncio.ensure_future(it.open())
        await reached.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await over.wait()
        assert it.upstream.connections == 0


HEADS = [
    (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy"),
    (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!", "proxy"),
    (b"HTTP/1.1 400 \r\n\r\n", "proxy"),
    (b"HTTP/1.1 500 X\r\n\r\n", "proxy"),
    (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n", "proxy"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "proxy"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "proxy"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "proxy"),
    (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "unreachable"),
    (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", "unreachable"),
    (b"HTTP/1.1 504\r\n\r\n", "unreachable"),
    (b"HTTP/1.1 200\r\n\r\nx", "proxy"),
    (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03\x00\x02\x02\x28", "proxy"),
    (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "proxy"),
    (b"HTTP/2 200\r\n\r\n", "proxy"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "proxy"),
    (b"HTTP/1.1 200OK\r\n\r\n", "proxy"),
    (b"HTTP/1.1 200 OK\n\n\r\n\r\n", "proxy"),
    (b" HTTP/1.1 200 OK\r\n\r\n", "proxy"),
    (b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "proxy"),
    (b"SSH-2.0-x\r\n\r\n", "proxy"),
    (b"\x05\x00\r\n\r\n", "proxy"),
]


@pytest.mark.parametrize(("head", "reason"), HEADS)
@both_loops
async def test_answers_to_connect(head: bytes, reason: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        assert await reader.read() == b"", "nothing is said to a proxy that refused"

    async with mean(handle) as it:
        assert (await dial(it)).reason == reason


@pytest.mark.parametrize("size", [ANSWER_LIMIT - 200, ANSWER_LIMIT + 200])
@both_loops
async def test_a_head_is_bounded(size: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write((b"HTTP/1.1 502 X\r\nx: " + b"y" * size)[:size] + b"\r\n\r\n")
        await reader.read()

    async with mean(handle) as it:
        assert (await dial(it)).reason == ("unreachable" if size < ANSWER_LIMIT else "proxy")


REPLIES = [
    (b"\x05\x01", "proxy"), (b"\x05\x02", "proxy"), (b"\x05\x03", "unreachable"), (b"\x05\x04", "unreachable"),
    (b"\x05\x05", "unreachable"), (b"\x05\x06", "unreachable"), (b"\x05\x07", "proxy"), (b"\x05\x08", "proxy"),
    (b"\x05\x09", "proxy"), (b"\x05\xff", "proxy"), (b"\x04\x00", "proxy"), (b"\x00\x5a", "proxy"),
    (b"\x00\x05", "proxy"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "reason"), REPLIES)
@both_loops
async def test_socks_replies(reply: bytes, reason: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        await reader.readexactly(23)
        writer.write(reply + b"\x00\x01\x00\x00\x00\x00\x00\x00")
        await reader.read()

    async with mean(handle) as it:
        through(it, "socks5h")
        assert (await dial(it)).reason == reason


@pytest.mark.parametrize(
    "said",
    [b"\x05\xff", b"\x05\x02", b"\x05\x01", b"\x04\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x05\x00\x00",
     b"\x05\x00\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00"],
)  # fmt: skip
@both_loops
async def test_socks_methods_and_address_kinds(said: bytes) -> None:
    """Without credentials only "none needed" is offered; what was not offered cannot be chosen."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        writer.write(said)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with mean(handle) as it:
        through(it, "socks5h")
        assert (await dial(it)).reason == "proxy"


@pytest.mark.parametrize("bound", [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x03\x00" + bytes(2), b"\x03\x05abcde12"])
@pytest.mark.parametrize("size", [1, 3, 1000])
@both_loops
async def test_replies_in_pieces(size: int, bound: bytes, certificates: Certificates) -> None:
    """However a proxy's words are cut, not one byte of the tunnel is lost or taken for them."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for wanted, answer in zip((4, 13, 23), (b"\x05\x02", b"\x01\x00", b"\x05\x00\x00" + bound), strict=True):
            said = await reader.readexactly(wanted)
            assert wanted != 13 or said == b"\x01\x04some\x06secret"
            for at in range(0, len(answer), size):
                writer.write(answer[at : at + size])
                await writer.drain()
                await asyncio.sleep(0.001)
        await pass_on(reader, writer, *await asyncio.open_connection("127.0.0.1", port), bytearray())

    tls = (certificates.upstream, certificates.client)
    async with mean(handle) as it, scene(hello, tls=tls) as behind:
        port = int(behind.url.rsplit(":", 1)[1])
        it.upstream._pool._context = certificates.client
        through(it, "socks5h", ("some", "secret"))
        assert await (await it.open()).read(9) == b"hello"


@pytest.mark.parametrize("size", [1, 7, 1000])
@both_loops
async def test_heads_in_pieces(size: int, certificates: Certificates) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.0 200 Connection established\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
        for at in range(0, len(head), size):
            writer.write(head[at : at + size])
            await writer.drain()
            await asyncio.sleep(0.001)
        await pass_on(reader, writer, *await asyncio.open_connection("127.0.0.1", port), bytearray())

    tls = (certificates.upstream, certificates.client)
    async with mean(handle) as it, scene(hello, tls=tls) as behind:
        port = int(behind.url.rsplit(":", 1)[1])
        it.upstream._pool._context = certificates.client
        assert await (await it.open()).read(9) == b"hello"


@pytest.mark.parametrize(
    ("url", "connect", "socks"),
    [
        ("https://upstream.example", b"upstream.example:443", b"\x03\x10upstream.example\x01\xbb"),
        ("https://UP.example:8443", b"up.example:8443", b"\x03\x0aup.example\x20\xfb"),
        ("https://8.8.8.8", b"8.8.8.8:443", b"\x01\x08\x08\x08\x08\x01\xbb"),
        ("https://[2606:4700:0::1]", b"[2606:4700::1]:443", b"\x04\x26\x06\x47\x00" + bytes(11) + b"\x01\x01\xbb"),
    ],
)
@both_loops
async def test_what_is_asked_for(url: str, connect: bytes, socks: bytes) -> None:
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(3)
        if first == b"CON":
            heard.append(first + await reader.readuntil(b"\r\n\r\n"))
        else:
            writer.write(b"\x05\x00")
            heard.append(await reader.readexactly(3 + len(socks)))

    async with mean(handle) as it:
        it.url = url
        await dial(it)
        through(it, "socks5h")
        await dial(it)
        through(it, "http", ("u", "p"))
        await dial(it)
    said = b"CONNECT " + connect + b" HTTP/1.1\r\nHost: " + connect + b"\r\n"
    assert heard == [said + b"\r\n", b"\x05\x01\x00" + socks, said + b"Proxy-Authorization: Basic dTpw\r\n\r\n"]


@pytest.mark.parametrize("within", ["cut", "reset", "garbage", "hang", "speaks first"])
@pytest.mark.parametrize("kind", ["http", "socks5h"])
@both_loops
async def test_mean_within_the_tunnel(kind: Kind, within: str) -> None:
    """From the moment the tunnel stands, what comes is the target's."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await play(kind, 9, reader, writer)
        if within == "speaks first":
            await asyncio.sleep(0.02)
        else:
            await reader.read(5)  # the client's hello begins
        if within == "reset":
            reset(writer)
        elif within in {"garbage", "speaks first"}:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        if within != "cut":
            await reader.read()

    async with mean(handle) as it:
        through(it, kind, SOCKS_LOGIN if kind == "socks5h" else None)
        failure = await dial(it, 0.3 if within == "hang" else 5)
        assert failure.reason in ({"timeout"} if within == "hang" else {"tls", "unreachable"})


# ---------------------------------------------------------------- proxies that are not there


@pytest.mark.parametrize(
    ("host", "port", "found", "own"),
    [
        ("127.0.0.1", 1, [], False),
        ("dead.example", 1, ["127.0.0.1", "127.0.0.2"], False),
        ("nowhere.example", 3128, OSError("no"), False),
        ("empty.example", 3128, [], False),
        ("10.0.0.1", 3128, [], False),
        ("rebind.example", 3128, ["8.8.8.8", "10.0.0.1"], False),
        ("169.254.169.254", 80, [], False),
        ("::ffff:127.0.0.1", 3128, [], False),
        ("127.0.0.1", 8080, [], True),
        ("ours.example", 8080, ["127.0.0.1"], True),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
@both_loops
async def test_a_proxy_that_cannot_be_dialled(
    kind: Kind, host: str, port: int, found: list[str] | OSError, own: bool
) -> None:
    async def resolver(name: str, _: int) -> Sequence[str]:
        assert name == host
        if isinstance(found, OSError):
            raise found
        return found

    egress = Egress(LOCAL, own_ports=[8080] if own else [], resolver=resolver)
    async with Upstream(egress, ssl=AUTHORITIES) as upstream:
        it = Scene(upstream, f"https://{NAME}", proxy=Proxy("prx_1", kind, host, port))
        failure = await dial(it)
        assert failure.reason == "proxy"
        assert "prx_1" in str(failure)


@both_loops
async def test_a_public_proxy_may_speak_in_the_clear() -> None:
    egress = Egress()
    for kind in KINDS:
        assert await egress.proxy_addresses(Proxy("prx_1", kind, "8.8.8.8", 3128)) == ["8.8.8.8"]


@both_loops
async def test_the_next_address_of_a_proxy_is_tried(certificates: Certificates) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with proxied("http", certificates) as (it, _):
        it.upstream._pool._egress = Egress(LOCAL, resolver=resolver)
        assert await (await it.open()).read(9) == b"hello"


@both_loops
async def test_a_slow_resolver_counts_as_the_proxys() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(5)
        return []

    with pytest.raises(DialFailed) as caught:
        await tunnelled(
            Egress(resolver=resolver), AUTHORITIES, way("http", 1), Origin.parse(f"https://{NAME}"), seconds=0.1
        )
    assert caught.value.reason == "proxy"
