"""Password hashes: Argon2id (RFC 9106), made and verified off the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from msgspec import Struct

from service.auth.errors import Overloaded
from service.auth.foreign_hashes import is_foreign, verify_foreign
from service.auth.passwords import NewPassword, Password
from service.model import PasswordHash

T = TypeVar("T")

# Threads that hash give way to the threads that answer requests (see setpriority(2)).
NICENESS = 10


class Argon2Cost(Struct, frozen=True, kw_only=True):
    """How expensive a hash is; the defaults are OWASP's least for Argon2id."""

    time_cost: int = 2
    memory_kib: int = 19456
    parallelism: int = 1


class Hasher:
    """Hashes and verifies passwords in a pool of ``threads``, at lower priority.

    At most ``queue_length`` passwords wait for a thread; the next one is refused with `Overloaded`
    at once, for an answer that comes too late costs as much as one in time.
    """

    def __init__(self, cost: Argon2Cost, *, threads: int, queue_length: int) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=cost.time_cost,
            memory_cost=cost.memory_kib,
            parallelism=cost.parallelism,
        )
        self._threads = ThreadPoolExecutor(threads, "hasher", initializer=_give_way)
        self._room = threads + queue_length
        # A hash of a random password, of the same cost: what unknown users are verified against.
        self._nobodys_hash = self._argon2.hash(os.urandom(16))

    async def hash(self, password: NewPassword) -> PasswordHash:
        """Raises `Overloaded`."""
        return await self._in_thread(lambda: PasswordHash(self._argon2.hash(password.prepared)))

    async def verify(self, password_hash: PasswordHash | None, password: Password) -> bool:
        """Tell whether the hash is one of the password. Without a hash it is not, in the same time.

        Raises `Overloaded`.
        """
        return await self._in_thread(lambda: self._verify(password_hash, password))

    async def rehash(self, password_hash: PasswordHash, password: Password) -> PasswordHash | None:
        """Hash a verified password anew, if ours would come out differently today.

        Raises `Overloaded`.
        """
        if password.prepared is None:
            return None
        outdated = is_foreign(password_hash) or self._argon2.check_needs_rehash(password_hash)
        if not outdated and len(password.forms) == 1:
            return None
        prepared = password.prepared
        return await self._in_thread(
            lambda: (
                None
                if not outdated and self._matches(password_hash, prepared)
                else PasswordHash(self._argon2.hash(prepared))
            )
        )

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _verify(self, password_hash: PasswordHash | None, password: Password) -> bool:
        if password_hash is not None and is_foreign(password_hash):
            return verify_foreign(password_hash, password.text)
        matches = [
            self._matches(password_hash or self._nobodys_hash, form) for form in password.forms
        ]
        return password_hash is not None and any(matches)

    def _matches(self, password_hash: str, form: str) -> bool:
        try:
            argon2.extract_parameters(password_hash)
            return self._argon2.verify(password_hash, form)
        except (VerifyMismatchError, InvalidHashError, UnicodeEncodeError):
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._room == 0:
            raise Overloaded
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._room += 1


def _give_way() -> None:
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
