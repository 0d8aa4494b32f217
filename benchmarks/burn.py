"""Burns idle time as hashing does, for so many seconds, and has nothing to do with the service."""

from __future__ import annotations

import sys
import time

from service.auth.hash_process import Argon2Cost, give_way

if __name__ == "__main__":
    give_way()
    hasher = Argon2Cost().hasher()
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        hasher.hash("nothing")
