"""Sign-up with an account at a provider, and the ways in which others took accounts over."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.databases import execute, fetch, fetch_value
from tests.factories import PASSWORD, sign_up
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    mailboxes,
    user_with_address,
)
from tests.identities.conftest import (
    CHALLENGE,
    NEEDED,
    App,
    environment_for,
    methods_of,
    problem,
    session_of,
)
from tests.invitations import invite
from tests.mail.conftest import mail_environment, plain_url
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service
from tests.smtp_server import SMTPServer

__all__ = ["mailboxes"]

CLOSED = (403, "sign_up_closed")
INVALID_INVITATION = (403, "invalid_invitation")

COUNT_USERS = 'SELECT count(*) FROM "user"'


def test_sign_up_creates_a_user_and_logs_them_in(app: App) -> None:
    response = app.sign_up(username="Alice")
    assert response.status_code == 201
    assert response.headers["Location"] == "/me"
    assert response.json()["user"]["username"] == "Alice"
    assert methods_of(response) == ["oidc:stub"]
    (identity,) = app.identities(session_of(response))
    assert (identity["provider"], identity["subject"]) == ("stub", "7")
    assert identity["issuer"] == app.provider.issuer


def test_a_user_name_is_not_needed(app: App) -> None:
    assert app.sign_up().json()["user"]["username"] is None


def test_the_provider_suggests_and_decides_nothing(app: App) -> None:
    needed = app.log_in(email="alice@example.org", email_verified=True, name="Alice Liddell")
    suggested = {"email": "alice@example.org", "name": "Alice Liddell"}
    assert needed.json()["suggestions"] == suggested
    body = {"challenge_token": needed.json()["challenge_token"], "transport": "bearer"}
    user = app.client.post("/signup/oidc", json=body).json()["user"]
    assert (user["username"], user["email"], user["email_verified_at"]) == (None, None, None)


@pytest.mark.parametrize("claims", [{}, {"email": 7, "name": ["x"]}, {"email": "", "name": None}])
def test_without_suggestions_there_are_none(app: App, claims: dict[str, Any]) -> None:
    assert app.log_in(**claims).json()["suggestions"] == {}


def test_a_challenge_counts_once(app: App, service: Service) -> None:
    body = {"challenge_token": app.log_in().json()["challenge_token"], "transport": "bearer"}
    with ThreadPoolExecutor(4) as pool:
        sent = pool.map(lambda _: app.client.post("/signup/oidc", json=body), range(4))
        statuses = sorted(response.status_code for response in sent)
    assert statuses == [201, 401, 401, 401]
    assert fetch_value(service.database_url, COUNT_USERS) == 1


def test_two_sign_ups_with_one_account_make_one_user(app: App, service: Service) -> None:
    first, second = (app.log_in().json()["challenge_token"] for _ in range(2))
    app.client.post("/signup/oidc", json={"challenge_token": first, "transport": "bearer"})
    response = app.client.post(
        "/signup/oidc", json={"challenge_token": second, "transport": "bearer"}
    )
    assert problem(response) == (409, "identity_taken")
    assert fetch_value(service.database_url, COUNT_USERS) == 1


def test_a_taken_user_name_uses_nothing_up(app: App) -> None:
    sign_up(app.client, "Alice")
    app.client.cookies.clear()
    challenge = app.log_in().json()["challenge_token"]
    body = {"challenge_token": challenge, "transport": "bearer"}
    taken = app.client.post("/signup/oidc", json=body | {"username": "ALICE"})
    assert problem(taken) == (409, "username_taken")
    other = app.client.post("/signup/oidc", json=body | {"username": "Alice2"})
    assert other.status_code == 201


def test_a_user_name_that_is_held_is_taken(app: App) -> None:
    session = session_of(sign_up(app.client, "Alice", transport="bearer"))
    app.client.request("DELETE", "/me", json={"password": PASSWORD}, headers=session)
    app.client.cookies.clear()
    assert problem(app.sign_up(username="Alice")) == (409, "username_taken")


def test_a_challenge_expires(app: App, service: Service) -> None:
    body = {"challenge_token": app.log_in().json()["challenge_token"]}
    execute(service.database_url, "UPDATE challenge SET expires_at = now()")
    assert problem(app.client.post("/signup/oidc", json=body)) == CHALLENGE


@pytest.mark.parametrize("token", ["", "x", "A" * 64])
def test_what_is_no_challenge_is_refused(app: App, token: str) -> None:
    response = app.client.post("/signup/oidc", json={"challenge_token": token})
    assert problem(response) == CHALLENGE


def test_with_a_live_session_nobody_signs_up(app: App) -> None:
    challenge = app.log_in().json()["challenge_token"]
    session = session_of(sign_up(app.client, transport="bearer"))
    response = app.client.post("/signup/oidc", json={"challenge_token": challenge}, headers=session)
    assert problem(response) == (409, "already_authenticated")


def test_the_challenge_stores_nothing_that_opens_anything(app: App, service: Service) -> None:
    token = app.log_in().json()["challenge_token"]
    (row,) = fetch(service.database_url, "SELECT * FROM challenge")
    assert token not in repr(dict(row))


def test_a_challenge_of_a_provider_that_is_gone_is_refused(app: App, services: ServicePool) -> None:
    body = {"challenge_token": app.log_in().json()["challenge_token"]}
    with services.service(NO_LIMITS).client() as client:
        assert problem(client.post("/signup/oidc", json=body)) == CHALLENGE


# The sign-up modes.


def app_of(services: ServicePool, provider: StubProvider, mode: str) -> App:
    environment = {**NO_LIMITS, **environment_for(provider), "OSTIARY_SIGN_UP": mode}
    service = services.service(environment)
    return App(client=service.client(), provider=provider)


def test_where_sign_up_is_closed_only_known_accounts_log_in(
    app: App, provider: StubProvider, services: ServicePool, service: Service
) -> None:
    app.sign_up("7")
    late = app.log_in("8").json()["challenge_token"]
    closed = app_of(services, provider, "closed")
    with closed.client:
        assert problem(closed.log_in("9")) == CLOSED
        body = {"challenge_token": late}
        assert problem(closed.client.post("/signup/oidc", json=body)) == CLOSED
        assert closed.log_in("7").status_code == 200
    assert fetch_value(service.database_url, COUNT_USERS) == 1
    assert fetch_value(service.database_url, "SELECT count(*) FROM identity") == 1


def test_where_sign_up_is_closed_no_challenge_is_looked_up(
    provider: StubProvider, services: ServicePool
) -> None:
    closed = app_of(services, provider, "closed")
    with closed.client:
        body = {"challenge_token": "A" * 64}
        assert problem(closed.client.post("/signup/oidc", json=body)) == CLOSED


def test_where_invitations_are_needed_one_is(provider: StubProvider, services: ServicePool) -> None:
    invited = app_of(services, provider, "invited")
    with invited.client:
        assert problem(invited.sign_up("7")) == INVALID_INVITATION
        token = invite(services.database_url, None, "editor")
        response = invited.sign_up("7", invitation=token)
        assert response.status_code == 201
        assert response.json()["user"]["roles"] == ["editor"]
        assert fetch_value(services.database_url, "SELECT count(*) FROM invitation") == 0
        assert problem(invited.sign_up("8", invitation=token)) == INVALID_INVITATION


# Known ways in which accounts of others were taken over, or before their owners had them.


@pytest.fixture
def mailing_app(
    services: ServicePool, provider: StubProvider, shared_smtp: SMTPServer
) -> Iterator[App]:
    environment = {
        **NO_LIMITS,
        **environment_for(provider),
        **mail_environment(plain_url(shared_smtp)),
    }
    with services.service(environment).client() as client:
        yield App(client=client, provider=provider)


def test_a_verified_address_of_the_provider_links_nobody(
    mailing_app: App, mailboxes: Mailboxes
) -> None:
    """The classic-federated merge, and its reverse (Sudhodanan and Paverd, 2022)."""
    owner = user_with_address(mailing_app.client, mailboxes)
    response = mailing_app.log_in("666", email=ALICE, email_verified=True)
    assert problem(response) == NEEDED
    body = {"challenge_token": response.json()["challenge_token"], "transport": "bearer"}
    thief = mailing_app.client.post("/signup/oidc", json=body)
    assert thief.json()["user"]["email"] is None
    me = mailing_app.client.get("/me", headers=owner).json()["user"]
    assert thief.json()["user"]["id"] != me["id"]
    assert mailing_app.identities(owner) == []


def test_an_account_at_a_provider_takes_no_address_from_its_owner(
    mailing_app: App, mailboxes: Mailboxes
) -> None:
    """The trojan identifier: an attacker's user must not have the victim's address before her."""
    needed = mailing_app.log_in("666", email=ALICE, email_verified=True)
    body = {"challenge_token": needed.json()["challenge_token"], "transport": "bearer"}
    mailing_app.client.post("/signup/oidc", json=body)
    mailing_app.client.cookies.clear()
    mailing_app.client.post("/password-reset", json={"identifier": ALICE})
    user_with_address(mailing_app.client, mailboxes)
    assert mailboxes.of(ALICE, "password") == []


def test_a_first_password_ends_the_sessions_that_were_opened_before(app: App) -> None:
    """The unexpired session (Sudhodanan and Paverd, 2022)."""
    session = session_of(app.sign_up(username="Alice"))
    thief = session_of(app.log_in())
    body = {"new_password": PASSWORD}
    assert app.client.put("/me/password", json=body, headers=session).status_code == 200
    assert app.client.get("/me", headers=thief).status_code == 401
