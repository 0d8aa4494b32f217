"""The program of a hash process: it hashes and verifies passwords, one at a time.

Each line of standard input is a job, each line of standard output its result, both in JSON. The
process ends with the one that started it, in whatever way that ends, even amid a job.

`docs/architecture.md` explains why hashing has processes of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import argon2
import msgspec
from argon2.exceptions import Argon2Error, VerifyMismatchError

from service.auth.hashing.jobs import Failed, Hash, Hashed, Job, Result, Verified, Verify
from service.auth.hashing.legacy_hashes import is_legacy, renewable_form, verify_legacy
from service.settings.passwords import Argon2Cost

NICENESS = 10

# The number of the option, in prctl(2).
PR_SET_PDEATHSIG = 1


def argon2_hasher(cost: Argon2Cost) -> argon2.PasswordHasher:
    """Return a hasher (Argon2id) of this cost."""
    return argon2.PasswordHasher(
        time_cost=cost.time_cost, memory_cost=cost.memory_kib, parallelism=cost.parallelism
    )


def execute(job: Job, hasher: argon2.PasswordHasher) -> Result:
    """Return the result of a job. Nothing that a hash contains ends the program."""
    if isinstance(job, Hash):
        return _hash(job.password, hasher)
    try:
        return _verify(job, hasher)
    except (Argon2Error, ValueError, MemoryError):
        return Verified(matches=False)


def _hash(password: str, hasher: argon2.PasswordHasher) -> Hashed | Failed:
    try:
        return Hashed(hasher.hash(password))
    except (Argon2Error, MemoryError) as error:
        return Failed(str(error) or type(error).__name__)


def _verify(job: Verify, hasher: argon2.PasswordHasher) -> Verified:
    """Verify a hash, with as many runs of every scheme before a password is refused."""
    legacy = is_legacy(job.password_hash)
    for form in job.forms:
        if legacy:
            matches = verify_legacy(job.password_hash, job.text)
        else:
            matches = _matches_argon2(hasher, job.password_hash, form)
        if matches:
            return Verified(matches=True, new_hash=_renewed(job, form, hasher))
    return Verified(matches=False)


def _matches_argon2(hasher: argon2.PasswordHasher, password_hash: str, form: str) -> bool:
    try:
        return hasher.verify(password_hash, form)
    except VerifyMismatchError:
        return False


def _renewed(job: Verify, matched: str, hasher: argon2.PasswordHasher) -> str | None:
    """Return the hash that is to replace one that matches; ``None`` if it may stay.

    An Argon2 hash is made again of the form that matched: so whatever logged in before still does.
    """
    if not job.renew:
        return None
    form: str | None = matched
    if is_legacy(job.password_hash):
        form = renewable_form(job.password_hash, job.text, job.prepared)
    elif not hasher.check_needs_rehash(job.password_hash):
        return None
    # The old hash stays if none can be made.
    renewed = None if form is None else _hash(form, hasher)
    return renewed.password_hash if isinstance(renewed, Hashed) else None


def lower_priority() -> None:
    """Give way to the processes that serve requests, without starving (nice 10, see sched(7)).

    Linux divides time among sessions before it looks at their processes (autogroups), so the
    niceness of this process's session is set as well: a session of its own is required.
    """
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    os.nice(NICENESS)


def end_with(parent: int) -> None:
    """Let the kernel kill this process when the one that started it ends.

    Without it a hash under way would be finished first, and a process that is stopped would stay.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


def main() -> None:
    """Execute jobs until standard input is closed, or standard output is."""
    cost, parent = sys.argv[1:]
    end_with(int(parent))
    lower_priority()
    hasher = argon2_hasher(msgspec.json.decode(cost, type=Argon2Cost))
    decode = msgspec.json.Decoder(Job).decode
    with suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            # Unbuffered: a result that cannot be written must not be tried again at exit.
            os.write(
                sys.stdout.fileno(), msgspec.json.encode(execute(decode(line), hasher)) + b"\n"
            )


if __name__ == "__main__":
    main()
