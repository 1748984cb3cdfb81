"""The README is true: its commands run as they are written, its tables are complete both ways."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.client import CLIENTS, DEFAULT_URL, rendered
from gateway.core.settings import IN_FILES, NAMES, Settings
from gateway.local.sandbox import script
from gateway.platforms import PLATFORMS
from gateway.protocols import CODECS
from tests.support.servers import home_directory

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"<!-- run: (?P<name>[a-z ]+) -->\n```(?P<language>sh|python)\n(?P<text>.*?)```", re.DOTALL)
BLOCKS = list(BLOCK.finditer(README))
#: What the person types while a block runs.
TYPED = {"log in": "{password}\na password of mine\n", "account": "sk-ant-of-the-team\n"}
PRINTED = {
    "first key": "Hello",
    "account": "claude-official",
    "usage": "sandbox-echo",
    "own": '"my laptop"',
    "python": "Hello",
}


#: The clients whose configuration is shown as `poolgate client` prints it, in this order.
SHOWN = ("claude-code", "codex", "gemini-cli")


def printed(client: str) -> str:
    """The quotes are the shell's, for a key that is an ellipsis here."""
    return rendered(CLIENTS[client](DEFAULT_URL, "sk-…", None)).replace("'", "")


def section(title: str) -> str:
    """The text below a heading, up to the next of its level."""
    level, _, _ = title.partition(" ")
    text = README.partition(f"\n{title}\n")[2]
    assert text, f"no section {title}"
    return re.split(rf"^{level} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


class Reader:
    """Someone who follows the README on a fresh installation: the addresses differ, nothing else."""

    def __init__(self, home: Path, told: dict[str, Any]) -> None:
        self.told = told
        self.kept = home / "environ"
        self.kept.write_text(f"export POOLGATE_HOME={home} POOLGATE_ADMIN_URL={told['admin']}\n")

    def follow(self, name: str, language: str, text: str) -> str:
        text = text.replace("http://127.0.0.1:8080", self.told["gateway"])
        script = f"cat > $POOLGATE_HOME/snippet.py <<'END'\n{text}END\n{sys.executable} $POOLGATE_HOME/snippet.py"
        script = script if language == "python" else text
        script = script.replace(".venv/bin/poolgate", f"{sys.executable} -P -m gateway.cli")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f". {self.kept}\n{script}\nexport -p > {self.kept}"],
            input=TYPED.get(name, "").format(**(self.told["owner"] or {})),
            env={name: value for name, value in os.environ.items() if not name.startswith("POOLGATE_")},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with home_directory() as home:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLGATE_")}
        settings = {"POOLGATE_HOME": str(home), "POOLGATE_GATEWAY_PORT": "0", "POOLGATE_ADMIN_PORT": "0"}
        with (home / "stderr").open("w") as errors:
            up = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.cli", "up", "--json", "--sandbox"],
                env=plain | settings | {"POOLGATE_WORKERS": "1"}, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert up.stdout is not None
        with closing(up.stdout):
            try:
                line = up.stdout.readline()
                assert line, (home / "stderr").read_text()
                yield Reader(home, json.loads(line))
            finally:
                up.terminate()
                up.wait(40)


@pytest.mark.slow
def test_what_can_be_run_runs(reader: Reader):
    assert "up --sandbox" in (ROOT / "Makefile").read_text()
    for block in BLOCKS:
        said = reader.follow(block["name"], block["language"], block["text"])
        assert PRINTED.get(block["name"], "") in said, block["text"]


