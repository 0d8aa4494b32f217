"""Step-up of sessions that end while it is asked for."""

from __future__ import annotations

import asyncio

import pytest

from service.auth.errors import NotAuthenticated
from service.auth.passwords import NewCredentials, PasswordPolicy
from service.auth.sessions import LiveSession
from service.auth.usernames import Username
from service.bootstrap import open_services
from service.model.request_context import RequestContext
from service.settings.variables import read_settings
from tests.databases import execute
from tests.factories import PASSWORD
from tests.services import FRUGAL


async def test_the_user_of_a_session_that_has_ended_is_not_asked_to_reauthenticate(
    database_url: str,
) -> None:
    settings = read_settings({**FRUGAL, "DATABASE_URL": database_url})
    credentials = NewCredentials(Username.parse("Alice"), PasswordPolicy().accept(PASSWORD))
    async with open_services(settings, database_url) as services:
        opened = await services.accounts.sign_up(credentials, context=RequestContext())
        live = LiveSession(
            session=opened.session,
            user=opened.user,
            token=opened.token,
            found_at=opened.issued_at,
        )
        await asyncio.to_thread(execute, database_url, "DELETE FROM session")
        with pytest.raises(NotAuthenticated):
            await services.step_up.require(live)
