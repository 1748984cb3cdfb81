"""Keeping connections, dialling new ones, TLS."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.upstream import DialFailed, Egress, Truncated, tls_context
from gateway.upstream import pool as pools

from .scene import AUTHORITIES, LOCAL, Collect, Handler, both_loops, read_request, scene

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def hello(*, gate: asyncio.Event | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            if gate is not None:
                await gate.wait()
            writer.write(HELLO)

    return handle


@both_loops
async def test_reuse_is_last_in_first_out() -> None:
    gate = asyncio.Event()
    async with scene(hello(gate=gate)) as it:
        opened = [asyncio.ensure_future(it.open()) for _ in range(3)]
        while it.upstream.connections < 3:
            await asyncio.sleep(0.005)
        gate.set()
        for answer in await asyncio.gather(*opened):
            await answer.read(9)
        for _ in range(5):
            await (await it.open()).read(9)
        assert (it.upstream.dials, it.upstream.reuses, it.upstream.connections) == (3, 5, 3)


@both_loops
async def test_nothing_is_shared_between_accounts_or_origins() -> None:
    async with scene(hello()) as it:
        for account in ("acct_1", "acct_2", "acct_1"):
            await (await it.open(account=account)).read(9)
        assert (it.upstream.dials, it.upstream.reuses) == (2, 1)
        it.url = it.url.replace("127.0.0.1", "localhost")
        await (await it.open(account="acct_1")).read(9)
        assert (it.upstream.dials, it.upstream.reuses) == (3, 1)


@both_loops
async def test_a_connection_in_use_is_not_shared() -> None:
    gate = asyncio.Event()
    async with scene(hello(gate=gate)) as it:
        first = asyncio.ensure_future(it.open())
        second = asyncio.ensure_future(it.open())
        await asyncio.sleep(0.05)
        assert it.upstream.dials == 2
        gate.set()
        for answer in (await first, await second):
            answer.close()


async def idle_after(it_open: int, monkeypatch: pytest.MonkeyPatch, **limits: float) -> int:
    for name, value in limits.items():
        monkeypatch.setattr(pools, name, value)
    gate = asyncio.Event()
    async with scene(hello(gate=gate)) as it:
        opened = [asyncio.ensure_future(it.open(account=f"acct_{i % 2}")) for i in range(it_open)]
        while it.upstream.connections < it_open:
            await asyncio.sleep(0.005)
        gate.set()
        for answer in await asyncio.gather(*opened):
            await answer.read(9)
        await asyncio.sleep(0.2)
        kept = it.upstream.connections
        assert await (await it.open()).read(9) == b"hello"
        return kept


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, 6),
        ({"IDLE_PER_ROUTE": 2}, 4),
        ({"IDLE_TOTAL": 3}, 3),
        ({"IDLE_SECONDS": 0.05}, 0),
        ({"IDLE_SECONDS": 5}, 6),
    ],
)
def test_what_is_kept_is_bounded(limits: dict[str, float], kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(idle_after(6, monkeypatch, **limits)) == kept


# ---------------------------------------------------------------- dialling


def at(*addresses: str, allow: Sequence[str] = LOCAL) -> Egress:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return addresses

    return Egress(allow, resolver=resolver)


@both_loops
async def test_refused() -> None:
    async with scene(hello()) as it:
        it.url = "http://127.0.0.1:1"
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert (caught.value.reason, caught.value.sent, caught.value.phase) == ("refused", False, "connect")
        assert (it.upstream.connections, it.upstream.running) == (0, 0)


@both_loops
async def test_the_next_address_is_tried() -> None:
    async with scene(hello(), egress=at("::1", "127.0.0.1", allow=[*LOCAL, "::1"])) as it:
        it.url = it.url.replace("127.0.0.1", "two.example")
        assert await (await it.open()).read(9) == b"hello"
        assert it.upstream.dials == 2


@contextmanager
def swallowing(host: str, port: int = 0) -> Generator[int]:
    """A port that accepts nobody: with its backlog full, the kernel drops what comes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@both_loops
async def test_connect_timeout() -> None:
    with swallowing("127.0.0.1") as port:
        async with scene(hello()) as it:
            it.url = f"http://127.0.0.1:{port}"
            with pytest.raises(DialFailed) as caught:
                await it.open(connect=0.2)
            assert (caught.value.reason, caught.value.sent) == ("timeout", False)
            assert it.upstream.connections == 0


@both_loops
async def test_an_address_that_swallows_leaves_time_for_the_next() -> None:
    async with scene(hello(), egress=at("127.0.0.2", "127.0.0.1")) as it:
        with swallowing("127.0.0.2", int(it.url.rsplit(":", 1)[1])):
            it.url = it.url.replace("127.0.0.1", "two.example")
            assert await (await it.open(connect=0.4)).read(9) == b"hello"


