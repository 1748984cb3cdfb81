"""The URLs of proxies: what may be written, and nothing else."""

import pytest

from gateway.core.domain import Proxy
from gateway.core.proxies import parse
from gateway.core.secret import Secret


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "username", "password"),
    [
        ("http://proxy.example", "http", "proxy.example", 80, None, None),
        ("https://Proxy.Example/", "https", "proxy.example", 443, None, None),
        ("socks5h://proxy.example", "socks5h", "proxy.example", 1080, None, None),
        ("socks5h://10.0.0.1:9050", "socks5h", "10.0.0.1", 9050, None, None),
        ("http://[2001:DB8::1]:3128", "http", "2001:db8::1", 3128, None, None),
        ("http://user@p:1", "http", "p", 1, "user", None),
        ("http://user:@p:1", "http", "p", 1, "user", ""),
        ("http://user:pass@p:65535", "http", "p", 65535, "user", "pass"),
        ("http://a%40b:c%3Ad%2F%25@p", "http", "p", 80, "a@b", "c:d/%"),
        ("http://a-session_1~x!$&'()*+,;=:%C3%A4@p", "http", "p", 80, "a-session_1~x!$&'()*+,;=", "ä"),
        ("socks5h://a%3Ab:c@p", "socks5h", "p", 1080, "a:b", "c"),
        (f"http://{'u' * 255}:{'p' * 255}@p", "http", "p", 80, "u" * 255, "p" * 255),
    ],
)
def test_read(url: str, scheme: str, host: str, port: int, username: str | None, password: str | None) -> None:
    secrets = [None if text is None else Secret(text) for text in (username, password)]
    read = parse(url, "prx_1")
    assert read == Proxy("prx_1", scheme, host, port, *secrets)  # type: ignore[arg-type]
    assert hash(read) == hash(parse(url, "prx_1"))


@pytest.mark.parametrize(
    "url",
    ["", "proxy.example:3128", "//proxy.example", "ftp://p", "socks5://p", "socks4://p", "socks4a://p", "socks://p",
     "HTTP://p", "http:/p", "http:p", "http://", "http://:3128", "http://p:", "http://p:0", "http://p:65536",
     "http://p:999999", "http://p:3１28", "http://p:-1", "http://p/path", "http://p?x", "http://p#x", "http://p//",
     " http://p", "http://p ", "http://p\n", "http://p\r\nx: y", "http://p\\@q", "http://a@b@c", "http://a:b:c@d",
     "http://@p", "http://:pass@p", "http://u ser@p", "http://ü@p", "http://u:p%@h", "http://u:%4@h",
     "http://u:%zz@h", "http://u:%00@h", "http://u:%0d%0a@h", "http://u:%7f@h", "http://u:%ff@h", "http://a%3Ab:c@p",
     f"http://{'u' * 256}@p", f"http://u:{'p' * 256}@p", f"http://{'%C3%A4' * 128}@p",
     "http://2130706433", "http://0x7f.1", "http://127.1",
     "http://127.0.0.1.", "http://[::1", "http://[fe80::1%25eth0]", "http://１２７.0.0.1", "http://127。0。0。1",
     "http://b\u00fccher.example", "http://p%2eexample", "http://[127.0.0.1]"],
)  # fmt: skip
def test_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # any of them
        parse(url, "prx_1")
    assert len(url) < 8 or url not in str(caught.value)
