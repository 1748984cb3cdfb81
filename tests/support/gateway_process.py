"""`poolgate gateway` with leases short enough to be waited for.

python -m tests.support.gateway_process SECONDS   everything else as in production
"""

import sys

from gateway.relay import offer

if __name__ == "__main__":
    seconds = float(sys.argv.pop())
    # Before anything imports it by name.
    offer.LEASE_MS = int(seconds * 1000)
    from gateway.relay import background

    background.RENEWAL = seconds / 3
    from gateway.cli import main

    main(["gateway"])
