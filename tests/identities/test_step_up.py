"""Step-up for users whom nothing but a provider proves."""

from __future__ import annotations

from time import time
from typing import Any

import httpx
import pytest

from tests.databases import execute
from tests.factories import PASSWORD, moment, sign_up
from tests.flows.conftest import Mailboxes, mailboxes, user_with_address
from tests.identities.conftest import (
    CALLBACK,
    CREDENTIALS,
    REAUTHENTICATE,
    STALE,
    App,
    Session,
    environment_for,
    methods_of,
    problem,
    session_of,
    url_of,
)
from tests.mail.conftest import mail_environment, plain_url
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service, wait_for
from tests.smtp_server import SMTPServer

__all__ = ["mailboxes"]

AGE = "UPDATE session SET authenticated_at = now() - interval '1 hour'"
NEW_PASSWORD = {"new_password": PASSWORD}


@pytest.fixture
def session(app: App, service: Service) -> Session:
    """Return a session, proven an hour ago, of a user whom only a provider proves."""
    found = session_of(app.sign_up(username="Alice"))
    execute(service.database_url, AGE)
    return found


def reauthenticate(app: App, session: Session, subject: str = "7", **claims: Any) -> httpx.Response:
    answer = app.answer(app.begin(REAUTHENTICATE, session), subject, **claims)
    return app.post(answer, REAUTHENTICATE, session)


def test_a_stale_session_is_told_to_go_to_the_provider(app: App, session: Session) -> None:
    response = app.client.put("/me/password", json=NEW_PASSWORD, headers=session)
    assert problem(response) == STALE
    assert response.json()["methods"] == ["oidc:stub"]
    options = app.client.post("/me/reauthenticate/options", headers=session)
    assert options.json()["methods"] == ["oidc:stub"]


def test_the_provider_is_asked_to_authenticate_its_user_anew(app: App, session: Session) -> None:
    body = {"redirect_uri": CALLBACK}
    url = url_of(app.client.post(REAUTHENTICATE, json=body, headers=session))
    assert dict(url.params)["max_age"] == "0"


def test_a_new_authentication_renews_step_up_and_replaces_the_token(
    app: App, session: Session
) -> None:
    response = reauthenticate(app, session, auth_time=int(time()))
    assert methods_of(response) == ["oidc:stub"]
    assert app.client.get("/me", headers=session).status_code == 401
    renewed = session_of(response)
    done = app.client.put("/me/password", json=NEW_PASSWORD, headers=renewed)
    assert done.status_code == 200


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (3600, "the user authenticated before the flow began"),
        (None, "it does not tell when the user authenticated"),
    ],
)
def test_what_the_provider_knew_before_renews_nothing(
    app: App, session: Session, service: Service, age: int | None, reason: str
) -> None:
    """The time of issue says nothing of when the provider asked its user."""
    claims: dict[str, Any] = {} if age is None else {"auth_time": int(time()) - age}
    assert problem(reauthenticate(app, session, **claims)) == CREDENTIALS
    assert app.client.get("/me", headers=session).status_code == 200
    wait_for(lambda: reason in service.logged(), "the reason is logged")


def test_a_refused_proof_is_in_the_audit_trail_with_its_user(
    app: App, session: Session, service: Service
) -> None:
    user_id = app.client.get("/me", headers=session).json()["user"]["id"]
    refused = reauthenticate(app, session, "8", auth_time=int(time()))
    assert refused.json()["detail"] == "The provider has not proven the account."
    (line,) = [line for line in service.logged().splitlines() if "log_in_failed" in line]
    assert user_id in line


def test_an_unknown_provider_is_404(app: App, session: Session) -> None:
    path = "/me/reauthenticate/oidc/other"
    begun = app.client.post(path, json={"redirect_uri": CALLBACK}, headers=session)
    assert begun.status_code == 404
    body = {"state": "x", "code": "y"}
    assert app.client.post(f"{path}/callback", json=body, headers=session).status_code == 404


def test_a_new_proof_is_a_use_of_the_account(app: App, session: Session, service: Service) -> None:
    execute(service.database_url, "UPDATE identity SET last_used_at = NULL")
    proven = session_of(reauthenticate(app, session, auth_time=int(time())))
    (identity,) = app.identities(proven)
    assert moment(identity["last_used_at"]) > moment(identity["created_at"])


