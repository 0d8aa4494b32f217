"""The one rule of who may sign up, and that nothing creates a user without it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

import service
from service.auth.admissions import Admissions
from service.auth.errors import InvalidInvitation, SignUpClosed
from service.auth.passwords import NewCredentials, PasswordPolicy
from service.auth.usernames import Username
from service.bootstrap import open_services
from service.model.invitations import Invitation
from service.model.request_context import RequestContext
from service.settings.sign_up import SignUpMode
from service.settings.variables import read_settings
from service.storage.database import Database
from tests.databases import execute, fetch_value
from tests.factories import PASSWORD
from tests.invitations import EXPIRE, invite
from tests.services import FRUGAL

ALICE, BOBBY = "alice@example.org", "bobby@example.org"
COUNT = "SELECT count(*) FROM invitation"

PACKAGE = Path(service.__file__).parent


async def checked(database: Database, database_url: str, address: str | None = None) -> Invitation:
    token = await asyncio.to_thread(invite, database_url, address)
    found = await Admissions(database, SignUpMode.INVITED).check(token, address)
    assert found is not None
    return found


async def test_an_invitation_is_claimed_for_its_address_only(
    database: Database, database_url: str
) -> None:
    """Though a way to sign up should check another address than it then creates a user with."""
    admissions = Admissions(database, SignUpMode.INVITED)
    invitation = await checked(database, database_url, ALICE)
    for address in (BOBBY, None):
        async with database.transaction() as connection:
            with pytest.raises(InvalidInvitation):
                await admissions.admit(connection, invitation, address)
    async with database.transaction() as connection:
        admission = await admissions.admit(connection, invitation, ALICE)
    assert admission.invitation_id == invitation.id


async def test_of_several_invitations_the_one_that_was_checked_is_claimed(
    database: Database, database_url: str
) -> None:
    invitation, _ = [await checked(database, database_url) for _ in range(2)]
    async with database.transaction() as connection:
        admitted = await Admissions(database, SignUpMode.INVITED).admit(connection, invitation)
    assert admitted.invitation_id == invitation.id
    assert await asyncio.to_thread(fetch_value, database_url, COUNT) == 1


async def test_an_invitation_is_worth_nothing_while_sign_up_is_closed(
    database: Database, database_url: str
) -> None:
    """It is neither checked, nor is an invalid one told from a valid one."""
    token = await asyncio.to_thread(invite, database_url)
    for presented in (token, f"{token}x", ""):
        with pytest.raises(SignUpClosed):
            await Admissions(database, SignUpMode.CLOSED).check(presented)


async def test_an_invitation_that_expired_since_it_was_checked_is_not_claimed(
    database: Database, database_url: str
) -> None:
    invitation = await checked(database, database_url)
    await asyncio.to_thread(execute, database_url, EXPIRE)
    async with database.transaction() as connection:
        with pytest.raises(InvalidInvitation):
            await Admissions(database, SignUpMode.INVITED).admit(connection, invitation)


async def test_a_way_to_sign_up_that_checks_nothing_admits_nobody(
    database: Database, database_url: str
) -> None:
    invitation = await checked(database, database_url)
    async with database.transaction() as connection:
        with pytest.raises(InvalidInvitation):
            await Admissions(database, SignUpMode.INVITED).admit(connection, None)
        with pytest.raises(SignUpClosed):
            await Admissions(database, SignUpMode.CLOSED).admit(connection, None)
        with pytest.raises(SignUpClosed):
            await Admissions(database, SignUpMode.CLOSED).admit(connection, invitation)
    assert await asyncio.to_thread(fetch_value, database_url, COUNT) == 1


@pytest.mark.parametrize(
    ("mode", "refusal"), [("invited", InvalidInvitation), ("closed", SignUpClosed)]
)
async def test_who_is_not_admitted_has_no_password_hashed(
    database_url: str, monkeypatch: pytest.MonkeyPatch, mode: str, refusal: type[Exception]
) -> None:
    settings = read_settings({**FRUGAL, "DATABASE_URL": database_url, "OSTIARY_SIGN_UP": mode})
    credentials = NewCredentials(Username.parse("Alice"), PasswordPolicy().accept(PASSWORD))
    async with open_services(settings, database_url) as services:
        monkeypatch.setattr(services.hasher, "hash", fail_to_hash)
        with pytest.raises(refusal):
            await services.accounts.sign_up(credentials, context=RequestContext())


async def fail_to_hash(*_: object) -> None:
    pytest.fail("a password was hashed")


def test_only_the_rule_and_operators_make_admissions() -> None:
    """What else needs one has to ask the rule: a function that inserts a user demands it."""
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"\b(Admission|by_operator)\(", path.read_text())
    }
    assert found == {
        ("auth/admissions.py", "Admission"),
        ("auth/admin/new_users.py", "by_operator"),
        ("model/admissions.py", "Admission"),
        ("model/admissions.py", "by_operator"),
    }