@both_loops
async def test_a_slow_resolver_counts_as_connecting() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(5)
        return []

    async with scene(hello(), egress=Egress(resolver=resolver)) as it:
        it.url = "https://slow.example"
        with pytest.raises(DialFailed) as caught:
            await it.open(connect=0.1)
        assert caught.value.reason == "timeout"


@pytest.mark.parametrize("error", [OSError("no"), UnicodeError("label too long")])
@both_loops
async def test_a_resolver_that_fails(error: Exception) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise error

    async with scene(hello(), egress=Egress(resolver=resolver)) as it:
        it.url = "https://nowhere.example"
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert caught.value.reason == "dns"


# ---------------------------------------------------------------- TLS


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.path = folder / "ca.pem"
        certificate = builder.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=5))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer, critical=False)
        )

    def server(self, *names: x509.GeneralName, days: int = 1) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        builder = self._builder(subject, key, days).add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        path = self.folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


LOCALHOST = x509.DNSName("localhost")


@both_loops
async def test_tls(authority: Authority) -> None:
    spoken: list[str | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        while True:
            await read_request(reader)
            writer.write(HELLO)

    tls = (authority.server(LOCALHOST), tls_context(str(authority.path)))
    async with scene(handle, tls=tls) as it:
        for _ in range(3):
            assert await (await it.open()).read(9) == b"hello"
        assert (it.upstream.dials, it.upstream.reuses) == (1, 2)
        assert spoken == ["http/1.1"]


@both_loops
async def test_tls_to_an_address(authority: Authority) -> None:
    tls = (authority.server(x509.IPAddress(ip_address("127.0.0.1"))), tls_context(str(authority.path)))
    async with scene(hello(), tls=tls) as it:
        it.url = it.url.replace("localhost", "127.0.0.1")
        assert await (await it.open()).read(9) == b"hello"


@pytest.mark.parametrize("fault", ["unknown authority", "another name", "expired"])
@both_loops
async def test_tls_certificates_refused(fault: str, authority: Authority) -> None:
    names = x509.DNSName("other.example") if fault == "another name" else LOCALHOST
    server = authority.server(names, days=-1 if fault == "expired" else 1)
    client = AUTHORITIES if fault == "unknown authority" else tls_context(str(authority.path))
    async with scene(hello(), tls=(server, client)) as it:
        # The server's side of the failed handshake is reported to its loop; only the client's is looked at here.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert (caught.value.reason, caught.value.sent) == ("tls", False)
        assert it.upstream.connections == 0


@both_loops
async def test_tls_to_a_plain_server(authority: Authority) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scene(handle) as it:
        it.url = it.url.replace("http://", "https://")
        with pytest.raises(DialFailed) as caught:
            await it.open()
        assert caught.value.reason in ("tls", "unreachable")


@both_loops
async def test_tls_handshake_that_never_ends(authority: Authority) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with scene(handle) as it:
        it.url = it.url.replace("http://", "https://")
        with pytest.raises(DialFailed) as caught:
            await it.open(connect=0.2)
        assert caught.value.reason == "timeout"
        assert it.upstream.connections == 0


@pytest.mark.parametrize("proper", [True, False])
@both_loops
async def test_tls_without_its_closing_alert_is_a_cut(proper: bool, authority: Authority) -> None:
    """Without a length only the close says that all is there; without the alert, anyone may have closed."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close() if proper else writer.transport.abort()

    tls = (authority.server(LOCALHOST), tls_context(str(authority.path)))
    async with scene(handle, tls=tls) as it:
        sink = Collect()
        failure = await sink.outcome(await it.open())
        assert sink.body == b"hello"
        assert failure is None if proper else isinstance(failure, Truncated)


@both_loops
async def test_tls_backpressure(authority: Authority) -> None:
    total = 16 * 1024 * 1024
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()
        await reader.read()

    tls = (authority.server(LOCALHOST), tls_context(str(authority.path)))
    async with scene(handle, tls=tls) as it:
        answer = await it.open()

        class Pausing(Collect):
            def data(self, chunk: bytes) -> None:
                super().data(chunk)
                answer.pause()

        sink = Pausing()
        answer.start(sink)
        await asyncio.sleep(0.3)
        assert len(sink.body) < 2 * 1024 * 1024
        assert sent < total
        while not sink.over.done():
            answer.resume()
            await asyncio.sleep(0)
        assert (len(sink.body), sink.endings) == (total, [None])


def test_the_default_context_verifies() -> None:
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] > 50
