"""The bytes of an answer in one piece, until all of them are there. Pure."""

from gateway.protocols.reading import MAX_ANSWER


class Held:
    """Bounded: of an answer that is too long nothing is kept."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> bool:
        """False once there are too many."""
        self._size += len(data)
        if self._size > MAX_ANSWER:
            self._pieces.clear()
            return False
        self._pieces.append(data)
        return True

    def taken(self) -> bytes | None:
        """All of them; None when they were too many."""
        data = None if self._size > MAX_ANSWER else b"".join(self._pieces)
        self._pieces.clear()
        return data