def test_another_account_renews_nothing(app: App, session: Session) -> None:
    now = int(time())
    assert problem(reauthenticate(app, session, "8", auth_time=now)) == CREDENTIALS


def test_the_account_of_another_user_renews_nothing(app: App, session: Session) -> None:
    app.client.cookies.clear()
    app.sign_up("8")
    now = int(time())
    assert problem(reauthenticate(app, session, "8", auth_time=now)) == CREDENTIALS


def test_an_account_of_the_future_is_of_now(app: App, session: Session) -> None:
    response = reauthenticate(app, session, auth_time=int(time()) + 20)
    renewed = response.json()["session"]
    assert moment(renewed["authenticated_at"]) <= moment(renewed["methods"][0]["at"])


def test_a_user_with_a_password_reauthenticates_by_that(app: App, service: Service) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))
    app.client.cookies.clear()
    app.link(session)
    response = app.client.post(REAUTHENTICATE, json={"redirect_uri": CALLBACK}, headers=session)
    assert problem(response) == STALE
    assert response.json()["methods"] == ["password"]


def test_a_password_that_was_set_meanwhile_is_what_counts(
    app: App, session: Session, service: Service
) -> None:
    answer = app.answer(app.begin(REAUTHENTICATE, session), auth_time=int(time()))
    execute(
        service.database_url,
        "UPDATE key SET password_hash = '$2b$04$x', password_scheme = 'bcrypt 4'",
    )
    response = app.post(answer, REAUTHENTICATE, session)
    assert problem(response) == STALE
    assert response.json()["methods"] == ["password"]


def test_a_log_in_counts_from_when_the_provider_authenticated_its_user(app: App) -> None:
    app.sign_up()
    hour_ago = int(time()) - 3600
    session = session_of(app.log_in(auth_time=hour_ago))
    refused = app.client.put("/me/username", json={"username": "Alice"}, headers=session)
    assert problem(refused) == STALE
    session = session_of(app.log_in(auth_time=int(time())))
    done = app.client.put("/me/username", json={"username": "Alice"}, headers=session)
    assert done.status_code == 200


@pytest.mark.parametrize("auth_time", [None, 1.5, "0", -1, 10**30, True])
def test_a_log_in_renews_no_step_up_if_a_provider_that_tells_the_time_has_not(
    app: App, auth_time: object
) -> None:
    """Otherwise a log-in by what the provider still knew would do what reauthentication may not."""
    app.sign_up()
    session = session_of(app.log_in(auth_time=auth_time))
    refused = app.client.put("/me/username", json={"username": "Alice"}, headers=session)
    assert problem(refused) == STALE
    assert refused.json()["methods"] == ["oidc:stub"]


def test_a_log_in_without_that_time_renews_no_step_up_where_something_better_does(
    app: App,
) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))
    app.client.cookies.clear()
    app.link(session)
    by_provider = session_of(app.log_in())
    refused = app.client.put("/me/username", json={"username": "Bob1"}, headers=by_provider)
    assert problem(refused) == STALE
    assert refused.json()["methods"] == ["password"]


GOOGLE = {
    "OSTIARY_OIDC_GOOGLE_CLIENT_IDS": "web",
    "OSTIARY_OIDC_GOOGLE_CLIENT_SECRET": "secret of the client at Google",
    "OSTIARY_OIDC_GOOGLE_REDIRECT_URIS": "http://127.0.0.1/callback/google",
}


def test_a_mailed_code_comes_after_a_provider_that_tells_the_time_and_before_others(
    services: ServicePool, provider: StubProvider, shared_smtp: SMTPServer, mailboxes: Mailboxes
) -> None:
    environment = {
        **NO_LIMITS,
        **environment_for(provider),
        **GOOGLE,
        **mail_environment(plain_url(shared_smtp)),
    }
    service = services.service(environment)
    with service.client() as client:
        app = App(client=client, provider=provider)
        session = user_with_address(client, mailboxes)
        app.link(session)
        execute(service.database_url, "UPDATE key SET password_hash = NULL, password_scheme = NULL")
        execute(service.database_url, AGE)
        options = client.post("/me/reauthenticate/options", headers=session)
        assert options.json()["methods"] == ["oidc:stub"]
        execute(service.database_url, "UPDATE identity SET issuer = 'https://accounts.google.com'")
        options = client.post("/me/reauthenticate/options", headers=session)
        assert options.json()["methods"] == ["email_code"]
