"""Service tokens that are created at once, and what no command line lets through."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from service.auth.errors import ServiceTokenNameTaken
from service.auth.programs.service_token_admin import (
    IssuedServiceToken,
    ServiceTokenAdmin,
    ServiceTokenName,
)
from service.model.service_tokens import Scope
from service.storage.database import Database
from service.storage.programs.service_tokens import suspend_service_tokens

DAY = timedelta(days=1)
SHOP = ServiceTokenName("shop")


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
