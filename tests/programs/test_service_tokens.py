"""Service tokens open the routes of other programs, and nothing else."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from service.auth.programs.presented_tokens import PREFIX, PresentedToken, base62, checksum
from service.auth.programs.service_tokens import ServiceTokens
from service.model.service_tokens import Scope
from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from service.storage.programs.service_token_lookups import ServiceTokenLookups
from service.storage.programs.service_tokens import record_use
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters, wait_until
from tests.factories import bearer, cookie, service_token, sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import PATIENCE, Service, wait_for

LAST_USE = "SELECT last_used_at FROM service_token"
AGAINST_WRITES = "LOCK TABLE service_token IN SHARE MODE"


def ask(client: httpx.Client, authorization: str | None) -> httpx.Response:
    """Introspect something with this header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    return client.post("/introspect", data={"token": "x"}, headers=headers)


def id_of(token: str) -> UUID:
    presented = PresentedToken.parse(token)
    assert presented is not None
    return presented.id


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def token(service: Service) -> str:
    return service_token(service.database_url, Scope.INTROSPECT)


def is_refused(response: httpx.Response) -> bool:
    problem = response.json()
    return (
        response.status_code == 401
        and problem["code"] == "invalid_service_token"
        and response.headers["www-authenticate"] == "Bearer"
        and "set-cookie" not in response.headers
    )


def test_a_service_token_travels_as_a_bearer_token(client: httpx.Client, token: str) -> None:
    assert ask(client, f"Bearer {token}").json() == {"active": False}


def test_several_spaces_may_stand_before_a_token(client: httpx.Client, token: str) -> None:
    """RFC 9110, section 11.4."""
    assert ask(client, f"Bearer   {token}").json() == {"active": False}


@pytest.mark.parametrize("user", ["shop", "", "an id", "%C3%A9", "a b"])
def test_a_service_token_travels_as_the_password_of_basic(
    client: httpx.Client, token: str, user: str
) -> None:
    assert ask(client, basic(user, token)).status_code == 200


def test_a_client_of_oauth_encodes_the_password_as_in_a_form(
    client: httpx.Client, token: str
) -> None:
    """RFC 6749, section 2.3.1. Some encode every character that is no letter or digit."""
    assert ask(client, basic("shop", token.replace("_", "%5F"))).status_code == 200


@pytest.mark.parametrize("scheme", ["Digest", "Token", "DPoP", "Bearer,"])
def test_a_service_token_in_another_scheme_is_none(
    client: httpx.Client, token: str, scheme: str
) -> None:
    assert is_refused(ask(client, f"{scheme} {token}"))


def test_without_a_service_token_a_program_is_refused(client: httpx.Client) -> None:
    assert is_refused(ask(client, None))


def test_two_authorization_headers_are_none(client: httpx.Client, token: str) -> None:
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert is_refused(client.post("/introspect", data={"token": "x"}, headers=headers))


@pytest.mark.parametrize(
    "credentials",
    ["x", "====", b64encode(b"no colon").decode(), b64encode(b"\xff:\xff").decode()],
)
def test_malformed_basic_credentials_are_refused(client: httpx.Client, credentials: str) -> None:
    assert is_refused(ask(client, f"Basic {credentials}"))


def test_basic_credentials_with_characters_that_are_not_base64_are_refused(
    client: httpx.Client, token: str
) -> None:
    credentials = basic("shop", token)
    assert is_refused(ask(client, f"{credentials[:20]}!{credentials[20:]}"))


def test_a_token_as_the_user_of_basic_is_none(client: httpx.Client, token: str) -> None:
    assert is_refused(ask(client, basic(token, "")))


@pytest.mark.parametrize("presented", ["ost_", "ost__", "ost_x", "OST_" + "A" * 71])
def test_what_only_looks_like_a_token_is_refused(client: httpx.Client, presented: str) -> None:
    assert is_refused(ask(client, f"Bearer {presented}"))
    assert is_refused(ask(client, basic("shop", presented)))


def test_a_token_is_taken_as_it_was_issued_only(client: httpx.Client, token: str) -> None:
    for changed in (token + "=", token[:-1], "_" + token, token.upper(), token.swapcase()):
        assert is_refused(ask(client, f"Bearer {changed}"))
    for changed in (token + "\n", " " + token, token + " ", token + "\0"):
        assert is_refused(ask(client, basic("shop", quote(changed))))


def test_a_wrong_secret_is_refused(client: httpx.Client, token: str) -> None:
    """Its checksum is right: it is the comparison that refuses it."""
    forged = token[: len(PREFIX) + 22] + base62(1, 43)
    forged += checksum(forged)
    assert id_of(forged) == id_of(token)
    assert is_refused(ask(client, f"Bearer {forged}"))


