"""Secrets of an installation: made once, closed, whole."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.local.keyfiles import generated, kept, replace


def test_a_secret_is_made_once(tmp_path: Path):
    path = generated(tmp_path / "master-key")
    first = path.read_text()
    assert len(base64.b64decode(first)) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert generated(path).read_text() == first
    assert generated(tmp_path / "other").read_text() != first


def test_two_starts_at_once_agree(tmp_path: Path):
    path = tmp_path / "key"
    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda number: kept_by(path, number), range(8)))
    assert len(set(texts)) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["key"]


def kept_by(path: Path, number: int) -> str:
    return kept(path, f"text {number}").read_text()


def test_replace_closes_the_file(tmp_path: Path):
    replace(tmp_path / "key", "one")
    replace(tmp_path / "key", "two")
    assert (tmp_path / "key").read_text() == "two\n"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
