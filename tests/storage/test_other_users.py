"""No statement about one user reads or changes anything of another."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service import storage
from service.auth.email_addresses import EmailAddress
from service.auth.hashing.schemes import parse_password_hash
from service.model.challenges import Purpose
from service.model.sessions import Method
from service.model.users import Provider
from service.storage import (
    challenges,
    claimed_nonces,
    devices,
    emails,
    identities,
    keys,
    session_endings,
    sessions,
    username_holds,
    users,
    ways_in,
)
from service.storage.admin import users as admin_users
from service.storage.database import Database
from service.storage.factors import existing, passkeys, recovery_codes, totp
from tests.databases import execute, fetch

NAMES = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
RP_ID = "example.com"
PASSWORD_HASH = parse_password_hash("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Person(Struct, frozen=True):
    """A user, by whose name all that they have is named."""

    name: str

    def id(self, what: str = "user") -> UUID:
        return uuid5(NAMES, f"{self.name} {what}")

    def digest(self, what: str) -> bytes:
        return sha256(f"{self.name} {what}".encode()).digest()


ALICE, BOBBY = Person("alice"), Person("bobby")


def belongings(person: Person) -> list[tuple[str, dict[str, Any]]]:
    """Return what a person has: the tables, and the columns of a row beside the user."""
    now = datetime.now(UTC)
    later = now + timedelta(hours=1)
    address = f"{person.name}@example.org"
    proofs = json.dumps({method: now.isoformat() for method in ("totp", "oidc:gone")})
    named = {"name": person.name, "display_name": person.name}
    found: list[tuple[str, dict[str, Any]]] = [
        ("key", named | {"provider": "username", "password_hash": "x", "password_scheme": "y"}),
        ("key", {**named, "provider": "email", "name": address, "verified_at": now}),
        ("sealed_secret", {"id": person.id("secret"), "purpose": "totp", **SEALED}),
        ("totp", {"secret_id": person.id("secret")}),
        ("totp_failure", {}),
        ("recovery_code", {"hash": person.digest("code")}),
        ("passkey", {"id": person.id("passkey"), "credential_id": person.digest("id"), **PASSKEY}),
        ("identity", {"id": person.id("identity"), "issuer": "i", "subject": person.name}),
        ("username_hold", {"name_hash": person.digest("former name")}),
    ]
    for number in range(3):
        device = person.digest(f"device {number}")
        ends = dict.fromkeys(SESSION_ENDS, later)
        opened = {"id": person.id(f"session {number}"), "secret_hash": b"", "methods": proofs}
        found += [
            ("device", {"hash": device}),
            ("session", {**opened, **ends, "device_hash": device, "created_at": now}),
        ]
    for purpose in (Purpose.UNDO, Purpose.PASSWORD_RESET):
        made = {"id": person.id(purpose), "purpose": purpose, "expires_at": later}
        found.append(("challenge", made))
    return found


SEALED = {"key_id": "k", "ciphertext": b""}
PASSKEY = {
    "public_key": b"",
    "sign_count": 0,
    "rp_id": RP_ID,
    "name": "x",
    "is_backup_eligible": True,
    "is_backed_up": True,
}
SESSION_ENDS = ("active_expires_at", "idle_expires_at", "absolute_expires_at")

ADD_USER = 'INSERT INTO "user" (id) VALUES ($1)'
CONFIRM_APPS = "UPDATE totp SET confirmed_at = now()"

# All that a user has, in any table.
OF_USER = " UNION ALL ".join(
    f"SELECT to_jsonb(each)::text AS row FROM {table} AS each WHERE user_id = $1"
    for table in (
        *("key", "session", "device", "challenge", "sealed_secret", "totp", "totp_failure"),
        *("recovery_code", "passkey", "identity", "username_hold"),
    )
)
STATE = f'SELECT to_jsonb(each)::text AS row FROM "user" AS each WHERE id = $1 UNION ALL {OF_USER}'

Call = Callable[[AsyncConnection, Person], Awaitable[object]]


def about(function: Callable[..., Awaitable[object]], *more: Any, **options: Any) -> Call:
    """Return the call of a function about a person."""
    return lambda connection, person: function(connection, person.id(), *more, **options)


async def secret_of(connection: AsyncConnection, person: Person) -> object:
    """Return the secret of an app; the time that is found with it passes."""
    found = await totp.find_totp(connection, person.id())
    return None if found is None else (found.secret_id, found.confirmed_at is None)


async def is_to_wait(connection: AsyncConnection, person: Person) -> bool:
    """Return whether a user with one wrong code has to wait, where two are allowed."""
    seconds = await totp.seconds_to_wait(connection, person.id(), None, failures=2, period=3600)
    return seconds > 0


READS: dict[str, Call] = {
    "find_record": about(admin_users.find_record),
    "has_several_devices": about(devices.has_several_devices),
    "find_verified_address": about(emails.find_verified_address),
    "user_has_factor": about(existing.user_has_factor),
    "find_existing_factors": about(existing.find_existing_factors, RP_ID),
    "list_passkeys": about(passkeys.list_passkeys),
    "count_passkeys": about(passkeys.count_passkeys),
    "find_handle": about(passkeys.find_handle),
    "count_recovery_codes": about(recovery_codes.count_recovery_codes),
    "find_totp": secret_of,
    "known_device": about(totp.known_device, BOBBY.digest("device 0")),
    "seconds_to_wait": is_to_wait,
    "list_identities": about(identities.list_identities),
    "find_password_key": about(keys.find_password_key),
    "list_keys": about(keys.list_keys),
    "has_name": about(keys.has_name),
    "count_sessions": about(sessions.count_sessions),
    "list_sessions": about(sessions.list_sessions, 100),
    "find_user": about(users.find_user),
    "lock_user": about(users.lock_user),
    "lock_enabled_user": about(users.lock_enabled_user),
    "lock_security_version": about(users.lock_security_version),
    "find_ways_in": about(ways_in.find_ways_in, RP_ID),
}

WRITES: dict[str, Call] = {
    "change_user": about(
        admin_users.change_user,
        roles=["x"],
        metadata={"a": 1},
        is_disabled=True,
        disabled_reason="x",
    ),
    "delete_challenges_of": about(challenges.delete_challenges_of, [*Purpose]),
    "end_later_undos": about(challenges.end_later_undos, LONG_AGO),
    "claim_nonce": about(
        claimed_nonces.claim_nonce,
        b"n",
        issued_at=LONG_AGO,
        expires_at=LONG_AGO + timedelta(days=36500),
    ),
    "remove_addresses": about(emails.remove_addresses),
    "rename_passkey": about(passkeys.rename_passkey, BOBBY.id("passkey"), "new"),
    "remove_passkey": about(passkeys.remove_passkey, BOBBY.id("passkey")),
    "remove_passkeys_since": about(passkeys.remove_passkeys_since, LONG_AGO),
    "give_handle": about(passkeys.give_handle, b"h" * 64),
    "delete_recovery_codes": about(recovery_codes.delete_recovery_codes),
    "delete_recovery_codes since": about(recovery_codes.delete_recovery_codes, since=LONG_AGO),
    "replace_recovery_codes": about(recovery_codes.replace_recovery_codes, [b"x" * 32]),
    "claim_recovery_code": about(recovery_codes.claim_recovery_code, BOBBY.digest("code")),
    "put_pending_totp": lambda c, p: totp.put_pending_totp(c, p.id(), p.id("secret")),
    "use_step": about(totp.use_step, 2**40),
    "confirm_totp": about(totp.confirm_totp),
    "remove_totp": about(totp.remove_totp),
    "remove_secrets": about(totp.remove_secrets, "totp"),
    "add_failure": about(totp.add_failure, None),
    "remove_identity": about(identities.remove_identity, BOBBY.id("identity")),
    "remove_identities_since": about(identities.remove_identities_since, LONG_AGO),
    "set_password_hash": about(keys.set_password_hash, PASSWORD_HASH),
    "remove_password": about(keys.remove_password),
    "end_session_of_user": lambda c, p: session_endings.end_session_of_user(
        c, BOBBY.id("session 0"), p.id()
    ),
    "end_other_sessions": lambda c, p: session_endings.end_other_sessions(
        c, p.id(), p.id("session 0")
    ),
    "end_sessions_proven_by": about(session_endings.end_sessions_proven_by, Method.TOTP, None),
    "end_sessions_of_other_providers": lambda c, p: session_endings.end_sessions_of_other_providers(
        c, p.id(), [], p.id("session 0")
    ),
    "end_all_sessions": about(session_endings.end_all_sessions),
    "end_oldest_sessions": about(session_endings.end_oldest_sessions, 1),
    "remove_method": about(sessions.remove_method, Method.TOTP),
    "remove_key": about(keys.remove_key, Provider.USERNAME, "bobby"),
    "replace_address": about(emails.replace_address, EmailAddress.parse("carol@example.org")),
    "rename": about(keys.rename, "carol", "Carol"),
    "hold_usernames": about(username_holds.hold_usernames),
    "move_security_version": about(users.move_security_version),
    "move_version": about(users.move_version),
    "delete_user": about(users.delete_user),
}

# They insert a row with the id of the user that they are given.
INSERTS = {"add_passkey", "add_identity", "add_key", "add_sealed_secret"}


async def add_bare(database_url: str, person: Person) -> None:
    """Add a user who has nothing."""
    await asyncio.to_thread(execute, database_url, ADD_USER, person.id())


async def add(database_url: str, person: Person) -> None:
    """Add a user who has one or more of everything."""
    await add_bare(database_url, person)
    for table, columns in belongings(person):
        values = {"user_id": person.id(), **columns}
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"
        await asyncio.to_thread(execute, database_url, statement, *values.values())


async def state_of(database_url: str, person: Person) -> list[str]:
    rows = await asyncio.to_thread(fetch, database_url, STATE, person.id())
    return sorted(row["row"] for row in rows)


@pytest.mark.parametrize("apps_are_confirmed", [False, True])
@pytest.mark.parametrize("name", WRITES)
async def test_a_change_of_one_user_changes_nothing_of_another(
    database_url: str, database: Database, name: str, *, apps_are_confirmed: bool
) -> None:
    for person in (ALICE, BOBBY):
        await add(database_url, person)
    if apps_are_confirmed:
        await asyncio.to_thread(execute, database_url, CONFIRM_APPS)
    before = await state_of(database_url, BOBBY)
    assert len(before) == 1 + len(belongings(BOBBY))
    async with database.transaction() as connection:
        await WRITES[name](connection, ALICE)
    assert await state_of(database_url, BOBBY) == before


@pytest.mark.parametrize("has_everything", [True, False])
async def test_what_is_read_of_one_user_is_the_same_if_there_is_another(
    database_url: str, database: Database, *, has_everything: bool
) -> None:
    async def read() -> dict[str, Any]:
        async with database.transaction() as connection:
            return {name: await call(connection, ALICE) for name, call in READS.items()}

    await (add if has_everything else add_bare)(database_url, ALICE)
    alone = await read()
    await add(database_url, BOBBY)
    await asyncio.to_thread(execute, database_url, f"{CONFIRM_APPS} WHERE user_id = '{BOBBY.id()}'")
    assert await read() == alone


def test_no_function_about_one_user_is_left_out() -> None:
    found = {
        each.name
        for path in Path(storage.__file__).parent.rglob("*.py")
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.AsyncFunctionDef)
        and any(argument.arg == "user_id" for argument in (*each.args.args, *each.args.kwonlyargs))
    }
    called = {name.partition(" ")[0] for name in (*READS, *WRITES)}
    assert found == called | INSERTS
