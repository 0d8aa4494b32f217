"""Pages of users: each user once, however many share a moment or the beginning of a name."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from service.model.users import Provider
from service.storage.admin.pages import LIST_NEWEST, LIST_OLDER, NamePrefix, by_name, end_of
from service.storage.direct import compiled
from tests.admin.conftest import USERS, Program
from tests.databases import Connection, execute, fetch, on_connection
from tests.factories import codes
from tests.services import Service

ADD_USERS = """
WITH added AS (
    INSERT INTO "user" (id) SELECT gen_random_uuid() FROM unnest($1::text[]) RETURNING id
), numbered AS (SELECT id, row_number() OVER () AS number FROM added)
INSERT INTO key (provider, name, user_id, display_name)
SELECT $2, lower(name), id, name
FROM numbered JOIN unnest($1::text[]) WITH ORDINALITY AS given (name, number) USING (number)
"""


def add_users(service: Service, *names: str, provider: str = "username") -> None:
    """Insert users in one transaction: all begin at the same moment."""
    execute(service.database_url, ADD_USERS, [*names], provider)


def names_on(page: Any, field: str = "username") -> list[str]:
    return [each[field] for each in page["users"]]


def all_pages(program: Program, **query: str | int) -> list[Any]:
    pages = [program.get(USERS, **query).json()]
    while (cursor := pages[-1]["next"]) is not None:
        pages.append(program.get(USERS, **query, cursor=cursor).json())
    return pages


QUERIES: list[dict[str, str]] = [{}, {"username": ""}, {"username": "user"}, {"email": ""}]


@pytest.mark.parametrize("query", QUERIES, ids=["newest", "by name", "by prefix", "by address"])
def test_each_of_many_users_of_one_moment_is_on_one_page(
    program: Program, service: Service, query: dict[str, str]
) -> None:
    names = [f"user{number}" for number in range(500)]
    provider = "email" if "email" in query else "username"
    add_users(service, *names, provider=provider)

    pages = all_pages(program, limit=7, **query)

    found = [each["id"] for page in pages for each in page["users"]]
    assert len(found) == len({*found}) == 500
    assert {len(page["users"]) for page in pages[:-1]} == {7}
    if query:
        field = "email" if "email" in query else "username"
        assert [name for page in pages for name in names_on(page, field)] == sorted(names)


@pytest.mark.parametrize("query", QUERIES[:3], ids=["newest", "by name", "by prefix"])
def test_who_comes_and_goes_meanwhile_moves_nobody_else(
    program: Program, service: Service, query: dict[str, str]
) -> None:
    names = [f"user{number}" for number in range(40)]
    add_users(service, *names)
    page = program.get(USERS, limit=7, **query).json()
    found = names_on(page)
    while page["next"] is not None:
        # Someone before the page, someone after it, and one who was on it goes.
        gone = page["users"][0]["id"]
        add_users(service, f"aaaa{uuid4().hex[:8]}", f"zzzz{uuid4().hex[:8]}")
        execute(service.database_url, 'DELETE FROM "user" WHERE id = $1', gone)
        page = program.get(USERS, limit=7, cursor=page["next"], **query).json()
        found += names_on(page)
    kept = [name for name in found if name.startswith("user")]
    assert sorted(kept) == sorted(names)


def test_the_newest_users_come_first(program: Program, service: Service) -> None:
    for name in ("first", "second", "third"):
        add_users(service, name)
    assert names_on(program.get(USERS).json()) == ["third", "second", "first"]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("a_", ["a_b"]),
        ("A_", ["a_b"]),
        ("a", ["a_b", "axb"]),
        ("%", ["%a"]),
        ("100%", ["100%"]),
        ("\\", ["\\a"]),
        ("_", []),
        ("", ["%a", "100%", "\\a", "a_b", "axb", "\U0010ffffz"]),
        ("\U0010ffff", ["\U0010ffffz"]),
        ("a_bc", []),
    ],
)
def test_a_prefix_is_literal(
    program: Program, service: Service, prefix: str, found: list[str]
) -> None:
    add_users(service, "a_b", "axb", "100%", "%a", "\\a", "\U0010ffffz")
    assert names_on(program.get(USERS, username=prefix).json()) == found


@pytest.mark.parametrize(
    ("prefix", "is_found"),
    [
        ("Bob", True),
        ("BOB@x", True),
        ("BOB@b", False),
        ("bob@bücher.de", True),
        ("bob@xn--b", True),
        ("bob@bücher.com", False),
        ("b_b", False),
    ],
)
def test_an_address_is_found_by_its_beginning(
    program: Program, prefix: str, *, is_found: bool
) -> None:
    program.create(email="Bob@Bücher.de")
    found = names_on(program.get(USERS, email=prefix).json(), "email")
    assert found == (["Bob@bücher.de"] if is_found else [])


def test_a_user_with_several_addresses_is_found_once(program: Program, service: Service) -> None:
    created = program.create(email="a1@example.com").json()
    add = "INSERT INTO key SELECT 'email', $1, user_id, $1 FROM key LIMIT 1"
    for address in ("a2@example.com", "a3@example.com", "b@example.com"):
        execute(service.database_url, add, address)
    for prefix in ("a", "a2", "b", ""):
        pages = all_pages(program, email=prefix, limit=1)
        assert [each["id"] for page in pages for each in page["users"]] == [created["id"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": "0"}, {"limit": "not_allowed"}),
        ({"limit": "501"}, {"limit": "not_allowed"}),
        ({"limit": "1e2"}, {"limit": "not_allowed"}),
        ({"limit": "²"}, {"limit": "not_allowed"}),
        ({"limit": "1" * 5000}, {"limit": "not_allowed"}),
        ({"cursor": "x"}, {"cursor": "not_allowed"}),
        ({"cursor": "bjphbGljZQ=="}, {"cursor": "not_allowed"}),
        ({"username": "a", "cursor": "AAAA"}, {"cursor": "not_allowed"}),
        ({"username": "a", "cursor": "bjoA"}, {"cursor": "not_allowed"}),
        ({"username": "\0"}, {"username": "not_allowed"}),
        ({"email": "\0"}, {"email": "not_allowed"}),
        ({"username": "a" * 256}, {"username": "too_long"}),
        ({"username": "a", "email": "a"}, {"email": "not_allowed"}),
        ({"username": ["a", "b"]}, {"username": "not_allowed"}),
        ({"limit": ["1", "2"]}, {"limit": "not_allowed"}),
    ],
)
def test_a_query_that_names_no_page_is_refused(
    program: Program, query: dict[str, Any], expected: dict[str, str]
) -> None:
    refused = program.send("GET", USERS, params=query)
    assert (refused.status_code, codes(refused)) == (400, expected)


def test_a_list_shows_what_one_user_shows(program: Program, alice: str) -> None:
    program.change(alice, roles=["a"], disabled=True)
    (listed,) = program.get(USERS).json()["users"]
    assert listed == program.get(f"{USERS}/{alice}").json()


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("a", "b"), ("a\U0010ffff", "b"), ("\ud7ff", "\ue000"), ("", None), ("\U0010ffff", None)],
)
def test_a_range_ends_before_the_next_text(prefix: str, end: str | None) -> None:
    assert end_of(prefix) == end


def in_order(statement: Any, **values: str | int) -> list[str | int]:
    """Return the values of a statement's parameters in the order in which it has them."""
    _, names = compiled(statement)
    given: dict[str, str | int] = {"prefix": "user1", "prefix_end": "user2", **values}
    return [given[name] for name in names]


