"""The machine's role, stored beside the accounts that hold nothing, and only beside those."""

import io
import json
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio
from sqlalchemy import delete, select
from structlog.testing import capture_logs

from gateway.core import changes, db
from gateway.core import models as m
from gateway.core.sealing import Sealer
from gateway.core.services import accounts, configuration
from gateway.jobs import roles
from gateway.platforms import PLATFORMS, bedrock
from gateway.platforms.platform import Outgoing

SEALER = Sealer((bytes(32),))
ROLE = {"access_key_id": "ASIA1", "secret_access_key": "s", "session_token": "t", "expires_at": "1800000000"}
SIX_HOURS, HOUR = 21_600, 3_600
AGENT_TOKEN = "agent-token-canary-1"


@pytest_asyncio.fixture
async def sessions(database_url: str) -> AsyncGenerator[db.Sessions]:
    """No account is there yet."""
    async with db.engine(database_url, size=1) as engine:
        made = db.sessions(engine)
        async with made.begin() as session:
            await session.execute(delete(m.Account))
        yield made


async def _account(sessions: db.Sessions, name: str, credentials: Mapping[str, Any], platform: str = "bedrock") -> str:
    async with sessions.begin() as session:
        tenant = (await session.execute(select(m.Tenant.id).where(m.Tenant.name == "default"))).scalar_one()
        values = {"name": name, "platform": platform, "provider": platform, "options": {"region": "eu-west-1"}}
        return (await accounts.create(session, SEALER, tenant, values, credentials)).id


async def _held(sessions: db.Sessions, account_id: str) -> dict[str, str] | None:
    async with sessions() as session:
        row = await session.get_one(m.Account, account_id)
        held = SEALER.open_renewed(row.renewed, row.id) if row.renewed else None
        return None if held is None else {name: value.reveal() for name, value in held.items()}


async def test_only_accounts_without_credentials_get_it_and_only_when_it_changes(sessions: db.Sessions) -> None:
    asked: list[int] = []
    now: dict[str, str] = dict(ROLE)

    def find() -> Mapping[str, Any] | None:
        asked.append(1)
        return now

    own = await _account(sessions, "own", {"access_key_id": "A", "secret_access_key": "b"})
    assert await roles.resolve(sessions, SEALER, find) == 0
    assert not asked  # nobody needs it: the metadata service is left alone
    bare = await _account(sessions, "bare", {})
    local = await _account(sessions, "local", {}, platform="ollama")
    assert await roles.resolve(sessions, SEALER, find) == 1
    assert await _held(sessions, bare) == ROLE
    assert await _held(sessions, own) is None
    assert await _held(sessions, local) is None
    assert await roles.resolve(sessions, SEALER, find) == 0
    now = ROLE | {"session_token": "t2"}
    assert await roles.resolve(sessions, SEALER, find) == 1
    assert await _held(sessions, bare) == now

    def broken() -> Mapping[str, Any] | None:
        raise OSError("metadata is away")

    assert await roles.resolve(sessions, SEALER, broken) == 0
    assert await roles.resolve(sessions, SEALER, lambda: None) == 0
    assert await _held(sessions, bare) == now


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without AWS: nothing of the developer's own is found, and no metadata service is asked."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def test_the_chain_reads_the_environment(no_aws: pytest.MonkeyPatch) -> None:
    assert roles.Chain()() is None
    no_aws.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert roles.Chain()() == {"access_key_id": "AKIA1", "secret_access_key": "s"}


def test_the_chain_knows_the_end_of_what_a_process_gives(no_aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = (
        '{"Version":1,"AccessKeyId":"ASIA1","SecretAccessKey":"s","SessionToken":"t",'
        '"Expiration":"2099-01-01T00:00:00Z"}'
    )
    (tmp_path / "answer.json").write_text(answer)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path}/answer.json\n")
    assert roles.Chain()() == {
        "access_key_id": "ASIA1", "secret_access_key": "s", "session_token": "t", "expires_at": "4070908800",
    }  # fmt: skip


