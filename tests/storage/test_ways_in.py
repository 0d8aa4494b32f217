"""By what a user could log in, as far as only the database shows it."""

from __future__ import annotations

from uuid import UUID

from service.storage.database import Database
from service.storage.ways_in import FoundWaysIn, find_ways_in
from tests.databases import execute
from tests.storage.conftest import add_user

ADD_KEY = """
INSERT INTO key (
    provider, name, user_id, display_name, password_hash, password_scheme, verified_at
)
VALUES (
    $1, $2, $3, $2, CASE WHEN $4 THEN 'hash' END, CASE WHEN $4 THEN 'scheme' END,
    CASE WHEN $5 THEN now() END
)
"""
NONE = FoundWaysIn(has_password=False, passkeys=0, has_verified_address=False, issuers=[])


def add_key(
    database_url: str,
    user_id: UUID,
    key: str,
    *,
    has_password: bool = False,
    is_verified: bool = False,
) -> None:
    """Add a key, written as provider and name with a colon between."""
    provider, name = key.split(":")
    execute(database_url, ADD_KEY, provider, name, user_id, has_password, is_verified)


async def found(database: Database, user_id: UUID) -> FoundWaysIn:
    async with database.connect() as connection:
        return await find_ways_in(connection, user_id, "example.com")


async def test_several_names_with_the_password_and_verified_addresses_are_found(
    database: Database, database_url: str, alice: UUID
) -> None:
    for key in ("username:alice", "email:alice@example.org", "email:alice@example.com"):
        is_verified = key.startswith("email:")
        add_key(database_url, alice, key, has_password=True, is_verified=is_verified)
    assert await found(database, alice) == FoundWaysIn(
        has_password=True, passkeys=0, has_verified_address=True, issuers=[]
    )


async def test_a_name_without_password_and_an_address_that_is_not_verified_are_no_ways_in(
    database: Database, database_url: str, alice: UUID
) -> None:
    for key in ("username:alice", "email:alice@example.org"):
        add_key(database_url, alice, key)
    assert await found(database, alice) == NONE


async def test_a_password_counts_with_a_user_name_or_an_address_only(
    database: Database, database_url: str, alice: UUID
) -> None:
    """A key of another provider, such as one imported from Lucia, cannot be used to log in."""
    add_key(database_url, alice, "elsewhere:alice", has_password=True)
    assert await found(database, alice) == NONE


async def test_only_an_address_counts_as_one_that_is_verified(
    database: Database, database_url: str, alice: UUID
) -> None:
    """Links to reset the password are mailed to nothing else."""
    for key in ("username:alice", "elsewhere:alice"):
        add_key(database_url, alice, key, is_verified=True)
    assert await found(database, alice) == NONE


async def test_the_names_of_another_user_are_no_ways_in(
    database: Database, database_url: str, alice: UUID
) -> None:
    bobby = add_user(database_url)
    for key in ("username:bobby", "email:bobby@example.org"):
        is_verified = key.startswith("email:")
        add_key(database_url, bobby, key, has_password=True, is_verified=is_verified)
    assert await found(database, alice) == NONE