def test_the_blocks_are_found():
    assert [block["name"] for block in BLOCKS] == [
        "log in", "first key", "account", "usage", "python", "python", "python", "own",
    ]  # fmt: skip
    fences = re.findall(r"^```(?:sh|python)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    run = {block["text"] for block in BLOCKS}
    assert [text for text in fences if text not in run] == ["make up\n", *map(printed, SHOWN)]


def names_in_code() -> set[str]:
    """Every setting that is named as a string anywhere in what runs, and those that the tests read."""
    found = {*NAMES, *(f"{name}_FILE" for name in IN_FILES)}
    for top in ("gateway", "admin", "migrations"):
        for path in (ROOT / top).rglob("*.py"):
            found |= set(re.findall(r"""["'](?:env:)?(POOLGATE_[A-Z_]+[A-Z])["']""", path.read_text()))
    for path in (ROOT / "tests").rglob("*.py"):
        read = r"environ(?:\.get\(|\[)\s*\"(POOLGATE_[A-Z_]+)\"" if path != Path(__file__) else "(?!)"
        found |= set(re.findall(read, path.read_text()))
    return found


def test_every_setting_is_in_the_table_and_nothing_else():
    told = [name for row in rows(section("## Settings")) for name in quoted(row[0])]
    assert len(told) == len(set(told))
    assert set(told) == names_in_code()


def test_the_defaults_are_those_of_the_settings(tmp_path: Path):
    key = "A" * 43 + "="
    least = {"POOLGATE_DATABASE_URL": "postgresql+asyncpg://h/d", "POOLGATE_REDIS_URL": "redis://h"}
    settings = Settings.from_environ({**least, "POOLGATE_MASTER_KEYS": key, "POOLGATE_KEY_PEPPERS": key})
    compared = 0
    for name, default, *_ in rows(section("## Settings")):
        value = getattr(settings, quoted(name)[0].removeprefix("POOLGATE_").lower(), None)
        if isinstance(value, int | float) and quoted(default):
            assert float(quoted(default)[0]) == value, name
            compared += 1
        elif isinstance(value, tuple) and "KEY" not in name:
            assert (value, default[:4] in {"none", "loop"}) == ((), True), name
    assert compared == 11


def test_every_error_code_is_in_the_table_and_nothing_else():
    told = {(int(status), quoted(code)[0]) for status, code, _ in rows(section("## Errors"))}
    assert len({code for _, code in told}) == len(told)
    code = "\n".join(
        path.read_text()
        for top in ("core/errors.py", "core/callers.py", "relay", "routing", "web")
        for path in python_files(ROOT / "gateway" / top)
    )
    raised = set(re.findall(r'(?:\bcode=|default_code(?:: ClassVar\[str\])? = )"([a-z_]+)"', code))
    # What no raise names: the root classes' own words.
    assert raised - {"forbidden", "unauthenticated"} <= {name for _, name in told}
    for _, name in told:
        assert f'"{name}"' in code, name


def python_files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def test_every_directive_of_the_sandbox_is_in_the_table_and_works():
    found: set[str] = set()
    for cell, *_ in rows(section("## The sandbox")):
        for form in quoted(cell):
            directive = re.sub(r"(?<=-)S(?=$|-)", "529", re.sub(r"(?<=-)N", "5", form))
            directive = re.sub(r"stall-after-5-529", "stall-after-5-5", directive)
            read, empty = script.read(directive), script.Script()
            changed = {name for name in read.__struct_fields__ if getattr(read, name) != getattr(empty, name)}
            assert changed, form
            script.Rulebook([script.Rule(directive)])
            found |= changed
    assert found == set(script.Script.__struct_fields__) - {"say"}  # which only rules have


def test_the_table_of_platforms_says_what_each_takes_and_speaks():
    table = {quoted(row[0])[0]: row for row in rows(section("## Accounts")) if len(row) == 5}
    assert set(table) == set(PLATFORMS)
    for name, platform in PLATFORMS.items():
        _, credentials, options, protocols, _ = table[name]
        assert set(quoted(credentials)) == {info for kind in platform.credentials for info in kind.__struct_fields__}
        assert set(platform.options.__struct_fields__) <= set(quoted(options)), name
        served = {protocol for protocol, _ in platform.serves if protocol in CODECS}
        # Vertex has Claude beside Gemini: the account decides, not the platform.
        assert set(quoted(protocols)) == served | ({"anthropic"} if name == "gemini" else set()), name


def test_the_example_of_deploy_names_only_settings():
    example = (ROOT / "deploy" / "poolgate.env.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert named <= {*NAMES, *(f"{name}_FILE" for name in IN_FILES)}
    required = {"POOLGATE_DATABASE_URL", "POOLGATE_REDIS_URL", "POOLGATE_MASTER_KEYS_FILE", "POOLGATE_KEY_PEPPERS_FILE"}
    assert required <= set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


@pytest.mark.parametrize("command", ["admin", "gateway", "jobs"])
def test_there_is_a_unit_for_each_process(command: str):
    (unit,) = (ROOT / "deploy").glob(f"poolgate-{command}*.service")
    assert f"\nExecStart=/opt/poolgate/.venv/bin/poolgate {command}\n" in unit.read_text()


def test_the_tree_names_folders_that_exist():
    listed = re.findall(r"^([a-z/]+)  ", section("## How it is built"), re.MULTILINE)
    assert len(listed) > 8
    assert all((ROOT / name).is_dir() for name in listed)
    packages = {path.parent.name for path in (ROOT / "gateway").glob("*/__init__.py")}
    assert packages == {Path(name).name for name in listed if name.startswith("gateway/")}
