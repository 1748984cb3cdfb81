"""What is written, and what is refused before anything is."""

import pytest

from gateway.platforms.platform import Outgoing
from gateway.upstream.failures import DialFailed
from gateway.upstream.request import Origin, encode_head, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://api.anthropic.com", ("https", "api.anthropic.com", 443, b"api.anthropic.com")),
        ("https://API.Example.com:443", ("https", "api.example.com", 443, b"api.example.com")),
        ("http://10.0.0.1", ("http", "10.0.0.1", 80, b"10.0.0.1")),
        ("http://10.0.0.1:8000", ("http", "10.0.0.1", 8000, b"10.0.0.1:8000")),
        ("https://example.com:80", ("https", "example.com", 80, b"example.com:80")),
        ("http://[fd00::1]:8000", ("http", "fd00::1", 8000, b"[fd00::1]:8000")),
        ("http://my_service:11434", ("http", "my_service", 11434, b"my_service:11434")),
    ],
)
def test_origin(text: str, expected: tuple[str, str, int, bytes]) -> None:
    origin = Origin.parse(text)
    assert (origin.scheme, origin.host, origin.port, origin.authority) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.anthropic.com",
        "ftp://example.com",
        "HTTPS://example.com",
        "https://",
        "https://user@example.com",
        "https://user:pass@example.com",
        "https://example.com@10.0.0.1",
        "https://10.0.0.1#@example.com",
        "https://example.com#fragment",
        "https://example.com?query",
        "https://example.com\\@10.0.0.1",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:443:443",
        "https://exa mple.com",
        "https://example.com\r\nx: y",
        "https://example.com\n",
        "https://exämple.com",
        "https://example。com",
        "https://%31%30.0.0.1",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.0.0.1",
        "https://0177.0.0.1",
        "https://127.1",
        "https://127.0.0.1.",
        "https://127.0.0.01",
        "https://1.2.3.4.5",
        "https://foo.0x",
        "https://foo.1",
    ],
)
def test_origin_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host|port"):
        Origin.parse(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", ("https://example.com", "/")),
        ("https://example.com/v1?a=b/c", ("https://example.com", "/v1?a=b/c")),
        ("http://a/", ("http://a", "/")),
        ("https://example.com/models/gemini-2.5:generateContent", None),
    ],
)
def test_split(url: str, expected: tuple[str, str] | None) -> None:
    assert split(url) == (expected or ("https://example.com", "/models/gemini-2.5:generateContent"))


@pytest.mark.parametrize(
    "url",
    [
        "https://e.com/a b",
        "https://e.com/a\r\nx: y",
        "https://e.com/a HTTP/1.1",
        "https://e.com/ä",
        "https://e.com/a#b",
        "https://e.com/\0",
        "https://e.com/a\n",
    ],
)
def test_split_refused(url: str) -> None:
    with pytest.raises(ValueError, match="path"):
        split(url)


def head_of(method: str = "POST", body: bytes = b"{}", **headers: bytes) -> bytes:
    pairs = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return encode_head(Outgoing(method, "", pairs, body), "/v1", b"e.com")


def test_head_adds_what_is_its_own() -> None:
    assert head_of(x_api_key=b"k", accept=b"*/*") == (
        b"POST /v1 HTTP/1.1\r\nhost: e.com\r\nx-api-key: k\r\naccept: */*\r\n"
        b"accept-encoding: identity\r\ncontent-length: 2\r\n\r\n"
    )


def test_head_keeps_an_accept_encoding() -> None:
    head = head_of(accept_encoding=b"gzip")
    assert head.count(b"accept-encoding") == 1
    assert b"accept-encoding: gzip\r\n" in head


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("POST", b"", b"0"), ("PUT", b"abc", b"3"), ("GET", b"", None), ("DELETE", b"", None), ("GET", b"x", b"1")],
)
def test_head_content_length(method: str, body: bytes, length: bytes | None) -> None:
    head = head_of(method, body)
    assert (b"content-length: %b\r\n" % length in head) if length else (b"content-length" not in head)


@pytest.mark.parametrize(
    "name",
    ["host", "content_length", "transfer_encoding", "connection", "keep_alive", "te", "trailer", "upgrade", "expect"],
)
def test_framing_is_never_the_callers(name: str) -> None:
    outgoing = Outgoing("POST", "", [(name.replace("_", "-").encode(), b"evil")], b"")
    assert b"evil" not in encode_head(outgoing, "/", b"e.com")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x", b"a\r\nb: c"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"x\r\ny", b"a"),
        (b"x", b"\r\n\r\n"),
        (b"x", b"a\r\n"),
    ],
)
def test_headers_cannot_break_out(name: bytes, value: bytes) -> None:
    with pytest.raises(DialFailed) as caught:
        encode_head(Outgoing("POST", "", [(name, value)], b""), "/", b"e.com")
    assert caught.value.reason == "request"
    assert caught.value.sent is False


def test_a_refused_header_is_not_quoted() -> None:
    with pytest.raises(DialFailed) as caught:
        head_of(x_api_key=b"sk-canary\n")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("method", ["HEAD", "CONNECT", "post", "POST /x", "", "POST\r\n"])
def test_methods_refused(method: str) -> None:
    with pytest.raises(DialFailed):
        head_of(method)
