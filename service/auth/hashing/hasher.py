"""The hasher: passwords are hashed and verified in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import structlog
from msgspec import Struct

from service.auth.hashing.fair_queue import SERVICE, Requester
from service.auth.hashing.jobs import Hash, Hashed, Verified, Verify
from service.auth.hashing.pool import HashPool
from service.auth.hashing.program import argon2_hasher
from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.auth.hashing.verify_times import VerifyTimes
from service.auth.passwords import Password
from service.model.users import PasswordHash
from service.settings.passwords import Argon2Cost, HashingSettings

# The verification times that one measurement takes.
MEASURED_TIMES = 5

# The schemes that one measurement takes, beside the current one. Whoever may bring hashes decides
# how many schemes there are, each of which may take a second.
MEASURED_SCHEMES = 16

# The password that measurements verify; whether it matches is ignored.
MEASURED = Password("measured")

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Verification(Struct, frozen=True, kw_only=True):
    """Whether a password matches a hash, and the hash that is to replace it, if any.

    ``seconds`` is the time it took, without the wait for a process.
    """

    matches: bool
    new_hash: PasswordHash | None = None
    seconds: float = 0.0


class Hasher:
    """Hashes and verifies passwords in ``processes`` processes of low priority.

    Each job waits its turn, which is shared fairly among requesters. Those for which there is no
    place, or no result in time, raise `Overloaded`.
    """

    def __init__(self, cost: Argon2Cost, settings: HashingSettings, *, processes: int) -> None:
        self._cost = cost
        self._pool = HashPool(cost, settings, processes)
        self._max_refusal_time = float(settings.queue_timeout)
        self._times = VerifyTimes()
        # Verified where there is no hash: one of a random password, with the same cost.
        self._dummy_hash = parse_password_hash(argon2_hasher(cost).hash(os.urandom(16)))

    @property
    def is_alive(self) -> bool:
        """Whether hashing works, however busy it is; also before anything was hashed."""
        return self._pool.is_alive

    async def require_place(self, requester: Requester) -> None:
        """Raise `Overloaded` if a password would be refused now.

        A flood costs less if it is refused before the database is asked.
        """
        await self._pool.require_place(requester)

    async def hash(self, password: Password, requester: Requester = SERVICE) -> PasswordHash:
        """Return a hash of a password that RFC 8265 allows. Raises `Overloaded`."""
        if password.prepared is None:
            raise ValueError("the password has no prepared form")
        expected = self._times.expected(self._dummy_hash.scheme)
        executed = await self._pool.execute(Hash(password.prepared), requester, expected=expected)
        if not isinstance(executed.result, Hashed):
            raise TypeError("not the result of hashing")
        return PasswordHash(executed.result.password_hash, self._dummy_hash.scheme)

    async def verify(
        self,
        password_hash: PasswordHash | None,
        password: Password,
        requester: Requester = SERVICE,
        *,
        renew: bool = False,
    ) -> Verification:
        """Verify a password. Raises `Overloaded`.

        Without a hash, or with one that no password matches, the same work is done. With ``renew``,
        a hash that matches and is of another scheme is made again, if that is safe.
        """
        used = self._usable(password_hash)
        job = Verify(
            password_hash=used.text,
            forms=password.forms,
            prepared=password.prepared,
            text=password.text,
            renew=renew,
        )
        expected = self._times.expected(used.scheme) * len(job.forms)
        executed = await self._pool.execute(job, requester, expected=expected)
        if not isinstance(executed.result, Verified):
            raise TypeError("not the result of a verification")
        new_hash = executed.result.new_hash
        # Only the time of one form is that of the scheme.
        if executed.was_warm and len(job.forms) == 1 and new_hash is None:
            self._times.keep(used.scheme, executed.seconds)
        return Verification(
            matches=executed.result.matches and used is password_hash,
            new_hash=None if new_hash is None else parse_password_hash(new_hash),
            seconds=executed.seconds,
        )

    def refusal_time(self, password: Password | None = None) -> float:
        """Return the seconds that a refusal of a password has to take, without waiting.

        It is what all its forms take with the slowest scheme in use (90th percentile), or one form
        if there is no password; within bounds.
        """
        runs = 1 if password is None else len(password.forms)
        return min(self._times.p90 * runs, self._max_refusal_time)

    async def measure(self, hashes: Sequence[PasswordHash]) -> None:
        """Measure the schemes of these hashes and of the current cost, and forget all others.

        Of very many schemes it takes a part, those first that were never measured. Raises
        `Overloaded`.
        """
        # Parsed again: the scheme that a migration stored may be finer than that of the code.
        parsed = (parse_password_hash(each.text) for each in hashes)
        samples = {each.scheme: each for each in parsed}
        usable = [each for each in samples.values() if self._usable(each) is each]
        for scheme in samples.keys() - {each.scheme for each in usable}:
            log.warning("password_hashes_unusable", scheme=scheme)
        for sample in [*self._least_known(usable), self._dummy_hash]:
            for _ in range(MEASURED_TIMES):
                await self.verify(sample, MEASURED)
        self._times.forget_others({*samples, self._dummy_hash.scheme})

    def _least_known(self, samples: Iterable[PasswordHash]) -> list[PasswordHash]:
        others = (each for each in samples if each.scheme != self._dummy_hash.scheme)
        known = self._times.schemes
        return sorted(others, key=lambda each: each.scheme in known)[:MEASURED_SCHEMES]

    async def close(self) -> None:
        """Finish the passwords under way, refuse those that wait, and stop the processes."""
        await self._pool.close()

    def _usable(self, password_hash: PasswordHash | None) -> PasswordHash:
        """Return a hash that can be verified, else the dummy."""
        if password_hash is not None and is_verifiable(password_hash.text, self._cost):
            return password_hash
        return self._dummy_hash
