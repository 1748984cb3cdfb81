"""The reference's loss table: it is what the README says, and every row of it happens."""

import re
from pathlib import Path

import pytest

from gateway.translation.losses import TABLES, markdown
from tests.translation.anthropic.test_losses import GOLDENS as ANTHROPIC
from tests.translation.converse.test_losses import GOLDENS as CONVERSE
from tests.translation.embeddings.test_losses import GOLDENS as EMBEDDINGS
from tests.translation.gemini.test_losses import GOLDENS as GEMINI
from tests.translation.golden import Goldens
from tests.translation.ollama.test_losses import GOLDENS as OLLAMA
from tests.translation.openai_chat.test_losses import GOLDENS as OPENAI_CHAT
from tests.translation.openai_responses.test_losses import GOLDENS as OPENAI_RESPONSES

README = Path(__file__).parents[2] / "README.md"
GOLDENS: dict[str, Goldens] = {
    "anthropic": ANTHROPIC,
    "converse": CONVERSE,
    "embeddings": EMBEDDINGS,
    "gemini": GEMINI,
    "ollama": OLLAMA,
    "openai_chat": OPENAI_CHAT,
    "openai_responses": OPENAI_RESPONSES,
}


def test_every_package_that_loses_something_is_in_the_table():
    folder = Path(__file__).parents[2] / "gateway" / "translation"
    assert {path.parent.name for path in folder.glob("*/losses.py")} == set(TABLES)


@pytest.mark.parametrize("package", TABLES)
def test_every_row_is_one_has_a_golden_and_says_why(package):
    _, rows = TABLES[package]
    assert {row.name for row in rows} == set(GOLDENS[package])
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert GOLDENS[package][row.name].refused is (row.fate == "400"), row.name
        assert re.fullmatch(r"[^.|\n][^|\n]{4,}[^.|\s]", row.why), row


@pytest.mark.parametrize(("package", "name"), [(package, name) for package in GOLDENS for name in GOLDENS[package]])
def test_a_row_is_true(package, name):
    found, expected = GOLDENS[package][name].seen()
    assert found == expected


def test_the_readme_has_the_table_as_the_code_has_it():
    found = re.search(
        r"\n### What cannot cross\n.*\n<!-- loss table: generated -->\n(.*)\n<!-- end -->\n",
        README.read_text(),
        re.DOTALL,
    )
    assert found is not None
    assert found[1] == markdown(), "gateway/translation/losses.py says how to write it anew"


def test_rows_that_differ_by_name_alone_share_one():
    lines = markdown().splitlines()
    assert lines[0] == "| protocol | way | what | fate | why |"
    assert (
        "| Gemini | to its accounts | `presence_penalty` `frequency_penalty` | clamped | -2 to less than 2 |" in lines
    )
    assert len(lines) - 2 < sum(len(rows) for _, rows in TABLES.values())
    assert all(line.count("|") == 6 for line in lines)
