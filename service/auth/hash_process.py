"""A process that hashes and verifies, one password at a time.

Hashing in threads of the service would hold its requests up: a thread at low priority that has
finished must take Python's global lock, is put aside with it in hand, and everybody waits. Here
the operating system alone decides, and it lets the processes that answer requests go first.

Each line on standard input is a job, each line on standard output its result, both in JSON. The
process ends with its input, however the other side came to its end.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import argon2
import msgspec
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from msgspec import Struct

from service.auth.foreign_hashes import is_foreign, verify_foreign

NICENESS = 19


class Argon2Cost(Struct, frozen=True, kw_only=True):
    """How expensive a hash is; the defaults are OWASP's least for Argon2id."""

    time_cost: int = 2
    memory_kib: int = 19456
    parallelism: int = 1

    def hasher(self) -> argon2.PasswordHasher:
        return argon2.PasswordHasher(
            time_cost=self.time_cost, memory_cost=self.memory_kib, parallelism=self.parallelism
        )


class MakeHash(Struct, frozen=True, tag=True):
    """Hash ``password``: the result is the hash."""

    password: str

    def __repr__(self) -> str:
        return "MakeHash(…)"


class Verify(Struct, frozen=True, tag=True):
    """Does ``password_hash`` belong to the password, in one of its ``forms``?

    ``text`` is the password as it was typed, for foreign hashes.
    """

    password_hash: str
    forms: list[str]
    text: str

    def __repr__(self) -> str:
        return "Verify(…)"


Job = MakeHash | Verify
Result = str | bool


def work(job: Job, hasher: argon2.PasswordHasher) -> Result:
    """Do a job."""
    if isinstance(job, MakeHash):
        return hasher.hash(job.password)
    if is_foreign(job.password_hash):
        return verify_foreign(job.password_hash, job.text)
    return any(_matches(hasher, job.password_hash, form) for form in job.forms)


def _matches(hasher: argon2.PasswordHasher, password_hash: str, form: str) -> bool:
    try:
        argon2.extract_parameters(password_hash)
        return hasher.verify(password_hash, form)
    except (VerifyMismatchError, InvalidHashError, UnicodeEncodeError):
        return False


def give_way() -> None:
    """Take the time that nobody else wants (SCHED_IDLE, see sched(7)).

    Linux shares time out among sessions before it looks at their processes (autogroups). So this
    must be a session of its own, and last of all; else its time would be taken from PostgreSQL's.
    """
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        os.nice(NICENESS)


def main() -> None:
    give_way()
    hasher = msgspec.json.decode(sys.argv[1], type=Argon2Cost).hasher()
    decode = msgspec.json.Decoder(Job).decode
    for line in sys.stdin.buffer:
        result = work(decode(line), hasher)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
