"""What an attacker gets by guessing, and what the owner of the account gets meanwhile.

``python -m tests.attack_patterns`` prints the table of `docs/rate-limits.md`. It works with the
rate limiter of the service on a database of its own, and moves the times in the database instead of
waiting. No password is hashed: every guess is wrong, and every attempt of the owner is right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from service.auth.devices import DeviceToken
from service.auth.errors import InvalidCredentials, RateLimited
from service.auth.hashing.hasher import Hasher
from service.auth.identifiers import Identifier
from service.auth.rate_limits import RateLimiter
from service.model.request_context import Device, RequestContext
from service.model.sessions import Session
from service.settings.database import DatabaseOptions
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Duration
from service.storage.database import Database
from tests.databases import TestServer

OWNER = UUID(int=1)
NAME = "alice"
KNOWN_DEVICE = DeviceToken.issue()

MINUTE = 60.0
HOUR = 3600.0

# The delays of the settings are divided by this, to spare the time.
HASTE = 1000

# Nothing is verified, so refusals need not take as long as verifying.
NO_HASHER = cast("Hasher", SimpleNamespace(refusal_time=lambda: 0.0))


class Pattern(Struct, frozen=True, kw_only=True):
    """An attack: from which addresses, at which names, and where the owner is meanwhile."""

    title: str
    addresses: Sequence[str]
    owner_address: str
    is_spraying: bool = False
    device: DeviceToken | None = None
    is_in_session: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """Guesses of the first quarter of an hour and of the hours after it; what the owner gets."""

    burst: int
    per_hour: int
    known_device: str
    new_device: str
    after_a_typing_error: str
    password_change: str


def addresses(template: str, number: int) -> list[str]:
    return [template.format(each) for each in range(number)]


ELSEWHERE = "192.0.2.1"
NAT = "203.0.113.1"

PATTERNS = [
    Pattern(title="one IPv4 address", addresses=[NAT], owner_address=ELSEWHERE),
    Pattern(title="one IPv4 address, the owner behind it too", addresses=[NAT], owner_address=NAT),
    Pattern(
        title="one IPv6 /64, the owner in the same /56",
        addresses=addresses("2001:db8:0:1::{}", 20),
        owner_address="2001:db8:0:2::1",
    ),
    Pattern(
        title="one IPv6 /56, the owner in the same /48",
        addresses=addresses("2001:db8:0:1{:02x}::1", 20),
        owner_address="2001:db8:0:200::1",
    ),
    Pattern(
        title="one IPv6 /48, the owner in it",
        addresses=addresses("2001:db8:0:{:x}00::1", 20),
        owner_address="2001:db8:0:ff00::1",
    ),
    Pattern(
        title="distributed: 100 addresses",
        addresses=addresses("203.0.113.{}", 100),
        owner_address=ELSEWHERE,
    ),
    Pattern(
        title="spraying, one IPv4 address",
        addresses=[NAT],
        owner_address=NAT,
        is_spraying=True,
    ),
    Pattern(
        title="spraying, one IPv6 /48",
        addresses=addresses("2001:db8:0:{:x}00::1", 20),
        owner_address="2001:db8:0:ff00::1",
        is_spraying=True,
    ),
    Pattern(
        title="spraying, 100 addresses",
        addresses=addresses("203.0.113.{}", 100),
        owner_address=ELSEWHERE,
        is_spraying=True,
    ),
    Pattern(
        title="a stolen token of a known device",
        addresses=[NAT],
        owner_address=ELSEWHERE,
        device=KNOWN_DEVICE,
    ),
    Pattern(
        title="a stolen session (current password)",
        addresses=[NAT],
        owner_address=ELSEWHERE,
        is_in_session=True,
    ),
]


class Simulation:
    """An attack on an empty table of rate limits."""

    def __init__(self, database: Database, limits: RateLimitSettings, pattern: Pattern) -> None:
        self._database = database
        quick = replace(limits, log_in_max_delay=Duration(limits.log_in_max_delay / HASTE))
        self._limiter = RateLimiter(
            database, NO_HASHER, quick, timeout=1, device_lifetime=400 * 86400
        )
        self._pattern = pattern
        self._names = (f"name{number}" for number in count()) if pattern.is_spraying else None

    async def run(self, *, hours: int) -> Outcome:
        """Attack for a quarter of an hour and for some hours, and let the owner try in the end."""
        await self._prepare()
        burst = await self._guess_for(15)
        later = await self._guess_for(60 * hours) if hours else 0
        return Outcome(
            burst=burst,
            per_hour=round(later / max(hours, 1)),
            known_device=await self._owner(KNOWN_DEVICE),
            new_device=await self._owner(None),
            after_a_typing_error=await self._owner_after_a_typing_error(),
            password_change=await self._owner_in_session(),
        )

    async def _prepare(self) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(text('TRUNCATE "user", rate_limit CASCADE'))
            await connection.execute(text('INSERT INTO "user" (id) VALUES (:id)'), {"id": OWNER})
            await connection.execute(
                text(
                    "INSERT INTO key (provider, name, display_name, user_id)"
                    " VALUES ('username', :name, :name, :user_id)"
                ),
                {"name": NAME, "user_id": OWNER},
            )
            await connection.execute(
                text("INSERT INTO device (hash, user_id) VALUES (:hash, :user_id)"),
                {"hash": KNOWN_DEVICE.hash, "user_id": OWNER},
            )

    async def _guess_for(self, minutes: int) -> int:
        """Guess whenever there is an attempt. Returns how often there was one."""
        guesses = 0
        for _ in range(minutes):
            for address in self._pattern.addresses:
                while await self._guess(address):
                    guesses += 1
            await self._pass_time(MINUTE)
        # The attacker is there when the owner comes.
        for address in self._pattern.addresses:
            while await self._guess(address):
                guesses += 1
        return guesses

    async def _guess(self, address: str) -> bool:
        context = RequestContext(device=Device(address=ip_address(address)))
        if self._pattern.is_in_session:
            return await fails(self._limiter.password_check(session(2), context))
        name = next(self._names) if self._names else NAME
        device = self._pattern.device
        return await fails(
            self._limiter.login_attempt(Identifier.parse(name), context, device=device)
        )

    async def _pass_time(self, seconds: float) -> None:
        async with self._database.connect() as connection:
            moved = "tat = tat - make_interval(secs => :seconds)"
            await connection.execute(
                text(f"UPDATE rate_limit SET {moved}"),
                {"seconds": seconds},
            )

    async def _owner(self, device: DeviceToken | None, *, wrong: bool = False) -> str:
        context = RequestContext(device=Device(address=ip_address(self._pattern.owner_address)))
        try:
            identifier = Identifier.parse(NAME)
            async with self._limiter.login_attempt(identifier, context, device=device) as attempt:
                if wrong:
                    raise InvalidCredentials
        except RateLimited as refusal:
            return f"429, {refusal.retry_after} s"
        delay = attempt.delay * HASTE
        return f"in, after {delay:.1f} s" if delay else "in"

    async def _owner_after_a_typing_error(self) -> str:
        with suppress(InvalidCredentials):
            await self._owner(None, wrong=True)
        return await self._owner(None)

    async def _owner_in_session(self) -> str:
        context = RequestContext(device=Device(address=ip_address(self._pattern.owner_address)))
        try:
            async with self._limiter.password_check(session(1), context):
                return "in"
        except RateLimited as refusal:
            return f"429, {refusal.retry_after} s"


async def fails(limits: AbstractAsyncContextManager[object]) -> bool:
    """Fail in an attempt. Returns whether there was one."""
    try:
        async with limits:
            raise InvalidCredentials  # noqa: TRY301
    except RateLimited:
        return False
    except InvalidCredentials:
        return True


def session(number: int) -> Session:
    now = datetime.now(UTC)
    return Session(
        id=UUID(int=number),
        user_id=OWNER,
        created_at=now,
        renewed_at=now,
        active_expires_at=now,
        idle_expires_at=now,
        absolute_expires_at=now,
        authenticated_at=now,
        methods={"password": now},
    )


def table(outcomes: Sequence[tuple[Pattern, Outcome]]) -> str:
    """Return the outcomes as a Markdown table."""
    header = (
        "| attack | guesses in 15 min; per hour | owner: known device | new device "
        "| second try | in a session |"
    )
    rows = [header, "| --- | --- | --- | --- | --- | --- |"]
    for pattern, each in outcomes:
        rows.append(
            f"| {pattern.title} | {each.burst}; {each.per_hour} | {each.known_device} "
            f"| {each.new_device} | {each.after_a_typing_error} | {each.password_change} |"
        )
    return "\n".join(rows)


async def simulate_all(url: str, hours: int) -> Iterator[tuple[Pattern, Outcome]]:
    database = Database(url, DatabaseOptions())
    try:
        return iter(
            [
                (each, await Simulation(database, RateLimitSettings(), each).run(hours=hours))
                for each in PATTERNS
            ]
        )
    finally:
        await database.close()


def main(show: Callable[[str], None] = print) -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with TemporaryDirectory(prefix="ostiary-attacks-") as directory:
        server = TestServer(Path(directory))
        server.start()
        try:
            with server.database() as url:
                show(table(list(asyncio.run(simulate_all(url, hours=1)))))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
