"""Every setting: what it is by default, what is right, what is wrong; a wrong one is one line that names it."""

import base64
from pathlib import Path

import pytest

from gateway.core.secret import Secret
from gateway.core.settings import IN_FILES, NAMES, SettingError, Settings

KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
LEAST = {
    "POOLGATE_DATABASE_URL": "postgresql+asyncpg://user@host/db",
    "POOLGATE_REDIS_URL": "redis://localhost",
    "POOLGATE_MASTER_KEYS": KEY,
    "POOLGATE_KEY_PEPPERS": KEY,
}
DEFAULTS = {
    "host": "127.0.0.1", "gateway_port": 8080, "admin_port": 8081, "bootstrap_token": None, "egress_allow": (),
    "trusted_proxies": (), "admin_hosts": (), "cors_origins": (), "body_limit": 67108864, "drain_timeout": 600.0,
    "failover_deadline": 90.0, "max_attempts": 3, "stale_max": 30.0, "sandbox_port": 0,
    "retention_days": 0,
}  # fmt: skip


def read(**changed: str) -> Settings:
    return Settings.from_environ({**LEAST, **{f"POOLGATE_{name.upper()}": text for name, text in changed.items()}})


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(SettingError) as caught:
        Settings.from_environ(environ)
    return str(caught.value)


def test_defaults() -> None:
    settings = read()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.home == Path(".poolgate").absolute()
    assert settings.spool == settings.home / "spool"
    assert settings.workers >= 1
    assert settings.master_key_bytes == (b"\1" * 32,)
    assert settings.peppers.values == (b"\1" * 32,)


def test_the_names_are_those_that_are_read() -> None:
    asked: set[str] = set()

    class Environ(dict[str, str]):
        def get(self, name, default=None):  # type: ignore[override]
            asked.add(name)
            return super().get(name, default)

    environ = Environ(LEAST)
    Settings.from_environ(environ)
    assert asked - {f"{name}_FILE" for name in IN_FILES} == set(NAMES)
    assert len(NAMES) == len(set(NAMES)) == len(Settings.__struct_fields__)


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_what_is_required(name: str, how: str) -> None:
    environ = {**LEAST, name: ""}
    if how == "missing":
        del environ[name]
    assert refused(environ) == f"{name} is not set"


