"""A user name that was given up is nobody else's for a while."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from service.auth.cleanup import delete_expired_holds
from service.auth.errors import UsernameTaken
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.storage.database import Database
from tests.cli.running import run
from tests.databases import execute, fetch, result_during
from tests.factories import PASSWORD, log_in, sign_up
from tests.services import Service

DAY = 86400

DELETE = """
WITH held AS (INSERT INTO username_hold (name_hash) SELECT sha256('alice'))
DELETE FROM "user" WHERE id IN (SELECT user_id FROM key WHERE name = 'alice')
"""


def delete_me(client: httpx.Client) -> None:
    assert client.request("DELETE", "/me", json={"password": PASSWORD}).status_code == 204
    client.cookies.clear()


def age_holds(database_url: str, days: int) -> None:
    moved = "freed_at = freed_at - make_interval(days => $1)"
    execute(database_url, f"UPDATE username_hold SET {moved}", days)


@pytest.mark.parametrize("spelling", ["Alice", "alice", "ＡＬＩＣＥ"])
def test_the_name_of_a_deleted_user_is_taken_in_every_spelling(
    client: httpx.Client, spelling: str
) -> None:
    sign_up(client)
    delete_me(client)
    refused = sign_up(client, spelling)
    assert (refused.status_code, refused.json()["code"]) == (409, "username_taken")
    assert log_in(client, spelling).status_code == 401


def test_a_change_to_a_username_that_is_held_is_refused(client: httpx.Client) -> None:
    sign_up(client)
    delete_me(client)
    sign_up(client, "Bobby")
    refused = client.put("/me/username", json={"username": "Alice"})
    assert (refused.status_code, refused.json()["code"]) == (409, "username_taken")
    assert client.get("/me").json()["user"]["username"] == "Bobby"


def test_a_name_that_is_given_up_holds_no_other_one(client: httpx.Client) -> None:
    sign_up(client)
    delete_me(client)
    assert sign_up(client, "Bobby").status_code == 201


def test_the_name_is_free_once_its_time_is_over(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    delete_me(client)
    age_holds(service.database_url, 29)
    assert sign_up(client).status_code == 409
    age_holds(service.database_url, 1)
    assert sign_up(client).status_code == 201


def test_a_name_that_is_given_up_again_is_held_anew(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    delete_me(client)
    age_holds(service.database_url, 30)
    sign_up(client)
    delete_me(client)
    assert sign_up(client).status_code == 409


def test_a_refused_deletion_holds_nothing(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    assert client.request("DELETE", "/me", json={"password": "wrong"}).status_code == 401
    assert fetch(service.database_url, "SELECT FROM username_hold") == []


def test_an_operator_deletes_with_the_same_effect_and_can_give_the_name(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    url = service.database_url
    assert run("user", "delete", "Alice", "--yes", DATABASE_URL=url).returncode == 0
    client.cookies.clear()
    assert sign_up(client).status_code == 409
    made = run("user", "create", "Alice", typed=f"{PASSWORD}\n", DATABASE_URL=url)
    assert made.returncode == 0
    assert log_in(client).status_code == 200


def test_what_is_kept_of_a_deleted_user_is_a_hash_and_a_time(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    delete_me(client)
    ((name_hash, user_id, _),) = fetch(service.database_url, "SELECT * FROM username_hold")
    assert len(name_hash) == 32
    assert user_id is None


def test_a_name_cannot_be_taken_at_the_moment_it_is_given_up(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    client.cookies.clear()
    response = result_during(service.database_url, DELETE, lambda: sign_up(client))
    assert response.status_code == 409
    assert fetch(service.database_url, 'SELECT FROM "user"') == []


@pytest.fixture
def users(database_url: str) -> tuple[UUID, UUID]:
    alice, mallory = UUID(int=1), UUID(int=2)
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" (id) VALUES ($1), ($2))
           INSERT INTO key (provider, name, user_id, display_name) VALUES
               ('username', 'alice', $1, 'Alice'), ('email', 'a@x.com', $1, 'a@x.com'),
               ('username', 'mallory', $2, 'Mallory')""",
        alice,
        mallory,
    )
    return alice, mallory


async def rename(database: Database, user_id: UUID, name: str) -> None:
    """Change a user name, as the rules say."""
    holds = UsernameHolds(hold=30 * DAY)
    async with database.transaction() as connection:
        await holds.give_up(connection, user_id)
        await connection.execute(
            text("UPDATE key SET name = :name WHERE user_id = :id AND provider = 'username'"),
            {"id": user_id, "name": name},
        )
        await holds.require_free(connection, Username(name, name), taker_id=user_id)


async def test_only_the_former_owner_takes_a_name_back(
    database: Database, users: tuple[UUID, UUID]
) -> None:
    alice, mallory = users
    await rename(database, alice, "alicia")
    with pytest.raises(UsernameTaken):
        await rename(database, mallory, "alice")
    await rename(database, alice, "alice")
    with pytest.raises(UsernameTaken):
        await rename(database, mallory, "alicia")


async def test_nobody_takes_back_a_former_name_of_a_deleted_user(
    database: Database, database_url: str, users: tuple[UUID, UUID]
) -> None:
    alice, mallory = users
    await rename(database, alice, "alicia")
    await asyncio.to_thread(execute, database_url, 'DELETE FROM "user" WHERE id = $1', alice)
    with pytest.raises(UsernameTaken):
        await rename(database, mallory, "alice")


async def test_the_cleanup_deletes_old_holds_only(
    database: Database, database_url: str, users: tuple[UUID, UUID]
) -> None:
    await rename(database, users[0], "alicia")
    await asyncio.to_thread(age_holds, database_url, 30)
    await rename(database, users[1], "malory")
    assert await delete_expired_holds(database, 30 * DAY) == 1
    assert len(await asyncio.to_thread(fetch, database_url, "SELECT FROM username_hold")) == 1
