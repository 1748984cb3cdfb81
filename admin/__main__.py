"""`python -m admin`: the control plane, by settings from the environment."""

import sys

import uvloop

from admin.serve import serve
from gateway.core import logs
from gateway.core.migrate import UnknownRevision
from gateway.core.settings import SettingError, Settings


def main() -> int:
    logs.configure()
    try:
        uvloop.run(serve(Settings.from_environ()))
    except (SettingError, UnknownRevision) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
