"""The admin API, as the commands use it. Whatever goes wrong is one line that names the fields."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, cast

import click

from gateway.commands import store
from gateway.commands.text import clean

_PAGE = 200
_COOKIE = "pg_session"


class CommandError(click.ClickException):
    """One line on standard error, exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"poolgate: {self.message}", err=True)


class Refused(CommandError):
    """The API's problem (RFC 9457); `code` is its stable code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Api:
    """Used as a context manager. Paths are below /admin/v1. Raises CommandError, or Refused for what the API says."""

    def __init__(self, login: store.Login | None = None) -> None:
        import httpx

        self.login = store.chosen() if login is None else login
        headers = {"accept": "application/json"}
        if self.login.token:
            headers["authorization"] = f"Bearer {self.login.token}"
        elif self.login.session:
            headers |= {"cookie": f"{_COOKIE}={self.login.session}", "x-csrf-token": self.login.csrf}
        # A test of an account waits for the upstream, up to half a minute.
        try:
            self._http = httpx.Client(
                base_url=f"{self.login.url}/admin/v1", headers=headers, timeout=60, follow_redirects=False
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise CommandError(f"{self.login.url}: {error}") from None

    def __enter__(self) -> "Api":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def __call__(self, act: str, body: Any = None, *, params: Mapping[str, Any] | None = None) -> Any:
        """`act` is a method and a path: `GET /keys`. None for an answer without a body."""
        return self._answer(act, body, params)[0]

    def send(self, act: str, content: Iterable[bytes], size: int, params: Mapping[str, Any]) -> Any:
        """A body of JSON that is there already, as it is: `size` bytes in pieces."""
        headers = {"content-type": "application/json", "content-length": str(size)}
        return self._answer(act, None, params, content=content, headers=headers)[0]

    def open_session(self, body: Mapping[str, Any]) -> tuple[Any, str]:
        """Logs in: the answer and the session's cookie."""
        said, answer = self._answer("POST /session", body, None)
        return said, answer.cookies.get(_COOKIE, "")

    def everything(self, act: str, params: Mapping[str, Any], limit: int | None = None) -> list[dict[str, Any]]:
        """The rows of all pages of a list, or the first `limit`."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while limit is None or len(rows) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(rows))
            page = self(act, params={**params, "limit": size, "cursor": cursor})
            rows += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return rows

    @contextmanager
    def stream(self, act: str, params: Mapping[str, Any]) -> Generator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """The headers and the pieces of a long answer. One that breaks off raises CommandError, never ends."""
        import httpx

        method, path = act.split(" ", 1)
        asked = {name: value for name, value in params.items() if value is not None}
        try:
            with self._http.stream(method, path, params=asked) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer, self.login)
                yield answer.headers, answer.iter_bytes()
        except httpx.HTTPError as error:
            raise CommandError(f"{self.login.url} broke off: {error or type(error).__name__}") from None
        except httpx.InvalidURL as error:
            raise CommandError(f"{self.login.url}: {error}") from None

    def _answer(self, act: str, body: Any, params: Mapping[str, Any] | None, **raw: Any) -> tuple[Any, Any]:
        import httpx

        method, path = act.split(" ", 1)
        asked = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            content = raw if body is None else {"json": body}
            answer = self._http.request(method, path, params=asked, **content)
        except httpx.HTTPError as error:
            raise CommandError(f"{self.login.url} does not answer: {error or type(error).__name__}") from None
        except httpx.InvalidURL as error:
            raise CommandError(f"{self.login.url}: {error}") from None
        if not answer.is_success:
            raise _refusal(answer, self.login)
        try:
            return (answer.json() if answer.content else None), answer
        except ValueError:
            raise CommandError(f"{self.login.url} is not the admin API") from None


def _refusal(answer: Any, login: store.Login) -> CommandError:
    try:
        problem = cast("dict[str, Any]", answer.json())
        status, code, detail = answer.status_code, str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return CommandError(f"{login.url} is not the admin API: it answered {answer.status_code}")
    if code == "unauthenticated":
        detail = "the log-in or token is not valid any more" if login.token or login.session else "not logged in"
        detail += ": `poolgate login`, or set POOLGATE_ADMIN_TOKEN"
    errors = cast("list[dict[str, str]]", problem.get("errors") or [])
    fields = [f"{error['field']}: {error['message']}" for error in errors]
    # A problem with one field says the same twice.
    words = [detail] if not fields or not all(detail in field for field in fields) else []
    return Refused(status, code, clean(f"{'; '.join([*words, *fields])} ({code})"))
