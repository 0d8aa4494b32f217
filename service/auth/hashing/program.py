"""The program of a hash process: it hashes and verifies passwords, one at a time.

Each line of standard input is a job, each line of standard output its result, both in JSON. The
process ends when its standard input is closed, as it is when the service ends in whatever way.

`docs/architecture.md` explains why hashing has processes of its own.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import argon2
import msgspec
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from service.auth.hashing.jobs import Hash, Job, Result, Verification, Verify
from service.auth.hashing.legacy_hashes import is_legacy, verify_legacy
from service.settings.passwords import Argon2Cost

NICENESS = 10


def argon2_hasher(cost: Argon2Cost) -> argon2.PasswordHasher:
    """Return a hasher (Argon2id) of this cost."""
    return argon2.PasswordHasher(
        time_cost=cost.time_cost, memory_cost=cost.memory_kib, parallelism=cost.parallelism
    )


def execute(job: Job, hasher: argon2.PasswordHasher) -> Result:
    """Return the result of a job."""
    if isinstance(job, Hash):
        return hasher.hash(job.password)
    if is_legacy(job.password_hash):
        matches = verify_legacy(job.password_hash, job.text)
        return Verification(matches, needs_rehash=matches)
    return _verify_argon2(job, hasher)


def _verify_argon2(job: Verify, hasher: argon2.PasswordHasher) -> Verification:
    for position, form in enumerate(job.forms):
        if _matches(hasher, job.password_hash, form):
            outdated = hasher.check_needs_rehash(job.password_hash)
            return Verification(matches=True, needs_rehash=outdated or position > 0)
    return Verification(matches=False)


def _matches(hasher: argon2.PasswordHasher, password_hash: str, form: str) -> bool:
    try:
        argon2.extract_parameters(password_hash)
        return hasher.verify(password_hash, form)
    except (VerifyMismatchError, InvalidHashError, UnicodeEncodeError):
        return False


def lower_priority() -> None:
    """Give way to the processes that serve requests, without starving (nice 10, see sched(7)).

    Linux divides time among sessions before it looks at their processes (autogroups), so the
    niceness of this process's session is set as well: a session of its own is required.
    """
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    os.nice(NICENESS)


def main() -> None:
    """Execute jobs until standard input is closed."""
    lower_priority()
    hasher = argon2_hasher(msgspec.json.decode(sys.argv[1], type=Argon2Cost))
    decode = msgspec.json.Decoder(Job).decode
    for line in sys.stdin.buffer:
        result = execute(decode(line), hasher)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
