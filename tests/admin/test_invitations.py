"""Invitations, as other programs and operators make, list and withdraw them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from service.storage.admin.invitations import COUNTING_LOCK
from tests.databases import (
    execute,
    fetch,
    fetch_value,
    result_during,
    wait_until,
)
from tests.factories import bearer, codes, moment, service_token, sign_up
from tests.flows.conftest import ALICE, Mailboxes, command, problem
from tests.invitations import EXPIRE, invite
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import Service
from tests.smtp_server import SMTPServer

PATH = "/admin/invitations"
URL = "https://app.example.com/join#token={token}"
WRITE, ROLES = "invitations:write", "roles:write"
INVALID = (403, "invalid_invitation")

FILL = """
INSERT INTO invitation (id, secret_hash, created_at, expires_at)
SELECT gen_random_uuid(), '', timestamptz '2026-01-01 00:00:00.123456Z' + n / 3 * interval '1 us',
       now() + interval '1 day'
FROM generate_series(1, $1) AS n
"""

ANOTHER = FILL.replace("$1", "1")


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer) -> Iterator[Service]:
    """Return a service that mails, and asks for invitations."""
    variables = {"OSTIARY_SIGN_UP": "invited", "OSTIARY_INVITATION_URL": URL}
    variables |= {"OSTIARY_MAIL_POLL_INTERVAL": "1s"}
    yield services.service(mail_environment(plain_url(shared_smtp), **variables))
    # Or the next test would find them in the mailboxes.
    wait_until(services.database_url, "NOT EXISTS (SELECT FROM mail)")


@pytest.fixture
def program(service: Service) -> dict[str, str]:
    """Return the header of a program that may invite people, and give them roles."""
    return bearer(service_token(service.database_url, WRITE, ROLES))


def create(client: httpx.Client, program: dict[str, str], **fields: Any) -> httpx.Response:
    return client.post(PATH, json=fields, headers=program)


def made(client: httpx.Client, program: dict[str, str], **fields: Any) -> dict[str, Any]:
    response = create(client, program, **fields)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def listed(
    client: httpx.Client, program: dict[str, str], cursor: str | None = None
) -> dict[str, Any]:
    parameters = {} if cursor is None else {"cursor": cursor}
    response = client.get(PATH, headers=program, params=parameters)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def days_of(invitation: dict[str, Any]) -> float:
    period = moment(invitation["expires_at"]) - moment(invitation["created_at"])
    return period.total_seconds() / 86400


def test_without_an_address_the_response_has_token_and_link(
    client: httpx.Client, program: dict[str, str]
) -> None:
    response = create(client, program)
    body = response.json()
    assert response.headers["location"] == f"{PATH}/{body['invitation']['id']}"
    assert body["mailed"] is False
    assert body["link"] == URL.format(token=body["token"])
    assert days_of(body["invitation"]) == 7
    assert sign_up(client, invitation=body["token"]).status_code == 201


def test_with_an_address_the_link_is_mailed_and_not_returned(
    client: httpx.Client, program: dict[str, str], mailboxes: Mailboxes
) -> None:
    body = made(client, program, email=ALICE, roles=["editor"])
    assert body.keys() == {"invitation", "mailed"}
    assert body["mailed"] is True
    assert body["invitation"]["email"] == ALICE
    token = mailboxes.token(ALICE, "invitation")
    asked = client.post("/signup/email", json={"email": ALICE, "invitation": token}).json()
    answer = {"challenge_token": asked["challenge_token"], "code": mailboxes.code(ALICE)}
    body = answer | {"password": "correct horse battery staple", "invitation": token}
    user = client.post("/signup/email/verify", json=body).json()["user"]
    assert (user["email"], user["roles"]) == (ALICE, ["editor"])


def test_without_its_page_an_invitation_is_not_mailed_but_returned(
    services: ServicePool, shared_smtp: SMTPServer, mailboxes: Mailboxes
) -> None:
    variables = mail_environment(plain_url(shared_smtp))
    del variables["OSTIARY_INVITATION_URL"]
    service = services.service(variables)
    with service.client() as client:
        program = bearer(service_token(service.database_url, WRITE))
        body = made(client, program, email=ALICE)
        assert (body["mailed"], "link" in body) == (False, False)
        sent = {"email": ALICE, "invitation": body["token"]}
        assert client.post("/signup/email", json=sent).status_code == 202
    assert mailboxes.of(ALICE, "invitation") == []


def test_without_mail_nobody_is_invited_with_an_address(services: ServicePool) -> None:
    service = services.service(
        {"OSTIARY_ENV": "production", "OSTIARY_SIGN_UP": "invited", "OSTIARY_INVITATION_URL": URL}
    )
    with service.client() as client:
        program = bearer(service_token(service.database_url, WRITE))
        refused = create(client, program, email=ALICE)
        assert (problem(refused)[0], codes(refused)) == (400, {"email": "not_allowed"})
        token = made(client, program)["token"]
        assert sign_up(client, invitation=token).status_code == 201


def test_an_address_is_mailed_a_limited_number_of_invitations(
    client: httpx.Client, program: dict[str, str], service: Service
) -> None:
    for _ in range(5):
        made(client, program, email=ALICE)
    refused = create(client, program, email="alice@EXAMPLE.org")
    assert problem(refused) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    assert fetch_value(service.database_url, "SELECT count(*) FROM invitation") == 5
    made(client, program, email="bobby@example.org")


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"email": "alice"}, {"email": "invalid_address"}),
        ({"email": None}, {"email": "wrong_type"}),
        ({"roles": ["Editor"]}, {"roles": "not_allowed"}),
        ({"roles": [""]}, {"roles": "not_allowed"}),
        ({"roles": ["a" * 65]}, {"roles": "not_allowed"}),
        ({"roles": ["editor\n"]}, {"roles": "not_allowed"}),
        ({"roles": [str(number) for number in range(101)]}, {"roles": "too_long"}),
        ({"roles": "editor"}, {"roles": "not_allowed"}),
        ({"roles": [1]}, {"roles": "wrong_type"}),
        ({"roles": None}, {"roles": "wrong_type"}),
        ({"expires_in": 59}, {"expires_in": "not_allowed"}),
        ({"expires_in": 90 * 86400 + 1}, {"expires_in": "not_allowed"}),
        ({"expires_in": 60.5}, {"expires_in": "wrong_type"}),
        ({"expires_in": True}, {"expires_in": "wrong_type"}),
        ({"expires_in": "7d"}, {"expires_in": "not_allowed"}),
        ({"token": "x"}, {"token": "unknown_field"}),
    ],
)
def test_bad_fields_are_refused(
    client: httpx.Client, program: dict[str, str], fields: dict[str, Any], errors: dict[str, str]
) -> None:
    refused = create(client, program, **fields)
    assert problem(refused) == (400, "validation_failed")
    assert codes(refused) == errors


def test_roles_are_given_once_each_and_the_period_as_asked(
    client: httpx.Client, program: dict[str, str]
) -> None:
    roles = ["team:a", "a" * 64, "team:a", "0_.-"]
    body = made(client, program, roles=roles, expires_in=90 * 86400)
    assert body["invitation"]["roles"] == sorted(set(roles))
    assert days_of(body["invitation"]) == 90


def test_roles_need_a_scope_of_their_own(client: httpx.Client, service: Service) -> None:
    program = bearer(service_token(service.database_url, WRITE))
    refused = create(client, program, roles=["editor"])
    assert problem(refused) == (403, "insufficient_scope")
    assert "roles:write" in refused.headers["www-authenticate"]
    (line,) = [
        line
        for line in service.logged().splitlines()
        if refused.headers["x-request-id"] in line and "scope_refused" in line
    ]
    assert "roles:write" in line
    assert fetch_value(service.database_url, "SELECT count(*) FROM invitation") == 0
    assert made(client, program, roles=[])["invitation"]["roles"] == []


def requests(client: httpx.Client, headers: dict[str, str]) -> list[httpx.Response]:
    return [
        client.post(PATH, json={}, headers=headers),
        client.get(PATH, headers=headers),
        client.delete(f"{PATH}/{uuid4()}", headers=headers),
    ]


def test_only_a_service_token_with_the_scope_opens_anything(
    client: httpx.Client, service: Service
) -> None:
    others = {"introspect", "users:read", "users:write", "users:recover"}
    others |= {"sessions:read", "sessions:write", ROLES}
    stranger = bearer(service_token(service.database_url, *others))
    for response in requests(client, stranger):
        assert problem(response) == (403, "insufficient_scope")
    made_by = sign_up(client, transport="bearer", invitation=invite(service.database_url))
    user = bearer(made_by.json()["session"]["token"])
    for headers in ({}, user):
        for response in requests(client, headers):
            assert response.status_code == 401
    assert fetch_value(service.database_url, "SELECT count(*) FROM invitation") == 0


def test_the_list_has_what_is_outstanding_and_nothing_that_opens_anything(
    client: httpx.Client, program: dict[str, str], service: Service, mailboxes: Mailboxes
) -> None:
    used, withdrawn = made(client, program)["token"], made(client, program)["invitation"]["id"]
    assert sign_up(client, invitation=used).status_code == 201
    client.cookies.clear()
    assert client.delete(f"{PATH}/{withdrawn}", headers=program).status_code == 204
    invite(service.database_url)
    execute(service.database_url, EXPIRE)
    bound = made(client, program, email=ALICE, roles=["editor"])["invitation"]
    free = made(client, program)
    page = listed(client, program)
    assert page == {"invitations": [free["invitation"], bound], "next": None}
    token_id = fetch_value(service.database_url, "SELECT id::text FROM service_token")
    assert bound["service_token_id"] == token_id
    assert free["token"][22:] not in json.dumps(page)
    invitation_id = free["invitation"]["id"]
    raw = UUID(invitation_id).bytes
    for guess in (
        invitation_id,
        *(urlsafe_b64encode(raw + b * 32).decode() for b in (b"\0", b"1")),
    ):
        assert problem(sign_up(client, invitation=guess)) == INVALID
    mailboxes.newest(ALICE, "invitation")


def test_pages_have_every_invitation_once_though_many_are_made_in_one_moment(
    client: httpx.Client, program: dict[str, str], service: Service
) -> None:
    execute(service.database_url, FILL, 250)
    page = listed(client, program)
    cursor, found = page["next"], page["invitations"]
    while page["next"]:
        created = made(client, program)["invitation"]
        page = listed(client, program, page["next"])
        assert created not in page["invitations"]
        found += page["invitations"]
    rows = fetch(service.database_url, "SELECT id::text FROM invitation WHERE secret_hash = ''")
    assert len(found) == 250
    assert {each["id"] for each in found} == {each["id"] for each in rows}
    refused = client.get(PATH, headers=program, params={"cursor": "x"})
    assert codes(refused) == {"cursor": "not_allowed"}
    twice = client.get(PATH, headers=program, params=[("cursor", cursor), ("cursor", cursor)])
    assert codes(twice) == {"cursor": "not_allowed"}


def test_a_withdrawn_invitation_opens_nothing_and_is_gone(
    client: httpx.Client, program: dict[str, str]
) -> None:
    body = made(client, program)
    path = f"{PATH}/{body['invitation']['id']}"
    assert client.delete(path, headers=program).status_code == 204
    assert problem(sign_up(client, invitation=body["token"])) == INVALID
    for unknown in (path, f"{PATH}/{uuid4()}", f"{PATH}/x"):
        assert problem(client.delete(unknown, headers=program)) == (404, "not_found")


def test_an_expired_invitation_cannot_be_withdrawn(
    client: httpx.Client, program: dict[str, str], service: Service
) -> None:
    body = made(client, program)
    execute(service.database_url, EXPIRE)
    gone = client.delete(f"{PATH}/{body['invitation']['id']}", headers=program)
    assert problem(gone) == (404, "not_found")


def test_there_are_at_most_ten_thousand_outstanding_invitations(
    client: httpx.Client, program: dict[str, str], service: Service
) -> None:
    execute(service.database_url, FILL, 10_000)
    assert problem(create(client, program)) == (409, "too_many_invitations")
    execute(service.database_url, f"{EXPIRE} WHERE id = (SELECT id FROM invitation LIMIT 1)")
    made(client, program)
    assert problem(create(client, program)) == (409, "too_many_invitations")


def test_invitations_that_are_made_at_once_are_counted_one_after_the_other(
    client: httpx.Client, program: dict[str, str], service: Service
) -> None:
    execute(service.database_url, FILL, 9_999)
    another = f"SELECT pg_advisory_xact_lock({COUNTING_LOCK}); {ANOTHER}"
    response = result_during(service.database_url, another, lambda: create(client, program))
    assert problem(response) == (409, "too_many_invitations")


def test_the_audit_trail_tells_which_program_invited_and_withdrew(
    client: httpx.Client, program: dict[str, str], service: Service
) -> None:
    body = made(client, program)
    client.delete(f"{PATH}/{body['invitation']['id']}", headers=program)
    token_id = fetch_value(service.database_url, "SELECT id::text FROM service_token")
    for event in ("invitation_created", "invitation_withdrawn"):
        (line,) = [each for each in service.logged().splitlines() if event in each]
        assert f"service_token_id={token_id}" in line
        assert f"invitation_id={body['invitation']['id']}" in line
        assert "by=program" in line
    assert body["token"][22:] not in service.logged()


def ostiary(service: Service, *arguments: str, **variables: str) -> Any:
    """Run ``ostiary invitation``, which must succeed. Return what it prints as JSON, by line."""
    variables = {"DATABASE_URL": service.database_url, "OSTIARY_INVITATION_URL": URL} | variables
    result = command("invitation", *arguments, "--json", **variables)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_operator_invites_lists_and_withdraws_by_the_same_rules(
    client: httpx.Client, service: Service, program: dict[str, str]
) -> None:
    (first,) = ostiary(service, "create", "--role", "editor", "--expires-in", "2d")
    assert first["link"] == URL.format(token=first["token"])
    assert days_of(first["invitation"]) == 2
    assert first["invitation"]["service_token_id"] is None
    (second,) = ostiary(service, "create")
    lines = ostiary(service, "list")
    assert [each["id"] for each in lines] == [each["invitation"]["id"] for each in (second, first)]
    assert listed(client, program)["invitations"] == lines
    ostiary(service, "withdraw", second["invitation"]["id"])
    assert problem(sign_up(client, invitation=second["token"])) == INVALID
    user = sign_up(client, invitation=first["token"]).json()["user"]
    assert user["roles"] == ["editor"]


def test_an_operator_has_an_invitation_mailed(
    service: Service, shared_smtp: SMTPServer, mailboxes: Mailboxes
) -> None:
    variables = mail_environment(plain_url(shared_smtp), OSTIARY_INVITATION_URL=URL)
    (printed,) = ostiary(service, "create", "--email", ALICE, **variables)
    assert printed.keys() == {"invitation", "mailed"}
    assert mailboxes.token(ALICE, "invitation")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--email", "alice"], "--email"),
        (["--role", "Editor"], "--role"),
        (["--expires-in", "91d"], "1m to 90d"),
        (["--expires-in", "59s"], "1m to 90d"),
    ],
)
def test_the_command_refuses_what_the_endpoint_refuses(
    service: Service, arguments: list[str], reason: str
) -> None:
    result = command("invitation", "create", *arguments, DATABASE_URL=service.database_url)
    assert result.returncode == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
