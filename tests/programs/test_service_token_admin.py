"""Service tokens that are created at once, and what no command line lets through."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from service.auth.errors import ServiceTokenNameTaken
from service.auth.programs.service_token_admin import (
    IssuedServiceToken,
    ServiceTokenAdmin,
    ServiceTokenName,
)
from service.model.service_tokens import NewServiceToken, Scope
from service.storage.database import Database
from service.storage.errors import StatementRefused
from service.storage.programs.service_tokens import add_service_token, suspend_service_tokens
from tests.databases import execute

DAY = timedelta(days=1)
SHOP = ServiceTokenName("shop")

# Two are of the same age.
AGES = """
UPDATE service_token SET
    created_at = timestamptz '2026-01-01' + (name = 'young')::int * interval '1 day',
    id = ('00000000-0000-0000-0000-00000000000' || length(name) % 5)::uuid
"""


async def test_of_those_who_take_a_name_at_once_one_has_it(database: Database) -> None:
    admin = ServiceTokenAdmin(database)
    results = await asyncio.gather(
        *(admin.create(SHOP, [Scope.INTROSPECT], DAY) for _ in range(8)), return_exceptions=True
    )
    assert len([each for each in results if isinstance(each, IssuedServiceToken)]) == 1
    assert len([each for each in results if isinstance(each, ServiceTokenNameTaken)]) == 7
    assert len(await admin.list()) == 1


@pytest.mark.parametrize("lifetime", [timedelta(), -DAY, timedelta(days=5 * 365, seconds=1)])
async def test_no_lifetime_is_empty_or_longer_than_five_years(
    database: Database, lifetime: timedelta
) -> None:
    with pytest.raises(ValueError, match="lifetime"):
        await ServiceTokenAdmin(database).create(SHOP, [Scope.INTROSPECT], lifetime)


async def test_a_token_has_a_scope(database: Database) -> None:
    with pytest.raises(ValueError, match="scope"):
        await ServiceTokenAdmin(database).create(SHOP, [], DAY)


async def test_all_tokens_are_suspended_once(database: Database) -> None:
    """The time stays that of the first restore until the operator has confirmed the token."""
    admin = ServiceTokenAdmin(database)
    await admin.create(SHOP, [Scope.INTROSPECT], DAY)
    async with database.connect() as connection:
        assert await suspend_service_tokens(connection) == 1
        ((first, _),) = await admin.list()
        assert await suspend_service_tokens(connection) == 0
    ((second, _),) = await admin.list()
    assert first.suspended_at == second.suspended_at is not None
    assert [token.name for token in await admin.confirm_all()] == [SHOP]


async def test_tokens_are_listed_by_age_then_by_id(database: Database, database_url: str) -> None:
    admin = ServiceTokenAdmin(database)
    for name in ("young", "old", "as old"):
        await admin.create(ServiceTokenName(name), [Scope.INTROSPECT], DAY)
    await asyncio.to_thread(execute, database_url, AGES)
    assert [token.name for token, _ in await admin.list()] == ["as old", "old", "young"]


async def test_only_a_name_that_is_taken_is_said_to_be(database: Database) -> None:
    new = NewServiceToken(
        id=uuid4(),
        name=SHOP,
        secret_hash=None,  # type: ignore[arg-type]
        scopes=frozenset(),
        lifetime=DAY,
    )
    with pytest.raises(StatementRefused):
        async with database.connect() as connection:
            await add_service_token(connection, new, 1)
