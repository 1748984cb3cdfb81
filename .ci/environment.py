"""Make .venv from requirements.lock, with the standard library alone. Does nothing when it is up to date.

Two makes may run at once: one makes the environment while the other waits for it.
"""

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
SOURCES = (ROOT / "requirements.lock", ROOT / "pyproject.toml")


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - the one file that an older Python may be asked to run
        sys.exit(f"poolgate needs Python 3.11 or later, this is {sys.version.split()[0]}: make PYTHON=python3.12")
    ENVIRONMENT.mkdir(exist_ok=True)
    with (ENVIRONMENT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = ENVIRONMENT / ".installed"
        if not stamp.exists() or any(source.stat().st_mtime > stamp.stat().st_mtime for source in SOURCES):
            print("poolgate: installing what requirements.lock names into .venv", file=sys.stderr)
            install()
            stamp.touch()


def install() -> None:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists() or not (ENVIRONMENT / "bin" / "pip").exists():
        try:
            venv.create(ENVIRONMENT, with_pip=True)
        except subprocess.CalledProcessError:
            sys.exit("poolgate: this Python cannot make an environment with pip (Debian: apt install python3-venv)")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    environ = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    for arguments in (
        # The lock is complete: nothing is resolved, so what was released since cannot change or break an installation.
        ["--require-hashes", "--no-deps", "-r", str(ROOT / "requirements.lock")],
        # The build backend is in the lock: nothing is fetched for this one.
        ["--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)],
    ):
        done = subprocess.run([*pip, *arguments], check=False, env=environ)
        if done.returncode != 0:
            sys.exit(f"poolgate: pip failed; nothing is left half made, run make again (exit code {done.returncode})")


if __name__ == "__main__":
    main()
