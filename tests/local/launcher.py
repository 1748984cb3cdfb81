"""A parent that starts embedded servers and then only waits: what the tests kill.

python -m tests.local.launcher HOME   prints {"database": url, "redis": url, "pids": [...]} and stays
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from gateway.local.postgres import postgres
from gateway.local.redis import redis

if __name__ == "__main__":
    home = Path(sys.argv[1])
    with suppress(KeyboardInterrupt), postgres(home) as database, redis(home) as cache:
        print(json.dumps({"database": database.url, "redis": cache.url, "pids": [database.pid, cache.pid]}), flush=True)
        time.sleep(600)