GOOD = [
    ("database_url", "postgresql+asyncpg://u@/db?host=/run/pg", "postgresql+asyncpg://u@/db?host=/run/pg"),
    ("database_url", " postgresql+asyncpg://u:p%40@[::1]:5433/db\n", "postgresql+asyncpg://u:p%40@[::1]:5433/db"),
    ("redis_url", "rediss://:pw@h:6380/2", "rediss://:pw@h:6380/2"),
    ("redis_url", "unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
    ("redis_url", "redis+sentinel://a:1,b:2/main/3", "redis+sentinel://a:1,b:2/main/3"),
    *[("host", text, text) for text in ("0.0.0.0", "::", "::1", "localhost", "gateway.example", "10.1.2.3")],
    ("gateway_port", "0", 0), ("gateway_port", "65535", 65535), ("admin_port", " 81 ", 81), ("sandbox_port", "9", 9),
    ("workers", "1", 1), ("workers", "256", 256),
    ("master_keys", f"{OTHER}, {KEY}", (Secret(OTHER), Secret(KEY))),
    ("key_peppers", f"{KEY},", (Secret(KEY),)),
    ("bootstrap_token", "t" * 32, Secret("t" * 32)),
    ("egress_allow", "127.0.0.1, 10.0.0.0/8:443,fc00::/7,[::1]:11434,[fc00::/7]",
     ("127.0.0.1", "10.0.0.0/8:443", "fc00::/7", "[::1]:11434", "[fc00::/7]")),
    ("trusted_proxies", "10.1.2.3/8", ("10.1.2.3/8",)),
    ("admin_hosts", "a.example, b.example", ("a.example", "b.example")),
    ("cors_origins", "https://a.example,", ("https://a.example",)), ("cors_origins", "*", ("*",)),
    ("cors_origins", "http://localhost:3000, null, http://[::1]:80, app://x.y",
     ("http://localhost:3000", "null", "http://[::1]:80", "app://x.y")),
    ("body_limit", "1024", 1024), ("body_memory", "1048576", 1 << 20), ("journal_limit", "1048576", 1 << 20),
    ("retention_days", "0", 0), ("retention_days", "35", 35), ("retention_days", "36500", 36500),
    ("drain_grace", "0", 0.0), ("drain_timeout", "1.5", 1.5), ("failover_deadline", "1", 1.0),
    ("max_attempts", "10", 10), ("stale_max", "86400", 86400.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_good_values(name: str, text: str, value) -> None:
    assert getattr(read(**{name: text}), name) == value


def test_home_is_absolute() -> None:
    assert read(home="data/x").home == Path.cwd() / "data/x"


BAD = [
    ("database_url", "postgresql://u@h/db"), ("database_url", "sqlite:///x"), ("database_url", "h/db"),
    ("database_url", "postgresql+asyncpg://u:canary/h@h:port/db"),
    ("redis_url", "redis+cluster://h"), ("redis_url", "http://h"), ("redis_url", "localhost:6379"),
    ("redis_url", "redis://h:canary"), ("redis_url", "redis://h:99999"), ("redis_url", "redis://h/x"), ("redis_url", "redis://[::1"),
    *[(name, text) for name in ("gateway_port", "admin_port", "sandbox_port")
      for text in ("-1", "65536", "http", "80.5", "8 0")],
    *[("host", text) for text in
      ("999.1.1.1", "1.2.3", "0x7f.1", "[::1]", "::g", "no such host", "http://a", "a:80", "é")],
    *[("cors_origins", text) for text in
      ("nope", "a.example", "https://a.example/", "https://a.example/x", "HTTPS://a.example", "https://A.example",
       "https://*.example", "https://", "https://a:b", "https://a.example, nope", "http://u@a", "**")],
    ("workers", "0"), ("workers", "257"), ("workers", "many"),
    *[(name, text) for name in ("master_keys", "key_peppers")
      for text in ("canary", KEY[:-4], KEY + "AAAA", f"{KEY},canary", f"{KEY}canary",
                   KEY.replace("A", "-"), ",", " , ", "é" * 44)],
    ("bootstrap_token", "t" * 31),
    ("egress_allow", "10.1.2.3/8"), ("egress_allow", "10.0.0.0/8:"), ("egress_allow", "10.0.0.0/8:８０"),
    ("trusted_proxies", "10.0.0.0/8:443"), ("trusted_proxies", "[::1]:443"),
    ("trusted_proxies", "[fc00::/7]"),
    *[(name, text) for name in ("egress_allow", "trusted_proxies")
      for text in ("localhost", "10.0.0.0/33", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:x", "1.2.3")],
    *[("retention_days", text) for text in ("1", "34", "36501", "-35", "a year")],
    *[(name, text) for name in ("body_limit", "body_memory", "journal_limit") for text in ("0", "-1", "1e6", "64M")],
    *[(name, text) for name in ("drain_grace", "drain_timeout", "failover_deadline", "stale_max")
      for text in ("-1", "nan", "inf", "soon", "1e9")],
    ("max_attempts", "0"), ("max_attempts", "11"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_values(name: str, text: str) -> None:
    message = refused({**LEAST, f"POOLGATE_{name.upper()}": text})
    assert message.startswith(f"POOLGATE_{name.upper()} is wrong: ")
    assert "\n" not in message
    assert "canary" not in message


@pytest.mark.parametrize("name", IN_FILES)
def test_from_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{OTHER}\n")
    environ = {**LEAST, f"{name}_FILE": str(path)}
    environ.pop(name, None)
    field = name.removeprefix("POOLGATE_").lower()
    value = getattr(Settings.from_environ(environ), field)
    assert value in (Secret(OTHER), (Secret(OTHER),))
    # The setting itself wins over the file.
    assert getattr(Settings.from_environ({**environ, name: KEY}), field) in (Secret(KEY), (Secret(KEY),))


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\x00", b"canary"], ids=["missing", "empty", "binary", "wrong"]
)
@pytest.mark.parametrize("name", ["POOLGATE_MASTER_KEYS", "POOLGATE_KEY_PEPPERS"])
def test_from_a_bad_file(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    message = refused({**{k: v for k, v in LEAST.items() if k != name}, f"{name}_FILE": str(path)})
    assert message.startswith(name)
    assert "\n" not in message
    assert "canary" not in message


def test_only_secrets_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.write_text("9")
    assert Settings.from_environ({**LEAST, "POOLGATE_GATEWAY_PORT_FILE": str(path)}).gateway_port == 8080


def test_nothing_secret_is_shown() -> None:
    assert KEY not in repr(read(bootstrap_token="canary" * 8))
    assert "canary" not in repr(read(bootstrap_token="canary" * 8))


def test_they_are_frozen() -> None:
    with pytest.raises(AttributeError):
        read().workers = 5  # type: ignore[misc]