def rows_of(url: str, sql: str, settings: str, *values: Any) -> list[asyncpg.Record]:
    """Return the rows of a statement, as PostgreSQL finds them under these settings."""

    async def read(connection: Connection) -> list[asyncpg.Record]:
        async with connection.transaction():
            await connection.execute(settings)
            return await connection.fetch(sql, *values)

    return on_connection(url, read)


def plan_of(url: str, statement: Any, *values: Any) -> str:
    sql, _ = compiled(statement)
    generic = "SET LOCAL plan_cache_mode = force_generic_plan"
    return "\n".join(row[0] for row in rows_of(url, f"EXPLAIN {sql}", generic, *values))


def test_a_page_is_a_range_of_an_index(service: Service) -> None:
    add_users(service, *[f"user{number:05}" for number in range(20_000)])
    add_address = """INSERT INTO key (provider, name, user_id, display_name)
                     SELECT 'email', name || '@example.org', user_id, name FROM key"""
    execute(service.database_url, add_address)
    execute(service.database_url, 'ANALYZE "user"; ANALYZE key')
    (row,) = fetch(service.database_url, 'SELECT created_at, id FROM "user" LIMIT 1')

    newest = plan_of(service.database_url, LIST_OLDER, row["created_at"], row["id"], 100)
    assert "Index Scan Backward using user_created_at_id_idx" in newest
    assert "Sort" not in newest
    sought = NamePrefix(provider=Provider.USERNAME, prefix="user1")
    named = plan_of(
        service.database_url,
        by_name(sought, is_continued=True),
        *in_order(by_name(sought, is_continued=True), max_rows=100, after="user10000"),
    )
    assert "using key_provider_name_c_idx on key " in named
    assert "Seq Scan" not in named


def test_the_order_of_users_of_one_moment_is_that_of_their_ids_without_an_index(
    service: Service,
) -> None:
    """PostgreSQL may prefer to sort: pages that follow each other have to agree."""
    add_users(service, *[f"user{number}" for number in range(100)])
    no_index = "SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off"
    found = rows_of(service.database_url, compiled(LIST_NEWEST)[0], no_index, 500)
    ids = [row["user_id"] for row in found]
    assert ids == sorted(ids, reverse=True)


def test_users_are_in_the_order_of_their_names_however_they_are_found(service: Service) -> None:
    """PostgreSQL may join in any order those whose names it has read."""
    add_users(service, *[f"user{number:02}" for number in reversed(range(100))])
    sought = NamePrefix(provider=Provider.USERNAME, prefix="user")
    statement = by_name(sought, is_continued=False)
    sql, _ = compiled(statement)
    values = in_order(statement, max_rows=50, prefix="user", prefix_end="uses")
    no_loop = "SET LOCAL enable_nestloop = off"
    found = rows_of(service.database_url, sql, no_loop, *values)
    assert [row["found_name"] for row in found] == [f"user{number:02}" for number in range(50)]


def test_users_of_before_1970_are_on_pages_too(program: Program, service: Service) -> None:
    times = ["1900-01-01", "1900-01-01", "1969-12-31 23:59:59.999999", "1970-01-01", "9999-12-31"]
    statement = """
    INSERT INTO "user" (id, created_at)
    SELECT gen_random_uuid(), each::timestamp AT TIME ZONE 'UTC' FROM unnest($1::text[]) AS each
    """
    execute(service.database_url, statement, times)
    pages = all_pages(program, limit=1)
    found = [each["created_at"][:10] for page in pages for each in page["users"]]
    assert found == [each[:10] for each in reversed(times)]
