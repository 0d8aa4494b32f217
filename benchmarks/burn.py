"""Burns idle time as hashing does, for so many seconds, and has nothing to do with the service."""

from __future__ import annotations

import sys
import time

from service.auth.hashing.program import argon2_hasher, lower_priority
from service.settings.passwords import Argon2Cost

if __name__ == "__main__":
    lower_priority()
    hasher = argon2_hasher(Argon2Cost())
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        hasher.hash("nothing")