def test_an_unknown_token_is_refused(client: httpx.Client) -> None:
    assert is_refused(ask(client, f"Bearer {PresentedToken.issue().text}"))


@pytest.mark.parametrize(
    "column", ["expires_at = now()", "suspended_at = now()", "secret_hash = '\\x00'"]
)
def test_a_token_that_expires_or_is_suspended_is_refused_at_once(
    service: Service, client: httpx.Client, token: str, column: str
) -> None:
    assert ask(client, f"Bearer {token}").status_code == 200
    execute(service.database_url, f"UPDATE service_token SET {column}")
    assert is_refused(ask(client, f"Bearer {token}"))


def test_a_scope_that_is_taken_away_is_missing_at_once(
    service: Service, client: httpx.Client, token: str
) -> None:
    assert ask(client, f"Bearer {token}").status_code == 200
    execute(service.database_url, "UPDATE service_token SET scopes = '{users:read}'")
    refused = ask(client, f"Bearer {token}")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert (
        refused.headers["www-authenticate"]
        == 'Bearer error="insufficient_scope", scope="introspect"'
    )


@pytest.mark.parametrize("scope", [each for each in Scope if each is not Scope.INTROSPECT])
def test_no_other_scope_introspects(service: Service, client: httpx.Client, scope: Scope) -> None:
    token = service_token(service.database_url, scope)
    assert ask(client, f"Bearer {token}").status_code == 403


def test_a_scope_of_a_later_version_does_no_harm(service: Service, client: httpx.Client) -> None:
    token = service_token(service.database_url, "introspect", "mails:read")
    assert ask(client, f"Bearer {token}").status_code == 200


def test_the_token_of_a_session_opens_no_route_of_programs(
    service: Service, client: httpx.Client
) -> None:
    session = token_of(sign_up(client))
    execute(service.database_url, """UPDATE "user" SET roles = '{admin}'""")
    assert is_refused(ask(client, f"Bearer {session}"))
    assert is_refused(ask(client, basic("shop", session)))


def test_a_service_token_opens_no_session(service: Service, client: httpx.Client) -> None:
    token = service_token(service.database_url, *Scope)
    for headers in (bearer(token), cookie(token), {"Authorization": basic("shop", token)}):
        assert client.get("/me", headers=headers).status_code == 401


def test_a_service_token_in_the_cookie_is_none(service: Service, client: httpx.Client) -> None:
    token = service_token(service.database_url, *Scope)
    refused = client.post("/introspect", data={"token": "x"}, headers=cookie(token))
    assert is_refused(refused)


def test_a_revoked_token_is_refused_by_every_worker(services: ServicePool) -> None:
    service = services.service({"OSTIARY_WORKERS": "2"})
    token = service_token(service.database_url, Scope.INTROSPECT)
    other = service_token(service.database_url, Scope.INTROSPECT)
    clients = [service.client() for _ in range(16)]  # a connection each: both workers have some
    try:
        for _ in range(3):
            assert {ask(each, f"Bearer {token}").status_code for each in clients} == {200}
        execute(service.database_url, "DELETE FROM service_token WHERE id = $1", id_of(token))
        assert {ask(each, f"Bearer {token}").status_code for each in clients} == {401}
        assert {ask(each, f"Bearer {other}").status_code for each in clients} == {200}
    finally:
        for each in clients:
            each.close()


def test_the_last_use_is_recorded(service: Service, client: httpx.Client, token: str) -> None:
    assert fetch_value(service.database_url, LAST_USE) is None
    ask(client, f"Bearer {token}")
    wait_until(service.database_url, f"({LAST_USE}) > now() - interval '1 minute'")


def test_the_last_use_is_recorded_again_after_a_minute(
    service: Service, client: httpx.Client
) -> None:
    used = datetime.now(UTC) - timedelta(seconds=61)
    token = service_token(service.database_url, Scope.INTROSPECT, last_used_at=used)
    ask(client, f"Bearer {token}")
    wait_until(service.database_url, f"({LAST_USE}) > now() - interval '1 minute'")


def test_within_a_minute_no_use_is_written(service: Service, client: httpx.Client) -> None:
    used = datetime.now(UTC) - timedelta(seconds=5)
    tokens = [
        service_token(service.database_url, Scope.INTROSPECT, last_used_at=used),
        service_token(service.database_url, Scope.INTROSPECT),
    ]
    for token in (*tokens, *tokens):
        ask(client, f"Bearer {token}")
    # The use of the second one is written after that of the first would have been.
    wait_until(service.database_url, "(SELECT count(last_used_at) FROM service_token) = 2")
    kept = fetch_value(service.database_url, f"{LAST_USE} WHERE id = $1", id_of(tokens[0]))
    assert kept == used


