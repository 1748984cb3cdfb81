"""The shape of the code: what no linter knows.

Who may import what is written in pyproject.toml and checked by `lint-imports` (see test_the_check_command_checks).
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gateway.platforms
import gateway.protocols
from gateway.platforms import PLATFORMS
from gateway.protocols import CODECS

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for top in ("gateway", "admin") for path in (ROOT / top).rglob("*.py"))
CODE = [*MODULES, *sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))]
LONGEST = 400

#: Modules without a test of their own, each with the place that tests it.
TESTED_ELSEWHERE = {
    "gateway/core/domain.py": "values without behaviour",
    "gateway/protocols/codec.py": "the contract: every codec's test is its test",
    "gateway/core/models/": "tests/core/test_migrate.py compares the tables with the migrations",
    "gateway/translation/prompt.py": "values without behaviour: tests/translation/*/test_parse.py",
    "gateway/translation/events.py": "values without behaviour: tests/translation/generate.py makes them",
    "gateway/translation/speech.py": "values without behaviour: tests/translation/test_matrix.py",
    "gateway/core/services/failures.py": "exceptions without behaviour: tests/admin/test_errors.py answers with each",
    "admin/schemas/": "values without behaviour: tests/admin/api",
}


def mirrored(module: Path) -> Path:
    """`gateway/core/x.py` → `tests/core/test_x.py`; `admin/x.py` → `tests/admin/test_x.py`."""
    inner = module.parent.relative_to("gateway") if module.parts[0] == "gateway" else module.parent
    return Path("tests") / inner / f"test_{module.name}"


@pytest.mark.parametrize(
    "module", [path for path in MODULES if path.name not in {"__init__.py", "__main__.py"}], ids=str
)
def test_every_module_has_its_test(module: Path):
    if (ROOT / mirrored(module)).exists():
        return
    assert any(str(module).startswith(place) for place in TESTED_ELSEWHERE), f"{mirrored(module)} is missing"


@pytest.mark.parametrize("place", TESTED_ELSEWHERE)
def test_no_exception_has_become_unnecessary(place: str):
    modules = [module for module in MODULES if str(module).startswith(place) and module.name != "__init__.py"]
    assert any(not (ROOT / mirrored(module)).exists() for module in modules)


@pytest.mark.parametrize("module", CODE, ids=str)
def test_no_module_is_named_after_nothing(module: Path):
    """A name that promises nothing collects everything."""
    for part in (*module.parts[:-1], module.stem):
        assert not re.search(r"(^|_)(manager|helper|util|common|misc)s?($|_)", part)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_too_long_and_each_says_what_it_is(module: Path):
    text = (ROOT / module).read_text()
    assert len(text.splitlines()) <= LONGEST
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "no docstring"


def files_of(package: ModuleType) -> Iterator[str]:
    assert package.__file__ is not None
    for path in sorted(Path(package.__file__).parent.glob("*.py")):
        if path.name != "__init__.py":
            yield path.stem


def defines(package: ModuleType, name: str, what: str) -> bool:
    assert package.__file__ is not None
    tree = ast.parse((Path(package.__file__).parent / f"{name}.py").read_text())
    targets = [
        target
        for node in tree.body
        for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
    ]
    return any(isinstance(target, ast.Name) and target.id == what for target in targets)


@pytest.mark.parametrize(
    ("package", "constant", "registry"),
    [(gateway.platforms, "PLATFORM", PLATFORMS), (gateway.protocols, "CODEC", CODECS)],
    ids=["platforms", "protocols"],
)
def test_every_file_that_is_one_is_in_the_registry(package: ModuleType, constant: str, registry: Mapping[str, object]):
    """The others in the folder are shared pieces: used by one that is registered, or forgotten."""
    found = {name for name in files_of(package) if defines(package, name, constant)}
    registered = {name.replace("-", "_") for name in registry}
    assert found == registered
    assert package.__file__ is not None
    used = "\n".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    for name in set(files_of(package)) - found:
        assert re.search(rf"\b{package.__name__}\.{name}\b|from {package.__name__} import .*\b{name}\b", used), name


@pytest.mark.parametrize(
    ("package", "constant"),
    [(gateway.platforms, "PLATFORM"), (gateway.protocols, "CODEC")],
    ids=["platforms", "protocols"],
)
def test_each_is_named_in_the_contract_of_independence(package: ModuleType, constant: str):
    found = {f"{package.__name__}.{name}" for name in files_of(package) if defines(package, name, constant)}
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    independent = {name for contract in contracts if contract["type"] == "independence" for name in contract["modules"]}
    assert found == {name for name in independent if name.startswith(f"{package.__name__}.")}


@pytest.mark.parametrize("command", ["ruff format --check", "ruff check", "pyright", "lint-imports", "test"])
def test_the_check_command_checks(command: str):
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert command in recipe


def test_the_lock_names_no_place_and_every_hash():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|file:|--index|--find-links|^-|^/", text, re.MULTILINE)
    pins = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 30


def test_the_lock_has_what_the_project_asks_for():
    project = pyproject()["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    text = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z0-9,_-]+\])?==", text, re.MULTILINE))
    assert {re.split(r"[^A-Za-z0-9_.-]", name)[0].lower() for name in asked} <= locked


@pytest.mark.parametrize("path", [path for path in CODE if path != Path(__file__).relative_to(ROOT)], ids=str)
def test_no_code_knows_the_machine_it_was_written_on(path: Path):
    assert not re.search(r"/work/|/root/\.", (ROOT / path).read_text())


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
