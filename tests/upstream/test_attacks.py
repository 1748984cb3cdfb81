"""Ways to a private address that must not be one: directly and through each kind of proxy.

A canary listens on every address of this machine; nothing may ever reach it. Only 127.0.0.2, where the proxies are,
and 127.0.0.3, where an upstream is, are allowed.
"""

import ast
import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.core.domain import Proxy, Timeouts
from gateway.core.sealing import Sealer
from gateway.core.services import proxies
from gateway.platforms.platform import Outgoing
from gateway.upstream import Answer, DialFailed, Egress, Upstream
from gateway.upstream.egress import resolve
from tests.relay.world import Raw, World, raw_upstream
from tests.support.installation import Site, installation
from tests.support.outbound import Kind, Outbound, outbound

from .scene import AUTHORITIES, both_loops

ALLOWED = ("127.0.0.2/32", "127.0.0.3/32")
WAYS: list[Kind | None] = [None, "http", "socks5h"]
"""How the request goes out; None: directly. A proxy over TLS differs only in how it is reached (test_tunnel)."""

#: Hosts that are refused wherever they stand, with `{port}` where the canary listens.
LITERALS = [
    "127.0.0.1:{port}", "127.0.0.1", "127.255.255.254:{port}", "0.0.0.0:{port}", "10.0.0.1:{port}", "172.16.0.1:{port}",
    "192.168.0.1:{port}", "169.254.169.254", "100.100.100.200", "198.18.0.1", "224.0.0.1", "255.255.255.255",
    # IPv6, and IPv4 within it: mapped, compatible, NAT64, 6to4, Teredo
    "[::1]:{port}", "[0:0:0:0:0:0:0:1]:{port}", "[::]:{port}", "[fe80::1]", "[fec0::1]", "[fd00::1]", "[ff02::1]",
    "[::ffff:127.0.0.1]:{port}", "[::FFFF:7f00:1]:{port}", "[0:0:0:0:0:ffff:127.0.0.1]:{port}",
    "[::ffff:0:127.0.0.1]:{port}", "[::127.0.0.1]:{port}", "[::7f00:1]:{port}", "[64:ff9b::127.0.0.1]:{port}",
    "[64:ff9b::7f00:1]:{port}", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]:{port}", "[2002:a00:1::1]",
    "[2001:0:7f00:1:0:0:80ff:fffe]", "[2001:db8::1]",
    # zones
    "[fe80::1%eth0]", "[fe80::1%25eth0]", "[::1%25lo]:{port}", "[::1%lo]:{port}",
    # other spellings of numbers
    "2130706433:{port}", "0x7f000001:{port}", "0X7F000001:{port}", "017700000001:{port}", "0177.0.0.1:{port}",
    "0x7f.0.0.1:{port}", "0x7f.1:{port}", "127.1:{port}", "127.0.1:{port}", "127.0.0.01:{port}", "0:{port}",
    "127.0.0.1.:{port}", "2130706433.:{port}", "127.0.0.257:{port}", "4294967297:{port}", "1.2.3.4.5",
    # two readers, two hosts
    "good.example@127.0.0.1:{port}", "good.example:443@127.0.0.1:{port}", "127.0.0.1:{port}#@good.example",
    "127.0.0.1:{port}?@good.example", "good.example\\@127.0.0.1:{port}", "127.0.0.1:{port}\\@good.example",
    "127.0.0.1:{port}\\.good.example", "good.example%40127.0.0.1:{port}", "@127.0.0.1:{port}", "[::1]good.example",
    "good.example:80:127.0.0.1", "127.0.0.1:{port}:80", "good.example;127.0.0.1", "good.example,127.0.0.1",
    # escapes, controls, other scripts
    "127%2e0%2e0%2e1:{port}", "%31%32%37.0.0.1:{port}", "127.0.0.1%00.good.example", "127.0.0.1\t:{port}",
    "127.0.0.1\n:{port}", "127.0.0.1\r\nhost: good.example", " 127.0.0.1:{port}", "127.0.0.1 :{port}",
    "\uff11\uff12\uff17.0.0.1:{port}", "127\u30020\u30020\u30021:{port}", "127\uff0e0\uff0e0\uff0e1:{port}",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460:{port}", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3:{port}",
    "loc\u00adalhost:{port}", "127.0.0.1\u200b:{port}", "\u0661\u0662\u0667.0.0.1:{port}",
    # ports
    "good.example:0", "good.example:65536", "good.example:-1", "good.example:+443", "good.example:4\uff143",
    # names of this machine
    "localhost:{port}", "LOCALHOST:{port}", "localhost.:{port}", "a.localhost:{port}", "a.localhost.:{port}",
]  # fmt: skip

