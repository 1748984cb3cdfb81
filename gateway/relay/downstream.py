"""What the relay needs of a client's connection. The web shell has the one that writes to a socket."""

from typing import Protocol

from gateway.routing.call import Header


class Notice(Protocol):
    """Told that something has happened; a plain function or a bound method."""

    def __call__(self) -> None: ...


class Downstream(Protocol):
    """The write side of one request. Writing never waits: when `paused` turns true, stop until `on_writable`."""

    @property
    def gone(self) -> bool:
        """The client has left; whatever is written now is dropped."""
        ...

    @property
    def paused(self) -> bool: ...

    on_gone: Notice
    on_writable: Notice

    def begin(self, status: int, headers: list[Header], body: bytes) -> None:
        """Head and first bytes, in one write. A length is in the headers or the body is chunked."""
        ...

    def respond(self, status: int, headers: list[Header], body: bytes) -> None:
        """A whole answer in one write."""
        ...

    def write(self, chunk: bytes) -> None: ...

    def end(self) -> None: ...

    def abort(self) -> None:
        """Cut the connection: what was promised cannot be kept."""
        ...
