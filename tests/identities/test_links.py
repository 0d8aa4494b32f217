"""Accounts at providers: listed, linked, unlinked, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, REMOVE_PASSWORDS, sign_up
from tests.factors.conftest import begin_set_up, confirm
from tests.flows.conftest import ALICE, Mailboxes, mailboxes, user_with_address
from tests.identities.conftest import (
    LINK,
    STALE,
    App,
    Session,
    environment_for,
    methods_of,
    problem,
    session_of,
)
from tests.mail.conftest import mail_environment, plain_url
from tests.oidc.stub_provider import StubProvider, running_stub
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service
from tests.smtp_server import SMTPServer

__all__ = ["mailboxes"]

LAST = (409, "last_way_in")
TAKEN = (409, "identity_taken")

AGE = "UPDATE session SET authenticated_at = now() - interval '1 hour'"
COUNT_IDENTITIES = "SELECT count(*) FROM identity"


@pytest.fixture
def session(app: App) -> Session:
    """Return the session of a user with a password."""
    found = session_of(sign_up(app.client, transport="bearer"))
    app.client.cookies.clear()
    return found


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


def unlink(app: App, session: Session, number: int = 0) -> tuple[int, str]:
    identity = app.identities(session)[number]
    response = app.client.delete(f"/me/identities/{identity['id']}", headers=session)
    return (204, "") if response.status_code == 204 else problem(response)


def test_a_linked_account_logs_in_beside_the_password(app: App, session: Session) -> None:
    linked = app.link(session)
    assert linked.status_code == 200
    assert app.identities(session) == [linked.json()]
    response = app.log_in()
    assert response.json()["user"]["username"] == "Alice"
    assert methods_of(response) == ["oidc:stub"]


def test_linking_again_changes_nothing(app: App, session: Session) -> None:
    first = app.link(session).json()
    assert app.link(session).json() == first


def test_an_account_of_another_user_is_not_linked(app: App, session: Session) -> None:
    app.link(session)
    mallory = session_of(sign_up(app.client, "Mallory", transport="bearer"))
    assert problem(app.link(mallory)) == TAKEN
    assert app.identities(mallory) == []


def test_of_two_users_who_link_one_account_at_once_one_wins(app: App, session: Session) -> None:
    other = session_of(sign_up(app.client, "Other", transport="bearer"))
    answers = [(app.answer(app.begin(LINK, each)), each) for each in (session, other)]
    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(
            response.status_code
            for response in pool.map(lambda each: app.post(each[0], LINK, each[1]), answers)
        )
    assert statuses == [200, 409]


def test_links_need_a_session_and_step_up(app: App, session: Session, service: Service) -> None:
    answer = app.answer(app.begin(LINK, session))
    app.link(session, "8")
    (identity,) = app.identities(session)
    requests = [
        ("POST", LINK, app.beginning),
        ("POST", f"{LINK}/callback", {"state": answer["state"], "code": answer["code"]}),
        ("DELETE", f"/me/identities/{identity['id']}", None),
    ]
    for method, path, body in requests:
        assert app.client.request(method, path, json=body).status_code == 401
    execute(service.database_url, AGE)
    for method, path, body in requests:
        response = app.client.request(method, path, json=body, headers=session)
        assert problem(response) == STALE
    assert app.client.get("/me/identities").status_code == 401


def test_a_user_has_so_many_identities_and_no_more(
    app: App, session: Session, service: Service
) -> None:
    user_id = app.client.get("/me", headers=session).json()["user"]["id"]
    execute(
        service.database_url,
        "INSERT INTO identity (id, user_id, issuer, subject) SELECT gen_random_uuid(), $1, "
        "'https://other.example', n::text FROM generate_series(1, 20) AS n",
        user_id,
    )
    assert problem(app.link(session)) == (400, "validation_failed")


def test_an_unlinked_account_logs_nobody_in(app: App, session: Session) -> None:
    app.link(session)
    assert unlink(app, session) == (204, "")
    assert app.identities(session) == []
    assert problem(app.log_in()) == (409, "sign_up_needed")


def test_unlinking_ends_the_other_sessions_that_the_provider_has_proven(
    app: App, session: Session
) -> None:
    app.link(session)
    by_provider = session_of(app.log_in())
    body = {"username": "Alice", "password": PASSWORD, "transport": "bearer"}
    by_password = session_of(app.client.post("/login", json=body))
    unlink(app, session)
    assert app.client.get("/me", headers=by_provider).status_code == 401
    assert app.client.get("/me", headers=by_password).status_code == 200
    assert app.client.get("/me", headers=session).status_code == 200


def test_the_session_that_unlinks_is_no_longer_proven_by_the_provider(app: App) -> None:
    session = session_of(app.sign_up(username="Alice"))
    body = {"new_password": PASSWORD}
    session = session_of(app.client.put("/me/password", json=body, headers=session))
    assert unlink(app, session) == (204, "")
    assert methods_of(app.client.get("/me", headers=session)) == ["password"]


def test_unlinking_voids_a_log_in_that_waits_for_its_second_factor(
    app: App, session: Session, service: Service
) -> None:
    phone = begin_set_up(app.client, service.database_url, session)
    confirm(app.client, session, phone.code())
    app.link(session)
    waiting = app.log_in()
    assert problem(waiting) == (401, "second_factor_required")
    unlink(app, session)
    body = {
        "challenge_token": waiting.json()["challenge_token"],
        "method": "totp",
        "code": phone.next_code(),
    }
    response = app.client.post("/login/second-factor", json=body)
    assert problem(response) == (401, "invalid_challenge")


def test_the_identity_of_another_user_is_not_found(app: App, session: Session) -> None:
    app.link(session)
    (identity,) = app.identities(session)
    mallory = session_of(sign_up(app.client, "Mallory", transport="bearer"))
    for name in (identity["id"], str(uuid4()), "x"):
        response = app.client.delete(f"/me/identities/{name}", headers=mallory)
        assert problem(response) == (404, "not_found")
    assert app.identities(session) == [identity]


def test_the_last_way_in_is_not_unlinked(app: App) -> None:
    session = session_of(app.sign_up())
    assert unlink(app, session) == LAST
    assert len(app.identities(session)) == 1


def test_an_identity_of_a_provider_that_is_gone_is_no_way_in(
    app: App, services: ServicePool, service: Service
) -> None:
    session = session_of(app.sign_up())
    execute(
        service.database_url,
        "INSERT INTO identity (id, user_id, issuer, subject) "
        "SELECT gen_random_uuid(), user_id, 'https://gone.example', '7' FROM identity",
    )
    listed = app.identities(session)
    assert [each["provider"] for each in listed] == ["stub", None]
    assert unlink(app, session, 0) == LAST
    assert unlink(app, session, 1) == (204, "")


@pytest.mark.parametrize("name", ["", "RENAMED"])
def test_where_the_provider_is_gone_or_renamed_its_sessions_end_with_the_link(
    app: App, session: Session, services: ServicePool, name: str
) -> None:
    app.link(session)
    by_provider = session_of(app.log_in())
    body = {"username": "Alice", "password": PASSWORD, "transport": "bearer"}
    by_password = session_of(app.client.post("/login", json=body))
    present = environment_for(app.provider, name) if name else {}
    with services.service({**NO_LIMITS, **present}).client() as client:
        elsewhere = App(client=client, provider=app.provider)
        assert unlink(elsewhere, session) == (204, "")
        assert client.get("/me", headers=by_provider).status_code == 401
        assert client.get("/me", headers=by_password).status_code == 200
        assert client.get("/me", headers=session).status_code == 200


def test_unlinking_leaves_the_sessions_of_other_providers(
    provider: StubProvider, services: ServicePool
) -> None:
    with running_stub() as other:
        second = environment_for(other, "SECOND", redirect_uris="https://second.example/callback")
        service = services.service({**NO_LIMITS, **environment_for(provider), **second})
        with service.client() as client:
            app = App(client=client, provider=provider)
            session = session_of(sign_up(client, transport="bearer"))
            client.cookies.clear()
            app.link(session)
            elsewhere, path = App(client=client, provider=other), "/me/identities/second"
            begun = elsewhere.begin(path, session, redirect_uri="https://second.example/callback")
            assert elsewhere.post(elsewhere.answer(begun), path, session).status_code == 200
            by_first = session_of(app.log_in())
            assert unlink(app, session, 1) == (204, "")
            assert client.get("/me", headers=by_first).status_code == 200


@pytest.mark.parametrize("number", range(10))
def test_of_two_ways_in_that_are_removed_at_once_one_stays(
    app: App, service: Service, number: int
) -> None:
    session = session_of(app.sign_up(f"a{number}"))
    app.link(session, f"b{number}")
    paths = [f"/me/identities/{each['id']}" for each in app.identities(session)]
    with ThreadPoolExecutor(2) as pool:
        sent = pool.map(lambda path: app.client.delete(path, headers=session), paths)
        statuses = sorted(response.status_code for response in sent)
    assert statuses == [204, 409]
    assert fetch_value(service.database_url, COUNT_IDENTITIES) == 1


def test_an_address_is_removed_only_if_an_identity_is_left(
    mailing_app: App, mailboxes: Mailboxes, services: ServicePool
) -> None:
    app = mailing_app
    session = user_with_address(app.client, mailboxes)
    execute(services.database_url, REMOVE_PASSWORDS)
    assert problem(app.client.delete("/me/email", headers=session)) == LAST
    app.link(session)
    assert app.client.delete("/me/email", headers=session).status_code == 204


def test_the_user_is_notified_of_links(mailing_app: App, mailboxes: Mailboxes) -> None:
    session = user_with_address(mailing_app.client, mailboxes)
    mailing_app.link(session)
    mailboxes.newest(ALICE, "An account was linked")
    assert unlink(mailing_app, session) == (204, "")
    mailboxes.newest(ALICE, "A linked account was removed")


def test_undo_takes_a_link_back(mailing_app: App, mailboxes: Mailboxes) -> None:
    """A thief with a session links an account; the owner of the mailbox takes it back."""
    app = mailing_app
    session = user_with_address(app.client, mailboxes)
    app.link(session, "1")
    first = mailboxes.token(ALICE, "linked")
    app.link(session, "2")
    thief = session_of(app.log_in("2"))
    token = mailboxes.token(ALICE, "linked", number=2)
    assert token != first
    assert app.client.post("/undo", json={"token": token}).status_code == 204
    assert app.client.get("/me", headers=thief).status_code == 401
    assert problem(app.log_in("2")) == (409, "sign_up_needed")
    assert app.log_in("1").status_code == 200


def test_undo_takes_no_account_of_others_away(mailing_app: App, mailboxes: Mailboxes) -> None:
    app = mailing_app
    session = user_with_address(app.client, mailboxes)
    app.link(session, "1")
    app.client.cookies.clear()
    app.sign_up("2")
    undone = app.client.post("/undo", json={"token": mailboxes.token(ALICE, "linked")})
    assert undone.status_code == 204
    assert app.log_in("2").status_code == 200


def test_accounts_are_listed_oldest_first_and_by_id_if_linked_at_once(
    app: App, session: Session, service: Service
) -> None:
    for number in range(9):
        app.link(session, str(number))

    def subjects() -> list[str]:
        return [each["subject"] for each in app.identities(session)]

    assert subjects() == [str(number) for number in range(9)]
    url = service.database_url
    execute(url, "UPDATE identity SET created_at = now() - make_interval(secs => subject::int)")
    assert subjects() == [str(number) for number in reversed(range(9))]
    execute(url, "UPDATE identity SET created_at = now()")
    ids = [each["id"] for each in app.identities(session)]
    assert ids == sorted(ids)