async def test_within_a_minute_no_statement_is_sent(database_url: str) -> None:
    used = datetime.now(UTC) - timedelta(seconds=5)
    text = await asyncio.to_thread(service_token, database_url, Scope.INTROSPECT, last_used_at=used)
    options = DatabaseOptions(statement_timeout=Duration(0.2))
    database, lookups = Database(database_url, options), ServiceTokenLookups(database_url, options)
    tokens = ServiceTokens(database, lookups)
    await tokens.authenticate(PresentedToken.parse(text))
    with held(database_url, AGAINST_WRITES):
        await tokens.record_uses()
    await lookups.close()
    await database.close()


async def test_a_use_is_recorded_once(database: Database, database_url: str) -> None:
    text = await asyncio.to_thread(service_token, database_url, Scope.INTROSPECT)
    lookups = ServiceTokenLookups(database_url, DatabaseOptions())
    tokens = ServiceTokens(database, lookups)
    await tokens.authenticate(PresentedToken.parse(text))
    await tokens.record_uses()
    await asyncio.to_thread(
        execute,
        database_url,
        "UPDATE service_token SET last_used_at = last_used_at - interval '1h'",
    )
    used = await asyncio.to_thread(fetch_value, database_url, LAST_USE)
    await tokens.record_uses()
    assert await asyncio.to_thread(fetch_value, database_url, LAST_USE) == used
    await lookups.close()


async def test_without_a_use_the_wait_for_one_ends(database: Database, database_url: str) -> None:
    tokens = ServiceTokens(database, ServiceTokenLookups(database_url, DatabaseOptions()))
    async with asyncio.timeout(PATIENCE):
        await tokens.wait(0.001)


async def test_of_two_workers_one_writes_the_use(database: Database, database_url: str) -> None:
    """Both saw that it was not recorded; the second statement changes nothing."""
    text = await asyncio.to_thread(service_token, database_url, Scope.INTROSPECT)
    written = []
    for _ in range(2):
        async with database.connect() as connection:
            await record_use(connection, [id_of(text)])
        written.append(await asyncio.to_thread(fetch_value, database_url, LAST_USE))
    assert written[0] == written[1] is not None


def test_no_answer_waits_until_the_use_is_written(
    service: Service, client: httpx.Client, token: str
) -> None:
    with held(service.database_url, AGAINST_WRITES):
        assert ask(client, f"Bearer {token}").status_code == 200
        wait_for_lock_waiters(service.database_url)
        assert ask(client, f"Bearer {token}").status_code == 200
    wait_until(service.database_url, f"({LAST_USE}) > now() - interval '1 minute'")


async def test_a_use_that_could_not_be_written_is_written_the_next_time(
    database_url: str,
) -> None:
    text = await asyncio.to_thread(service_token, database_url, Scope.INTROSPECT)
    options = DatabaseOptions(statement_timeout=Duration(0.2))
    database, lookups = Database(database_url, options), ServiceTokenLookups(database_url, options)
    tokens = ServiceTokens(database, lookups)
    await tokens.authenticate(PresentedToken.parse(text))
    with held(database_url, AGAINST_WRITES), pytest.raises(DatabaseUnavailable):
        await tokens.record_uses()
    await tokens.record_uses()
    assert await asyncio.to_thread(fetch_value, database_url, LAST_USE) is not None
    await lookups.close()
    await database.close()


def test_a_refused_token_is_not_used(service: Service, client: httpx.Client, token: str) -> None:
    execute(service.database_url, "UPDATE service_token SET suspended_at = now()")
    ask(client, f"Bearer {token}")
    execute(service.database_url, "UPDATE service_token SET suspended_at = NULL")
    other = service_token(service.database_url, Scope.INTROSPECT)
    ask(client, f"Bearer {other}")
    wait_until(service.database_url, "(SELECT count(last_used_at) FROM service_token) = 1")
    assert fetch_value(service.database_url, f"{LAST_USE} WHERE id = $1", id_of(token)) is None


def test_the_log_tells_why_a_token_was_refused_and_never_the_token(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_FORMAT": "json"})
    presented = PresentedToken.issue()
    with service.client() as client:
        ask(client, f"Bearer {presented.text}")
    wait_for(lambda: "invalid_service_token" in service.logged(), "the refusal is logged")
    assert str(presented.id) in service.logged()
    assert presented.text not in service.logged()


def test_the_access_log_has_the_id_of_the_token(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_REQUESTS": "true", "OSTIARY_LOG_FORMAT": "json"})
    token = service_token(service.database_url, Scope.INTROSPECT)
    with service.client() as client:
        ask(client, f"Bearer {token}")
    named = f'"service_token_id": "{id_of(token)}"'
    wait_for(lambda: named in service.logged(), "the request is logged")
