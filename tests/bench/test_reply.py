"""Answers are framed however they are cut; what is no answer is refused."""

import pytest

from tests.bench.reply import BadReply, Reply

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
EMPTY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-t: 1\r\n\r\n"
)
AFTER_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE


@pytest.mark.parametrize(
    ("answer", "status", "length"),
    [(WHOLE, 200, 5), (EMPTY, 429, 0), (CHUNKED, 200, 15), (AFTER_INTERIM, 200, 5)],
)
def test_an_answer_is_framed_at_every_cut(answer: bytes, status: int, length: int) -> None:
    for cut in range(1, len(answer)):
        reply = Reply()
        assert not reply.feed(answer[:cut])
        assert reply.feed(answer[cut:])
        assert (reply.status, reply.body_bytes) == (status, length)
        assert reply.feed(answer), "the next answer on the same connection"
    single = Reply()
    ends = [single.feed(answer[at : at + 1]) for at in range(len(answer))]
    assert ends == [False] * (len(answer) - 1) + [True]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        WHOLE + b"HTTP/1.1 200 OK",
        CHUNKED + b"x",
        CHUNKED.replace(b"5;x=y", b"zz"),
        CHUNKED.replace(b"hello\r\n", b"hello!!"),
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BadReply):
        Reply().feed(answer)


def test_an_answer_may_end_with_the_connection() -> None:
    reply = Reply()
    assert not reply.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not reply.feed(b"lo")
    assert reply.until_close
    assert reply.body_bytes == 5