SCHEMES = ["file:///etc/passwd", "gopher://127.0.0.1:{port}/x", "ftp://127.0.0.1:{port}/", "//127.0.0.1:{port}/",
           "https:127.0.0.1:{port}", "https:/127.0.0.1:{port}/", "https:///127.0.0.1:{port}/", "HTTPS://127.0.0.1:{port}",
           "https:\\\\127.0.0.1:{port}/", "https://\\127.0.0.1:{port}/", "https:// /", "https://", "https://:{port}/",
           "unix:///run/x.sock", "http+unix://x", "data:,x", ""]  # fmt: skip

#: What a resolver may say of a name, for a direct connection or for the proxy's own host.
NAMES = [
    ["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["::ffff:7f00:1"],
    ["64:ff9b::7f00:1"], ["2002:7f00:1::1"], ["fe80::1%lo"], ["fd00::1"], ["0.0.0.0"],
    ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1", "::1"], ["127.0.0.3", "127.0.0.1"], [],
]  # fmt: skip


class Canary:
    """Listens on every address of this machine, and remembers who came."""

    def __init__(self) -> None:
        self.port = 0
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(b"")
        self.heard[-1] += await reader.read(4096)
        writer.close()


@asynccontextmanager
async def canary() -> AsyncGenerator[Canary]:
    bird = Canary()
    everywhere = await asyncio.start_server(bird.serve, "0.0.0.0", 0)
    bird.port = everywhere.sockets[0].getsockname()[1]
    six = await asyncio.start_server(bird.serve, "::1", bird.port)
    try:
        # It hears: otherwise its silence would mean nothing.
        for host in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(host, bird.port)
            writer.write(b"x")
            writer.close()
            await writer.wait_closed()
        while bird.heard != [b"x", b"x"]:
            await asyncio.sleep(0.005)
        bird.heard.clear()
        yield bird
    finally:
        everywhere.close()
        six.close()


async def open_to(upstream: Upstream, url: str, proxy: Proxy | None) -> Answer:
    outgoing = Outgoing("POST", url, [(b"x-api-key", b"sk-secret")], b"{}")
    return await upstream.open(outgoing, pool_key="acct_1", timeouts=Timeouts(connect=2), stream=True, proxy=proxy)


async def refused(upstream: Upstream, url: str, proxy: Proxy | None) -> str:
    with pytest.raises(DialFailed) as caught:
        answer = await open_to(upstream, url, proxy)
        pytest.fail(f"{url!r}: {answer.status}")
    assert not caught.value.sent
    return caught.value.reason


@asynccontextmanager
async def way_out(kind: Kind | None) -> AsyncGenerator[tuple[Proxy | None, Outbound | None]]:
    if kind is None:
        yield None, None
        return
    async with outbound(kind, host="127.0.0.2") as out:
        yield Proxy("prx_1", kind, "127.0.0.2", out.port), out


@pytest.mark.parametrize("kind", WAYS)
@both_loops
async def test_literals(kind: Kind | None) -> None:
    """Every spelling, by both schemes: refused before a single packet, and a proxy is not even asked."""

    async def resolver(host: str, port: int) -> Sequence[str]:
        assert "good.example" not in host
        return await resolve(host, port)

    async with canary() as bird, way_out(kind) as (proxy, out):
        async with Upstream(Egress(ALLOWED, resolver=resolver), ssl=AUTHORITIES) as upstream:
            for text in LITERALS:
                for scheme in ("https", "http"):
                    reason = await refused(upstream, f"{scheme}://{text.format(port=bird.port)}/v1/messages", proxy)
                    assert reason in {"request", "egress"} or (reason == "dns" and "localhost" in text), text
            for text in SCHEMES:
                assert await refused(upstream, text.format(port=bird.port), proxy) in {"request", "egress"}, text
            assert upstream.dials == 0 if proxy is None else out is not None
        assert out is None or (out.asked, out.heard) == ([], b"")
        assert bird.heard == []


@pytest.mark.parametrize("found", NAMES, ids=str)
@both_loops
async def test_names(found: list[str]) -> None:
    """One address that is not allowed spoils the name, of an upstream and of a proxy alike."""

    async def resolver(host: str, port: int) -> Sequence[str]:
        return found

    async with canary() as bird, Upstream(Egress(ALLOWED, resolver=resolver), ssl=AUTHORITIES) as upstream:
        reason = await refused(upstream, f"https://rebind.example:{bird.port}/", None)
        assert reason == ("egress" if found else "dns")
        for kind in ("http", "https", "socks5h"):
            proxy = Proxy("prx_1", kind, "rebind.example", bird.port)
            assert await refused(upstream, "https://good.example/", proxy) == "proxy"
        assert bird.heard == []


@both_loops
async def test_a_name_that_changes_its_mind() -> None:
    """The address that was checked is the one that is dialled: nobody asks twice for one connection."""
    answers = [["127.0.0.3"], ["127.0.0.1"], ["127.0.0.3"], ["127.0.0.1"]]
    asked: list[str] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with canary() as bird, Upstream(Egress(ALLOWED, resolver=resolver), ssl=AUTHORITIES) as upstream:
        server = await asyncio.start_server(serve, "127.0.0.3", 0)
        with closing(server):
            port = server.sockets[0].getsockname()[1]
            answer = await open_to(upstream, f"http://rebind.example:{port}/", None)
            assert (answer.status, len(asked)) == (200, 1)
            assert await answer.read(1) == b""
            assert await refused(upstream, f"http://rebind.example:{bird.port}/", None) == "egress"
            proxy = Proxy("prx_1", "http", "rebind.example", port)
            assert await refused(upstream, "https://good.example/", proxy) == "unreachable"  # it says 200, and closes
            assert await refused(upstream, "https://good.example/", proxy) == "proxy"
            assert len(asked) == 4
            assert bird.heard == []


@pytest.mark.parametrize("kind", ["http", "socks5h"])
@both_loops
async def test_a_proxy_that_connects_elsewhere(kind: Kind) -> None:
    """Names are the proxy's to resolve. What it leads to gets the beginning of a TLS handshake, and no more."""
    async with canary() as bird, outbound(kind, names={"good.example": bird.port}, host="127.0.0.2") as out:
        async with Upstream(Egress(ALLOWED), ssl=AUTHORITIES) as upstream:
            proxy = Proxy("prx_1", kind, "127.0.0.2", out.port)
            assert await refused(upstream, "https://good.example/v1/messages", proxy) in {"tls", "unreachable"}
            assert await refused(upstream, "http://good.example/v1/messages", proxy) == "egress"
        assert len(bird.heard) == 1
        assert bird.heard[0][:2] == b"\x16\x03"
        assert b"sk-secret" not in bird.heard[0]


@both_loops
async def test_our_own_ports() -> None:
    """Whatever the allow list says, and by whatever way."""
    everything = ("0.0.0.0/0", "::/0")
    async with canary() as bird, outbound("http", host="127.0.0.2") as out:
        async with Upstream(Egress(everything, own_ports=[bird.port]), ssl=AUTHORITIES) as upstream:
            for proxy in (None, Proxy("prx_1", "http", "127.0.0.2", out.port)):
                for host in ("127.0.0.1", "127.0.0.9", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "localhost"):
                    for scheme in ("http", "https"):
                        assert await refused(upstream, f"{scheme}://{host}:{bird.port}/", proxy) == "egress"
            for host in ("127.0.0.1", "::1", "localhost"):
                ours = Proxy("prx_1", "http", host, bird.port)
                assert await refused(upstream, "https://good.example/", ours) == "proxy"
        assert (bird.heard, out.asked) == ([], [])


# ---------------------------------------------------------------- through a whole gateway


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(database_url: str, redis_url: str) -> AsyncGenerator[Site]:
    async with installation(database_url, redis_url, environ={"POOLGATE_EGRESS_ALLOW": "127.0.0.2/32"}) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def raw() -> AsyncGenerator[Raw]:
    async with raw_upstream() as made:
        yield made


async def proxy_of(site: Site, tenant_id: str, out: Outbound) -> str:
    values = {"name": "out", "url": f"http://127.0.0.2:{out.port}"}
    async with site.sessions.begin() as session:
        return (await proxies.create(session, Sealer(site.settings.master_key_bytes), tenant_id, values)).id


#: Addresses of accounts that passed no admin edge: as if they had been written to the database by hand.
BASES = ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}", "http://localhost:{port}", "http://[::1]:{port}",
         "http://2130706433:{port}", "http://good.example@127.0.0.1:{port}", "http://[::ffff:127.0.0.1]:{port}",
         "http://127.0.0.1:{port}\\@good.example", "https://169.254.169.254/latest",
         "http://127.0.0.1:{port}#"]  # fmt: skip