class Machine:
    """EC2's instance metadata, by tokens alone, and the agent of ECS and EKS.

    docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html and
    docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html. `fault` is what goes wrong: a status,
    seconds of silence, or a body in the place of the credentials.
    """

    def __init__(self) -> None:
        self.fault: int | float | bytes | None = None
        self.agent_token = AGENT_TOKEN
        self.asked: list[str] = []
        self.issued = 0
        self.issue(HOUR)
        self._session_token = "imds-token-canary"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()

    def issue(self, seconds: int) -> None:
        """New credentials, which last so long."""
        self.issued += 1
        self.ends = int(time.time()) + seconds

    @property
    def credentials(self) -> dict[str, str]:
        """As they are stored."""
        return {
            "access_key_id": f"ASIA{self.issued}",
            "secret_access_key": f"secret-canary-{self.issued}",
            "session_token": f"token-canary-{self.issued}",
            "expires_at": str(self.ends),
        }

    def document(self, **more: Any) -> bytes:
        held = self.credentials
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.ends))
        said = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": end}
        named = {"AccessKeyId": "access_key_id", "SecretAccessKey": "secret_access_key", "Token": "session_token"}
        return json.dumps(said | {name: held[field] for name, field in named.items()} | more).encode()

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        role = "/latest/meta-data/iam/security-credentials/"
        if (method, path) == ("PUT", "/latest/api/token"):
            good = 1 <= int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", "0")) <= SIX_HOURS
            return (200, self._session_token.encode()) if good else (400, b"")
        if path == "/v1/credentials":
            if headers.get("authorization") != self.agent_token:
                return 401, f"not {headers.get('authorization')}".encode()
        elif headers.get("x-aws-ec2-metadata-token") != self._session_token:
            return 401, b""
        elif path == role:
            return 200, b"the-role"
        elif path != role + "the-role":
            return 404, b""
        if isinstance(self.fault, int):
            return self.fault, self.document()
        return 200, self.fault if isinstance(self.fault, bytes) else self.document()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        machine = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                machine.asked.append(f"{self.command} {self.path}")
                if isinstance(machine.fault, float):
                    time.sleep(machine.fault)
                status, body = machine.answer(self.command, self.path, self.headers)  # type: ignore[arg-type]
                with suppress(ConnectionError):  # who asked has gone
                    self.send_response(status)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_PUT = _do

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        return Handler


@pytest.fixture(params=["instance", "container"])
def machine(request: pytest.FixtureRequest, no_aws: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Machine]:
    """botocore's own waits are cut short; who answers and what is done with the answer is as ever."""
    with Machine() as made:
        if request.param == "instance":
            no_aws.setenv("AWS_EC2_METADATA_DISABLED", "false")
            no_aws.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", made.url)
        else:
            (tmp_path / "agent").write_text(AGENT_TOKEN)
            no_aws.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", made.url + "/v1/credentials")
            no_aws.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "agent"))
            no_aws.setattr("botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS", 0.5)
            no_aws.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0.01)
        yield made


def near_the_end(patch: pytest.MonkeyPatch, *, pressing: bool = True) -> None:
    """Credentials of an hour are due now, as if most of it were over. Not `pressing`: the old ones still do."""
    patch.setattr("botocore.credentials.RefreshableCredentials._advisory_refresh_timeout", 2 * HOUR)
    patch.setattr("botocore.credentials.RefreshableCredentials._mandatory_refresh_timeout", 2 * HOUR * pressing)


@pytest.fixture
def silent(capfd: pytest.CaptureFixture[str]) -> Generator[None]:
    """Nothing secret is logged or printed, at the level at which a process logs (logs.configure)."""
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    with capture_logs() as own:
        yield
    logging.getLogger().removeHandler(handler)
    said = "".join([printed.getvalue(), str(own), *capfd.readouterr()])
    assert "canary" not in said and "ASIA" not in said


FAULTS: Mapping[str, Callable[[Machine], int | float | bytes]] = {
    "500": lambda machine: 500,
    "403": lambda machine: 403,
    "silence": lambda machine: 1.2,
    "no JSON": lambda machine: machine.document()[:-9],
    "no object": lambda machine: b"[" + machine.document() + b"]",
    "empty": lambda machine: b"",
    "no UTF-8": lambda machine: b"\xff" + machine.document(),
    "a field is missing": lambda machine: machine.document().replace(b"SecretAccessKey", b"secret-canary"),
    "an error in JSON": lambda machine: b'{"Code": "AssumeRoleUnauthorizedAccess", "Message": "canary"}',
    "a key that is a number": lambda machine: machine.document(AccessKeyId=5),
    "a token that is a number": lambda machine: machine.document(Token=5),
    "no key": lambda machine: machine.document(AccessKeyId=""),
    "what would end a header": lambda machine: machine.document(Token="canary\r\nx: y"),
    "an end that is none": lambda machine: machine.document(Expiration="canary"),
    "an end without a zone": lambda machine: machine.document(Expiration="2099-01-01T00:00:00"),
}


