"""How the task that answers requests for a link to reset a password is woken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.auth.identifiers import Identifier
from service.auth.password_resets import PasswordResets
from service.bootstrap import open_services
from service.model.request_context import RequestContext
from service.settings.variables import read_settings
from tests.services import FRUGAL


@pytest.fixture
async def resets(database_url: str) -> AsyncIterator[PasswordResets]:
    settings = read_settings({**FRUGAL, "DATABASE_URL": database_url})
    async with open_services(settings, database_url) as services:
        yield services.password_resets


async def test_each_wait_ends_with_the_next_request_and_not_before(resets: PasswordResets) -> None:
    """Or the task would query the database without end."""
    for _ in range(2):
        woken = asyncio.create_task(resets.wait(60))
        await resets.answer_requests()
        assert not woken.done()
        await resets.request(Identifier.parse("alice"), RequestContext())
        async with asyncio.timeout(30):
            await woken


async def test_a_wait_is_no_longer_than_it_may_be(resets: PasswordResets) -> None:
    async with asyncio.timeout(30):
        await resets.wait(0)
