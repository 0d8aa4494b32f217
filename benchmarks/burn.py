"""Burns idle time as hashing does, for so many seconds, and has nothing to do with the service."""

from __future__ import annotations

import sys
import time

from service.auth.hashing.worker import Argon2Cost, lower_priority

if __name__ == "__main__":
    lower_priority()
    hasher = Argon2Cost().hasher()
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        hasher.hash("nothing")