def found_by(chain: roles.Chain) -> Mapping[str, Any] | None:
    """What `resolve` sees of it: None when it fails, too."""
    try:
        return chain()
    except Exception:
        return None


@pytest.mark.usefixtures("silent")
def test_the_machine_gives_it_and_is_asked_again_only_when_it_ends(
    machine: Machine, no_aws: pytest.MonkeyPatch
) -> None:
    chain = roles.Chain()
    first = machine.credentials
    assert chain() == first
    asked = len(machine.asked)
    machine.issue(SIX_HOURS)
    assert chain() == first
    assert len(machine.asked) == asked
    near_the_end(no_aws)
    assert chain() == machine.credentials != first
    assert chain() == machine.credentials
    assert len(machine.asked) == 2 * asked


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_machine_that_fails_at_first_is_asked_again(machine: Machine, fault: str) -> None:
    chain = roles.Chain()
    machine.fault = FAULTS[fault](machine)
    assert found_by(chain) is None
    machine.fault = None
    assert chain() == machine.credentials


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("pressing", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_machine_that_fails_when_it_ends_is_asked_again(
    machine: Machine, no_aws: pytest.MonkeyPatch, fault: str, pressing: bool
) -> None:
    """Until then what there is stays: it is given again, or nothing is, which leaves what is stored."""
    chain = roles.Chain()
    first = machine.credentials
    assert chain() == first
    near_the_end(no_aws, pressing=pressing)
    machine.issue(SIX_HOURS)
    machine.fault = FAULTS[fault](machine)
    for _ in range(2):
        assert found_by(chain) in (None, first)
    machine.fault = None
    assert chain() == machine.credentials


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("machine", ["container"], indirect=True)
def test_the_agents_token_is_read_anew(machine: Machine, no_aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EKS replaces the file."""
    chain = roles.Chain()
    assert chain() == machine.credentials
    near_the_end(no_aws)
    machine.issue(SIX_HOURS)
    machine.agent_token = "agent-token-canary-2"
    assert found_by(chain) is None
    (tmp_path / "agent").write_text("agent-token-canary-2\n")
    assert found_by(chain) is None  # no header's value
    (tmp_path / "agent").write_text("agent-token-canary-2")
    assert chain() == machine.credentials


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("machine", ["container"], indirect=True)
def test_what_has_ended_already_is_not_given(machine: Machine) -> None:
    chain = roles.Chain()
    machine.issue(-60)
    assert found_by(chain) is None
    machine.issue(60)
    assert chain() == machine.credentials
    machine.issue(SIX_HOURS)
    assert chain() == machine.credentials  # a minute before the end there is no waiting


async def _signed(sessions: db.Sessions, account_id: str) -> tuple[str, str]:
    """(the key's id, the session's token) with which a gateway that reads the configuration now signs."""
    async with sessions() as session:
        snapshot = await configuration.load(session, SEALER, PLATFORMS)
    account = snapshot.accounts[account_id]
    asked = Outgoing("POST", "https://bedrock-runtime.eu-west-1.amazonaws.com/model/x/invoke", [], b"{}")
    headers = dict(bedrock.sign(asked, account, time.time()).headers)
    key = headers[b"authorization"].decode().partition("Credential=")[2].partition("/")[0]
    return key, headers[b"x-amz-security-token"].decode()


@pytest.mark.usefixtures("silent")
async def test_an_account_signs_with_what_was_renewed(
    sessions: db.Sessions, machine: Machine, no_aws: pytest.MonkeyPatch
) -> None:
    account_id, chain = await _account(sessions, "bare", {}), roles.Chain()
    assert await roles.resolve(sessions, SEALER, chain) == 1
    assert await _signed(sessions, account_id) == ("ASIA1", "token-canary-1")
    async with sessions() as session:
        before = await changes.current(session)
    near_the_end(no_aws)
    faults: tuple[int | bytes, ...] = (500, b"canary", machine.document(Token=5))
    for fault in faults:
        machine.fault = fault
        assert await roles.resolve(sessions, SEALER, chain) == 0
        assert await _signed(sessions, account_id) == ("ASIA1", "token-canary-1")
    machine.fault = None
    machine.issue(SIX_HOURS)
    assert await roles.resolve(sessions, SEALER, chain) == 1
    assert await _held(sessions, account_id) == machine.credentials
    assert await _signed(sessions, account_id) == ("ASIA2", "token-canary-2")
    async with sessions() as session:
        assert [(one.kind, one.id) for one in await changes.since(session, before)] == [("account", account_id)]
    assert await roles.resolve(sessions, SEALER, chain) == 0