async def test_accounts_with_an_address_inside(site: Site) -> None:
    async with canary() as bird, outbound("http", host="127.0.0.2") as out:
        for proxied in (False, True):
            world = await World.make(site)
            proxy_id = await proxy_of(site, world.tenant_id, out) if proxied else None
            key = await world.key()
            for number, base in enumerate(BASES):
                models = [f"claude-attack-{number}"]
                url = base.format(port=bird.port)
                await world.account(base_url=url, models=models, proxy_id=proxy_id)
                answer = await world.ask(key, models[0], stream=proxied)
                assert answer.status_code in {502, 503}, url
        assert (bird.heard, out.asked) == ([], [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(site: Site, raw: Raw, status: int) -> None:
    async with AsyncExitStack() as stack:
        bird = await stack.enter_async_context(canary())
        gateway = await stack.enter_async_context(allowing(site))
        world = await World.make(site)
        secret = f"sk-redirect-{status}"
        inside = f"http://127.0.0.1:{bird.port}/x"
        raw.say(secret, f"HTTP/1.1 {status} X\r\nlocation: {inside}\r\ncontent-length: 0\r\n\r\n".encode())
        key = await world.key()
        await world.account(base_url=raw.url, secret=secret)
        for stream in (False, True):
            answer = await world.ask(key, stream=stream, url=gateway)
            assert answer.status_code == 502
            assert "location" not in answer.headers
        assert bird.heard == []
        assert any(asked.credential == secret for asked in raw.asked)


@asynccontextmanager
async def allowing(site: Site) -> AsyncGenerator[str]:
    """The URL of a gateway that may also go to 127.0.0.1, where the raw upstream is."""
    gateway = await site.start_gateway(POOLGATE_EGRESS_ALLOW="127.0.0.1/32")
    try:
        yield gateway.url
    finally:
        site.gateways.remove(gateway)


# ---------------------------------------------------------------- no way past the choke point

ROOT = Path(__file__).parent.parent.parent
#: Where connections are made by design: the choke point itself, the store, what runs on the operator's own machine.
OWN = ("gateway/upstream/pool.py", "gateway/upstream/tunnel.py", "gateway/core/redis.py", "gateway/local/",
       "gateway/commands/")  # fmt: skip
DIALS = {"create_connection", "open_connection", "create_unix_connection", "open_unix_connection", "sock_connect",
         "create_datagram_endpoint", "urlopen", "HTTPConnection", "HTTPSConnection"}  # fmt: skip
CLIENTS = {"httpx", "requests", "aiohttp", "urllib3", "urllib.request", "http.client", "ftplib", "smtplib", "socks"}
#: httpx's transport is ours: it goes through the choke point.
LENT = {"gateway/upstream/transport.py": {"httpx"}}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


MODULES = sorted(str(path.relative_to(ROOT)) for top in ("gateway", "admin") for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_nothing_dials_past_it(name: str) -> None:
    path = ROOT / name
    if name.startswith(OWN):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        clients = {module for module in imported(node) if module in CLIENTS or module.partition(".")[0] in CLIENTS}
        assert clients <= LENT.get(name, set()), f"{name}: {clients}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            assert called not in DIALS, f"{name}:{node.lineno}: {called}"
