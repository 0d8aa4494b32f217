"""What changes while a provider is being asked counts when it has answered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import time
from typing import Any, Protocol

import httpx
import pytest

from tests.databases import fetch_value, result_during
from tests.factories import sign_up
from tests.identities.conftest import (
    CREDENTIALS,
    LINK,
    LOG_IN,
    NEEDED,
    REAUTHENTICATE,
    App,
    Session,
    exchanges,
    methods_of,
    problem,
    session_of,
)
from tests.oidc.stub_provider import TOKEN, StubProvider
from tests.oidc.stub_server import Answer
from tests.services import Service, wait_for

ENDED = (401, "not_authenticated")
COUNT_IDENTITIES = "SELECT count(*) FROM identity"
COUNT_SESSIONS = "SELECT count(*) FROM session"

# What a log-in does before it opens its session.
USE_IDENTITY = """
SELECT FROM "user" FOR UPDATE; UPDATE identity SET last_used_at = clock_timestamp()
"""

# As a request does it: the user is locked first.
UNLINK = """
WITH locked AS (SELECT id FROM "user" FOR UPDATE)
DELETE FROM identity WHERE user_id IN (SELECT id FROM locked)
"""

Act = Callable[[], object]


class Meanwhile(Protocol):
    """Posts the answer of a provider, and does something while its code is exchanged."""

    def __call__(
        self, act: Act, path: str = LOG_IN, session: Session | None = None, **claims: object
    ) -> httpx.Response: ...


@pytest.fixture
def post(app: App, provider: StubProvider) -> Meanwhile:
    """Return a function that does so, for user 7 of the provider."""

    def send(
        act: Act, path: str = LOG_IN, session: Session | None = None, **claims: object
    ) -> httpx.Response:
        begun, released = app.begin(path, session), Event()
        token = provider.id_token(begun["nonce"], **claims)
        tokens = {"access_token": "a", "token_type": "Bearer", "id_token": token}
        provider.answers[TOKEN] = Answer(document=tokens, held_until=released)
        before = len(exchanges(provider))
        answer = {"code": "c", "state": begun["state"], "transport": "bearer"}
        with ThreadPoolExecutor(1) as pool:
            posted = pool.submit(app.post, answer, path, session)
            try:
                wait_for(lambda: len(exchanges(provider)) > before, "the exchange")
                act()
            finally:
                released.set()
            return posted.result()

    return send


def post_beside(
    app: App,
    service: Service,
    change: str,
    answer: dict[str, Any],
    path: str = LOG_IN,
    session: Session | None = None,
) -> httpx.Response:
    """Post an answer, which has to wait for a change of the database that is under way."""
    return result_during(service.database_url, change, lambda: app.post(answer, path, session))


def log_out(app: App, session: Session) -> None:
    assert app.client.post("/logout", headers=session).status_code == 204


def test_a_session_that_has_ended_links_nothing(
    app: App, post: Meanwhile, service: Service
) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))
    response = post(lambda: log_out(app, session), LINK, session)
    assert problem(response) == ENDED
    assert fetch_value(service.database_url, COUNT_IDENTITIES) == 0


def test_a_session_that_has_ended_is_not_proven_again(app: App, post: Meanwhile) -> None:
    session = session_of(app.sign_up())
    now = int(time())
    response = post(lambda: log_out(app, session), REAUTHENTICATE, session, auth_time=now)
    assert problem(response) == ENDED


def test_an_account_that_was_unlinked_opens_no_session(
    app: App, post: Meanwhile, service: Service
) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))
    app.link(session)
    (identity,) = app.identities(session)
    path = f"/me/identities/{identity['id']}"

    def unlink() -> None:
        assert app.client.delete(path, headers=session).status_code == 204

    response = post(unlink)
    assert problem(response) == NEEDED
    assert fetch_value(service.database_url, COUNT_SESSIONS) == 1


def test_an_account_that_is_being_unlinked_is_waited_for(app: App, service: Service) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    response = post_beside(app, service, UNLINK, answer)
    assert problem(response) == CREDENTIALS
    assert fetch_value(service.database_url, COUNT_SESSIONS) == 1


def test_an_account_that_another_user_links_meanwhile_opens_no_session_of_the_former_one(
    app: App, service: Service
) -> None:
    app.sign_up()
    app.client.cookies.clear()
    other = sign_up(app.client, "Other").json()["user"]["id"]
    app.client.cookies.clear()
    move = f"""
        SELECT FROM "user" FOR UPDATE;
        UPDATE identity SET id = gen_random_uuid(), user_id = '{other}'
    """
    answer = app.answer(app.begin())
    response = post_beside(app, service, move, answer)
    assert problem(response) == CREDENTIALS


def test_a_new_proof_waits_for_an_account_that_is_being_unlinked(
    app: App, service: Service
) -> None:
    session = session_of(app.sign_up())
    answer = app.answer(app.begin(REAUTHENTICATE, session), auth_time=int(time()))
    response = post_beside(app, service, UNLINK, answer, REAUTHENTICATE, session)
    assert problem(response) == CREDENTIALS


def test_another_log_in_with_the_account_does_not_refuse_this_one(
    app: App, service: Service
) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    response = post_beside(app, service, USE_IDENTITY, answer)
    assert methods_of(response) == ["oidc:stub"]


def test_no_connection_to_the_database_is_held_meanwhile(
    app: App, post: Meanwhile, service: Service
) -> None:
    app.sign_up()
    idle = "state = 'idle in transaction' AND datname = current_database()"

    def look() -> None:
        count = f"SELECT count(*) FROM pg_stat_activity WHERE {idle}"
        assert fetch_value(service.database_url, count) == 0

    assert post(look).status_code == 200
