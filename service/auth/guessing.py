"""Guessers are slowed down, by address and by name, and owners are let in all the same.

What counts is failures: whoever shows the right password gets the attempt back. An address may fail
so often at whatever names, a name so often from whatever addresses. Once a name has failed too
often, an address that has not failed at it within that time still has an attempt: so nobody can
lock the owner out, and a guesser needs a new address for each guess (of IPv6, a new site).

A name that nobody has is treated as any other. The attempts are counted before the password is
looked at, in the database: no number of simultaneous guesses, in whatever process, gets past.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from ipaddress import IPv6Address
from typing import TypeAlias

from msgspec import Struct

from service.auth.errors import RateLimited
from service.model import Address, Caller, Rate
from service.storage import attempts as storage
from service.storage.attempts import Paid, Purse, Purses
from service.storage.database import Database

# The bits of an IPv6 address that name a network, and a site: whoever has a site has 65,536
# networks to guess from (RFC 6177).
IPV6_NETWORK = 64
IPV6_SITE = 48

# Without a limit attempts cost nothing; the credit is for a clock that is set back.
UNLIMITED = {"price": 0.0, "credit": 86400.0}

# An attempt that was admitted, by who paid for it.
Attempt: TypeAlias = Paid


class GuessingLimits(Struct, frozen=True, kw_only=True):
    """How often what may fail, or in the case of sign-up be tried."""

    log_ins_per_name: Rate
    log_ins_per_address: Rate
    sign_ups_per_address: Rate


class Guessing:
    """The attempts counted in ``database``."""

    def __init__(self, database: Database, limits: GuessingLimits) -> None:
        self._database = database
        self._limits = limits

    async def admit_log_in(self, name: str, caller: Caller) -> Attempt:
        """Count an attempt at a name. Raises `RateLimited`."""
        async with self._database.connect() as connection:
            with _refusals_named():
                return await storage.pay_for_name(connection, self._purses(name, caller))

    async def admit_sign_up(self, caller: Caller) -> Attempt:
        """Count a sign-up. Raises `RateLimited`."""
        place = _place(caller.device.address)
        purse = _purse(self._limits.sign_ups_per_address, "sign-up from", place)
        async with self._database.connect() as connection:
            with _refusals_named():
                return await storage.pay(connection, purse)

    async def give_back(self, attempt: Attempt) -> None:
        """Count an attempt no more: the password was right, or nobody had the time for it."""
        async with self._database.connect() as connection:
            await storage.give_back(connection, attempt)

    def _purses(self, name: str, caller: Caller) -> Purses:
        address = caller.device.address
        per_name = self._limits.log_ins_per_name
        one_per_pair = Rate(min(per_name.attempts, 1), per_name.period)
        return Purses(
            address=_purse(self._limits.log_ins_per_address, "log-in from", _place(address)),
            pair=_purse(
                one_per_pair, "log-in from and as", _place(address, IPV6_SITE), name.encode()
            ),
            name=_purse(per_name, "log-in as", name.encode()),
        )


def _purse(rate: Rate, *subject: str | bytes) -> Purse:
    if not rate.attempts:
        return Purse(subject=_digest(*subject), **UNLIMITED)
    price = rate.period / rate.attempts
    return Purse(subject=_digest(*subject), price=price, credit=rate.period - price)


def _digest(*parts: str | bytes) -> bytes:
    """What is attempted is not kept as it was typed: it may be a password in the wrong field."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return sha256(b"".join(len(part).to_bytes(4) + part for part in encoded)).digest()


def _place(address: Address | None, ipv6_bits: int = IPV6_NETWORK) -> bytes:
    if isinstance(address, IPv6Address):
        return address.packed[: ipv6_bits // 8]
    return address.packed if address is not None else b""


@contextmanager
def _refusals_named() -> Iterator[None]:
    try:
        yield
    except storage.Spent as error:
        raise RateLimited(max(1, math.ceil(error.wait))) from error
