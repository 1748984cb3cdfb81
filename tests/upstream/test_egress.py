"""Where connections may go."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from gateway.upstream import DialFailed, Egress, Upstream
from gateway.upstream.egress import Allowed, is_public, is_this_machine
from gateway.upstream.request import Origin

from .scene import AUTHORITIES, LOCAL, both_loops, read_request, replies, scene

PUBLIC = ["8.8.8.8", "1.1.1.1", "160.79.104.10", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1"]
SPECIAL = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::",
    "2002:808:808::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert Egress().refusal("https", ip_address(address), 443) is None


@pytest.mark.parametrize("address", SPECIAL)
def test_special(address: str) -> None:
    assert not is_public(ip_address(address))
    assert Egress().refusal("https", ip_address(address), 443) is not None
    assert Egress([address]).refusal("https", ip_address(address), 443) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_plain_http_never_leaves(address: str) -> None:
    assert Egress().refusal("http", ip_address(address), 80) is not None
    assert Egress([address, "0.0.0.0/0", "::/0"]).refusal("http", ip_address(address), 80) is not None


@pytest.mark.parametrize(
    ("allow", "address", "port", "passes"),
    [
        (["10.0.0.0/8"], "10.1.2.3", 80, True),
        (["10.0.0.0/8"], "172.16.2.3", 80, False),
        (["10.0.0.0/8:8000"], "10.1.2.3", 8000, True),
        (["10.0.0.0/8:8000"], "10.1.2.3", 8001, False),
        (["10.0.0.1:8000"], "10.0.0.1", 8000, True),
        (["10.0.0.1:8000"], "10.0.0.2", 8000, False),
        (["192.168.0.0/16", "10.0.0.1:8000"], "10.0.0.1", 8000, True),
        (["127.0.0.0/8"], "::1", 80, False),
        (["127.0.0.0/8"], "::ffff:127.0.0.1", 80, False),
        (["::1"], "::1", 80, True),
        (["fd00::/8:443"], "fd00::5", 443, True),
        (["fd00::/8:443"], "fd00::5", 80, False),
        (["[fd00::5]:443"], "fd00::5", 443, True),
        (["[fd00::/8]"], "fd00::5", 80, True),
        (["0.0.0.0/0"], "169.254.169.254", 80, True),
        (["0.0.0.0/0"], "fe80::1", 80, False),
        ([], "127.0.0.1", 80, False),
    ],
)
def test_allow_list(allow: list[str], address: str, port: int, passes: bool) -> None:
    for scheme in ("http", "https"):
        assert (Egress(allow).refusal(scheme, ip_address(address), port) is None) is passes


@pytest.mark.parametrize(
    "entry", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8:", "10.0.0.0/8:x", "10.0.0.0/8:0",
              "10.0.0.0/8:65536", "10.0.0.0/8:80:80", "*", ":80", "10.0.0.0/8:８０"]
)  # fmt: skip
def test_allow_list_entries_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"cidr\[:port\]"):
        Allowed.parse(entry)


@pytest.mark.parametrize(
    ("address", "port", "own", "passes"),
    [("127.0.0.1", 8080, True, False), ("127.0.0.1", 9000, True, True), ("10.0.0.9", 8080, False, True)],
)
def test_own_ports(address: str, port: int, own: bool, passes: bool) -> None:
    egress = Egress(["0.0.0.0/0"], own_ports=[8080, 8081])
    assert (egress.refusal("http", ip_address(address), port, lambda _: own) is None) is passes


def test_own_ports_also_on_a_public_address_of_ours() -> None:
    egress = Egress(own_ports=[443])
    assert egress.refusal("https", ip_address("8.8.8.8"), 443, lambda _: True) is not None
    assert egress.refusal("https", ip_address("8.8.8.8"), 443, lambda _: False) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("::", True),
        ("::ffff:127.0.0.1", True),
        ("203.0.113.77", False),
        ("2001:db8::77", False),
    ],
)
def test_this_machine(address: str, expected: bool) -> None:
    assert is_this_machine(ip_address(address)) is expected


def resolving(*answers: Sequence[str]) -> Egress:
    """An egress whose resolver gives these answers in turn, the last for ever."""
    left = list(answers)

    async def resolver(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return Egress(LOCAL, resolver=resolver)


@both_loops
async def test_every_address_is_checked() -> None:
    origin = Origin.parse("https://example.com")
    assert await resolving(["8.8.8.8", "1.1.1.1", "8.8.8.8"]).addresses(origin) == ["8.8.8.8", "1.1.1.1"]
    for found in (["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["2606:4700::1", "::ffff:10.0.0.1"]):
        with pytest.raises(DialFailed) as caught:
            await resolving(found).addresses(origin)
        assert caught.value.reason == "egress"
    with pytest.raises(DialFailed) as caught:
        await resolving([]).addresses(origin)
    assert caught.value.reason == "dns"


@both_loops
async def test_a_literal_is_not_resolved() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise AssertionError

    egress = Egress(["fd00::/8"], resolver=resolver)
    assert await egress.addresses(Origin.parse("http://[fd00::0:1]:80")) == ["fd00::1"]
    with pytest.raises(DialFailed):
        await egress.addresses(Origin.parse("http://[::ffff:7f00:1]:80"))


@both_loops
async def test_the_systems_resolver() -> None:
    assert await Egress(["127.0.0.0/8", "::1"]).addresses(Origin.parse("http://localhost:80"))
    with pytest.raises(DialFailed) as caught:
        await Egress().addresses(Origin.parse("http://localhost:80"))
    assert caught.value.reason == "egress"
    with pytest.raises(DialFailed) as caught:
        await Egress().addresses(Origin.parse("https://a." + "b" * 64 + ".invalid"))
    assert caught.value.reason == "dns"


@both_loops
async def test_rebinding() -> None:
    """A name that passed once is checked again for the next connection; a kept one stays where it was dialled."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with scene(
        replies(answer, answer), egress=resolving(["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "10.0.0.1"])
    ) as it:
        it.url = it.url.replace("127.0.0.1", "rebind.example")
        for _ in range(2):
            await (await it.open()).read(10)
        assert (it.upstream.dials, it.upstream.reuses) == (1, 1)
        for _ in range(2):
            with pytest.raises(DialFailed) as caught:
                await it.open(account="acct_other")
            assert (caught.value.reason, caught.value.sent) == ("egress", False)
        assert it.upstream.dials == 1


@both_loops
async def test_own_listener_is_out_of_reach() -> None:
    served: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append((await read_request(reader))[0])

    async with scene(handle) as it:
        port = int(it.url.rsplit(":", 1)[1])
        async with Upstream(Egress(["0.0.0.0/0"], own_ports=[port]), ssl=AUTHORITIES) as upstream:
            it.upstream = upstream
            for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0"):
                it.url = f"http://{host}:{port}"
                with pytest.raises(DialFailed) as caught:
                    await it.open()
                assert caught.value.reason == "egress"
        assert served == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1#@8.8.8.8/", "http://8.8.8.8@127.0.0.1/", "http://2130706433/", "http://0177.0.0.1/",
            "http://0x7f.1/", "http://127.1/", "file:///etc/passwd", "http:/127.0.0.1/", "//127.0.0.1/", "http://127.0.0.1\t/"]
)  # fmt: skip
@both_loops
async def test_urls_that_two_readers_read_differently(url: str) -> None:
    async with scene(replies(b"")) as it:
        it.url = url
        with pytest.raises(DialFailed) as caught:
            await it.open("")
        assert caught.value.reason == "request"
        assert it.upstream.dials == 0


@pytest.mark.parametrize(
    ("url", "passes"),
    [
        ("https://upstream.example", True), ("https://8.8.8.8", True), ("https://127.0.0.9:8443", True),
        ("http://127.0.0.9:8443", True), ("https://10.0.0.1", False), ("http://8.8.8.8", False),
        ("http://upstream.example", False), ("http://127.0.0.9:8080", False), ("https://127.0.0.9:8080", False),
        ("https://localhost", False), ("https://a.b.localhost.", False), ("https://notlocalhost", True),
        ("https://localhost.example", True), ("https://[::ffff:127.0.0.1]", False),
    ],
)  # fmt: skip
def test_beyond_a_proxy(url: str, passes: bool) -> None:
    egress = Egress(LOCAL, own_ports=[8080])
    if passes:
        egress.check_beyond(Origin.parse(url))
        return
    with pytest.raises(DialFailed) as caught:
        egress.check_beyond(Origin.parse(url))
    assert caught.value.reason == "egress"
