"""HTTP/1.1 answers, framed and no more: the cheapest reading that still sees where an answer ends."""

#: What a step says instead of where the next begins: the answer is whole; this part is not whole; nothing is left.
_DONE, _MORE, _EMPTY = -1, -2, -3


class BadReply(Exception):
    """The bytes are not an HTTP/1.1 answer."""


class Reply:
    """Frames one answer after another: by content-length, chunked, or ended by the connection's end."""

    __slots__ = ("_held", "_left", "_step", "body_bytes", "status")

    def __init__(self) -> None:
        self._held = b""
        self._step = self._head
        self._left = 0
        self.status = 0
        self.body_bytes = 0

    @property
    def until_close(self) -> bool:
        return self._left < 0

    def feed(self, data: bytes) -> bool:
        """True when the answer is whole. More bytes than that belong to no answer: BadReply."""
        data = self._held + data if self._held else data
        self._held = b""
        at = 0
        while at >= 0:
            start = at
            at = self._step(data, start)
            if at < 0:
                if at == _MORE:
                    self._held = data[start:]
                return at == _DONE
        raise AssertionError

    def _head(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return _MORE
        head = data[at:end].lower()
        if not head.startswith(b"http/1.1 ") or not head[9:12].isdigit():
            raise BadReply(head[:40])
        self.status = int(head[9:12])
        at = end + 4
        if self.status < 200:
            return at
        self.body_bytes = 0
        length = head.find(b"\r\ncontent-length:")
        if length >= 0:
            self._left = int(head[length + 17 :].split(b"\r\n", 1)[0])
            self._step = self._body
        elif b"\r\ntransfer-encoding: chunked" in head:
            self._step = self._size
        else:
            self._left = -1
            self._step = self._endless
        return at

    def _body(self, data: bytes, at: int) -> int:
        at = self._take(data, at)
        return self._whole(data, at) if not self._left else _EMPTY

    def _endless(self, data: bytes, at: int) -> int:
        self.body_bytes += len(data) - at
        return _EMPTY

    def _size(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return _MORE
        try:
            self._left = int(data[at:end].split(b";", 1)[0], 16)
        except ValueError:
            raise BadReply(data[at : end + 2][:40]) from None
        self._step = self._chunk if self._left else self._end
        return end + 2

    def _chunk(self, data: bytes, at: int) -> int:
        at = self._take(data, at)
        if self._left:
            return _EMPTY
        self._step = self._chunk_end
        return at

    def _chunk_end(self, data: bytes, at: int) -> int:
        if len(data) - at < 2:
            return _MORE
        if data[at : at + 2] != b"\r\n":
            raise BadReply(data[at : at + 40])
        self._step = self._size
        return at + 2

    def _end(self, data: bytes, at: int) -> int:
        """After the last chunk: trailers, each a line, and an empty line."""
        end = data.find(b"\r\n", at)
        if end < 0:
            return _MORE
        return self._whole(data, end + 2) if end == at else end + 2

    def _take(self, data: bytes, at: int) -> int:
        taken = min(self._left, len(data) - at)
        self._left -= taken
        self.body_bytes += taken
        return at + taken

    def _whole(self, data: bytes, at: int) -> int:
        if at != len(data):
            raise BadReply(b"more than one answer")
        self._step = self._head
        return _DONE
