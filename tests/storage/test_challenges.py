"""Which challenges statements end: those of one user, for one purpose."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from service.model.challenges import Purpose
from service.storage import challenges as storage
from service.storage.database import Database
from tests.databases import execute, fetch, fetch_value

ADD_USER = 'INSERT INTO "user" (id) VALUES ($1)'
ADD = """
INSERT INTO challenge (id, purpose, user_id, key_id, expires_at) VALUES ($1, $2, $3, $4, $5)
"""
ALL = "SELECT id FROM challenge"

HOUR = timedelta(hours=1)


class Challenges:
    """The challenges of two users."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self.alice, self.bobby = uuid4(), uuid4()
        self.now: datetime = fetch_value(database_url, "SELECT now()")
        for user_id in (self.alice, self.bobby):
            execute(database_url, ADD_USER, user_id)

    def add(
        self,
        user_id: UUID,
        purpose: Purpose,
        lifetime: timedelta = HOUR,
        key_id: str | None = None,
    ) -> UUID:
        challenge_id = uuid4()
        execute(self.url, ADD, challenge_id, purpose, user_id, key_id, self.now + lifetime)
        return challenge_id

    async def left(self) -> set[UUID]:
        rows = await asyncio.to_thread(fetch, self.url, ALL)
        return {row["id"] for row in rows}


@pytest.fixture
def challenges(database_url: str) -> Challenges:
    return Challenges(database_url)


async def test_the_challenges_of_one_user_for_some_purposes_are_deleted(
    challenges: Challenges, database: Database
) -> None:
    kept = {
        challenges.add(challenges.bobby, Purpose.PASSWORD_RESET),
        challenges.add(challenges.alice, Purpose.UNDO),
    }
    challenges.add(challenges.alice, Purpose.PASSWORD_RESET)
    challenges.add(challenges.alice, Purpose.EMAIL)
    purposes = [Purpose.PASSWORD_RESET, Purpose.EMAIL]
    async with database.transaction() as connection:
        deleted = await storage.delete_challenges_of(connection, challenges.alice, purposes)
    assert (deleted, await challenges.left()) == (2, kept)


async def test_what_undoes_later_changes_of_one_user_is_deleted(
    challenges: Challenges, database: Database
) -> None:
    kept = {
        challenges.add(challenges.alice, Purpose.UNDO, HOUR),
        challenges.add(challenges.alice, Purpose.PASSWORD_RESET, 3 * HOUR),
        challenges.add(challenges.bobby, Purpose.UNDO, 3 * HOUR),
    }
    challenges.add(challenges.alice, Purpose.UNDO, 2 * HOUR)
    challenges.add(challenges.alice, Purpose.UNDO, 3 * HOUR)
    later_than = challenges.now + 2 * HOUR
    async with database.transaction() as connection:
        await storage.end_later_undos(connection, challenges.alice, later_than)
    assert await challenges.left() == kept


async def test_a_wrong_answer_to_an_expired_challenge_is_not_counted(
    challenges: Challenges, database: Database
) -> None:
    expired = challenges.add(challenges.alice, Purpose.EMAIL, -HOUR)
    async with database.transaction() as connection:
        assert await storage.count_failure(connection, expired) == 0
    failures = "SELECT failures FROM challenge"
    assert await asyncio.to_thread(fetch_value, challenges.url, failures) == 0


async def test_the_latest_expiry_of_each_key_is_that_of_its_live_challenges(
    challenges: Challenges, database: Database
) -> None:
    user_id, purpose = challenges.alice, Purpose.EMAIL
    for lifetime, key_id in ((2, "a"), (1, "a"), (1, "b"), (-1, "c"), (3, None)):
        challenges.add(user_id, purpose, lifetime * HOUR, key_id)
    async with database.connect() as connection:
        found = await storage.latest_expiry_by_key(connection)
    assert found == {"a": challenges.now + 2 * HOUR, "b": challenges.now + HOUR}
