"""Who may sign up: everybody, who was invited, or nobody; the same by every way to sign up."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, Protocol

import httpx
import pytest
from msgspec import Struct

from tests.databases import (
    execute,
    fetch_value,
    result_during,
    wait_until,
)
from tests.factories import PASSWORD, codes, sign_up
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    command,
    opened,
    problem,
    sign_up_by_email,
    wrong,
)
from tests.identities.conftest import App, environment_for, provider
from tests.invitations import EXPIRE, invite
from tests.mail.conftest import mail_environment, plain_url
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import Service
from tests.smtp_server import SMTPServer

__all__ = ["provider"]

CLOSED = (403, "sign_up_closed")
INVALID = (403, "invalid_invitation")

COUNT_USERS = 'SELECT count(*) FROM "user"'
COUNT_INVITATIONS = "SELECT count(*) FROM invitation"


class ServiceOf(Protocol):
    """Returns the service of a mode, and with further settings."""

    def __call__(self, mode: str, **more: str) -> Service: ...


@pytest.fixture
def service_of(
    services: ServicePool, shared_smtp: SMTPServer, provider: StubProvider
) -> Iterator[ServiceOf]:
    """Return a function that returns the service of a mode. All work on one database."""

    def start(mode: str, **more: str) -> Service:
        variables = {
            "OSTIARY_SIGN_UP": mode,
            "OSTIARY_INVITATION_URL": "https://app.example.com/join#token={token}",
            "OSTIARY_MAIL_POLL_INTERVAL": "1s",
            "OSTIARY_MAILS_PER_RECIPIENT": "0",
            "OSTIARY_MAIL_REQUESTS_PER_ADDRESS": "0",
            **environment_for(provider),
        }
        return services.service(mail_environment(plain_url(shared_smtp), **variables, **more))

    yield start
    # Or the next test would find them in the mailboxes.
    wait_until(services.database_url, "NOT EXISTS (SELECT FROM mail)")


@pytest.fixture
def service(service_of: ServiceOf) -> Service:
    """Return the service that asks for invitations."""
    return service_of("invited")


class Asked(Struct):
    """A code that was mailed to an address, as an open service does."""

    challenge_token: str
    code: str

    def body(self, **fields: Any) -> dict[str, Any]:
        answer = {"challenge_token": self.challenge_token, "code": self.code}
        return answer | {"password": PASSWORD} | fields


Ask = Callable[[str], Asked]


@pytest.fixture
def ask(service_of: ServiceOf, mailboxes: Mailboxes) -> Ask:
    """Return a function that has a code mailed, whatever the mode of the service in the test."""

    def mailed(address: str) -> Asked:
        number = len(mailboxes.of(address, "code")) + 1
        with service_of("open").client() as client:
            token = sign_up_by_email(client, address)
        return Asked(token, mailboxes.code(address, number=number))

    return mailed


Prove = Callable[[], str]


@pytest.fixture
def prove(service_of: ServiceOf, provider: StubProvider) -> Prove:
    """Return a function that proves an account at a provider, to an open service.

    It returns the token of the challenge.
    """

    def challenge() -> str:
        with service_of("open").client() as client:
            needed = App(client=client, provider=provider).log_in()
        token: str = needed.json()["challenge_token"]
        return token

    return challenge


# Each way to sign up: the body of a request in which nothing but an invitation may be wrong. One
# that takes an invitation and is missing here fails the last test.
DOORS: dict[str, Callable[[Ask, Prove], dict[str, Any]]] = {
    "/signup": lambda *_: {"username": "Alice", "password": PASSWORD},
    "/signup/email": lambda *_: {"email": ALICE},
    "/signup/email/verify": lambda ask, _: ask(ALICE).body(),
    "/signup/oidc": lambda _, prove: {"challenge_token": prove()},
}

# Where whoever could sign up only is refused at once.
BEFORE = {"/login/oidc/{provider}/callback", "/login/oidc/{provider}/id-token"}

MODES = {
    "open": {"none": None, "unknown": INVALID, "good": None},
    "invited": {"none": INVALID, "unknown": INVALID, "good": None},
    "closed": {"none": CLOSED, "unknown": CLOSED, "good": CLOSED},
}
CASES = [
    (mode, door, sent, expected)
    for (mode, by_sent), door in product(MODES.items(), DOORS)
    for sent, expected in by_sent.items()
]
UNKNOWN = urlsafe_b64encode(bytes(48)).decode()


@pytest.mark.parametrize(("mode", "door", "sent", "expected"), CASES)
def test_every_way_to_sign_up_obeys_the_mode(
    service_of: ServiceOf,
    ask: Ask,
    prove: Prove,
    mode: str,
    door: str,
    sent: str,
    expected: tuple[int, str] | None,
) -> None:
    service = service_of(mode)
    body = DOORS[door](ask, prove)
    good = invite(service.database_url)
    invitation = {"none": {}, "unknown": {"invitation": UNKNOWN}, "good": {"invitation": good}}
    with service.client() as client:
        response = client.post(door, json=body | invitation[sent])
    if expected is None:
        assert response.is_success, response.text
    else:
        assert problem(response) == expected
    users = fetch_value(service.database_url, COUNT_USERS)
    assert users == (expected is None and door != "/signup/email")
    is_used_up = users and sent == "good"
    assert fetch_value(service.database_url, COUNT_INVITATIONS) == (not is_used_up)


def test_an_operator_creates_users_in_every_mode(service_of: ServiceOf) -> None:
    service = service_of("closed")
    variables = {"DATABASE_URL": service.database_url, "OSTIARY_SIGN_UP": "closed"}
    created = command("user", "create", "Alice", typed=f"{PASSWORD}\n", **variables)
    assert created.returncode == 0, created.stderr


def test_a_closed_service_refuses_all_alike_also_who_is_logged_in(
    service_of: ServiceOf, ask: Ask
) -> None:
    answer = ask(ALICE)
    with service_of("open").client() as client:
        session = opened(sign_up(client, transport="bearer"))
    with service_of("closed").client() as client:
        assert problem(sign_up(client, "Bobby")) == CLOSED
        body = {"username": "Bobby", "password": PASSWORD}
        assert problem(client.post("/signup", json=body, headers=session)) == CLOSED
        body = {"email": ALICE}
        assert problem(client.post("/signup/email", json=body, headers=session)) == CLOSED
        body = answer.body(code=wrong(answer.code))
        refused = client.post("/signup/email/verify", json=body, headers=session)
        assert problem(refused) == CLOSED


def other_id(token: str) -> str:
    """Return a token with the same secret and another id."""
    raw = urlsafe_b64decode(token)
    return urlsafe_b64encode(bytes(16) + raw[16:]).decode()


def other_secret(token: str) -> str:
    """Return a token with the same id and another secret."""
    raw = urlsafe_b64decode(token)
    return urlsafe_b64encode(raw[:16] + bytes(32)).decode()


@pytest.mark.parametrize("door", ["/signup", "/signup/email"])
def test_all_invalid_invitations_get_the_same_answer(
    service: Service, client: httpx.Client, door: str
) -> None:
    url = service.database_url
    expired = invite(url)
    execute(url, EXPIRE)
    used = invite(url)
    assert sign_up(client, "Zelda", invitation=used).status_code == 201
    client.cookies.clear()
    withdrawn = invite(url)
    execute(url, "DELETE FROM invitation WHERE expires_at > now()")
    good = invite(url)
    invalid = [
        *("", "x", "é" * 64, "A" * 64, "A" * 10_000, good[:-1], f"{good}=", f" {good}"),
        *(expired, used, withdrawn, invite(url, "bobby@example.org")),
        *(other_id(good), other_secret(good)),
    ]
    answers = []
    body = {"username": "Alice", "password": PASSWORD} if door == "/signup" else {"email": ALICE}
    for sent in (body, *(body | {"invitation": each} for each in invalid)):
        response = client.post(door, json=sent)
        answers.append((response.status_code, response.json() | {"request_id": ""}))
    assert answers == [answers[0]] * len(answers)
    assert (answers[0][0], answers[0][1]["code"]) == INVALID
    assert client.post(door, json=body | {"invitation": good}).is_success


def test_a_sign_up_that_fails_leaves_the_invitation(service: Service, client: httpx.Client) -> None:
    sign_up(client, "Alice", invitation=invite(service.database_url))
    client.cookies.clear()
    token = invite(service.database_url)
    assert problem(sign_up(client, "ALICE", invitation=token)) == (409, "username_taken")
    refused = sign_up(client, "Bobby", password="password", invitation=token)
    assert codes(refused) == {"password": "too_common"}
    assert sign_up(client, "Bobby", invitation=token).status_code == 201
    client.cookies.clear()
    assert problem(sign_up(client, "Carol", invitation=token)) == INVALID


def test_a_sign_up_by_email_that_fails_leaves_code_and_invitation(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    sign_up(client, "Alice", invitation=invite(service.database_url))
    client.cookies.clear()
    token = invite(service.database_url)
    asked = client.post("/signup/email", json={"email": ALICE, "invitation": token}).json()
    answer = Asked(asked["challenge_token"], mailboxes.code(ALICE))
    for fields, expected in (
        ({"username": "Alice", "invitation": token}, (409, "username_taken")),
        ({}, INVALID),
        ({"invitation": other_secret(token)}, INVALID),
        ({"invitation": token, "code": wrong(answer.code)}, (401, "invalid_code")),
    ):
        refused = client.post("/signup/email/verify", json=answer.body(**fields))
        assert problem(refused) == expected
    body = answer.body(invitation=token)
    assert client.post("/signup/email/verify", json=body).status_code == 201
    assert fetch_value(service.database_url, COUNT_INVITATIONS) == 0


def test_the_roles_of_an_invitation_are_those_of_the_user(service_of: ServiceOf, ask: Ask) -> None:
    for mode in ("open", "invited"):
        service = service_of(mode)
        token = invite(service.database_url, None, "editor", "team:blue")
        with service.client() as client:
            made = sign_up(client, f"Alice-{mode}", invitation=token)
            assert made.json()["user"]["roles"] == ["editor", "team:blue"]
            assert client.get("/me").json()["user"]["roles"] == ["editor", "team:blue"]
            client.cookies.clear()
            address = f"{mode}@example.org"
            token = invite(service.database_url, address, "owner")
            body = ask(address).body(invitation=token)
            made = client.post("/signup/email/verify", json=body)
            assert made.json()["user"]["roles"] == ["owner"]
    with service_of("open").client() as client:
        assert sign_up(client, "Bobby").json()["user"]["roles"] == []


def test_an_invitation_to_an_address_is_for_that_address_in_any_spelling(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, ask: Ask
) -> None:
    token = invite(service.database_url, ALICE)
    assert problem(sign_up(client, invitation=token)) == INVALID
    refused = client.post("/signup/email", json={"email": "bobby@example.org", "invitation": token})
    assert problem(refused) == INVALID
    body = ask("bobby@example.org").body(invitation=token)
    assert problem(client.post("/signup/email/verify", json=body)) == INVALID
    assert len(mailboxes.of("bobby@example.org")) == 1
    spelling = "aLICE@EXAMPLE.ORG"
    asked = client.post("/signup/email", json={"email": spelling, "invitation": token}).json()
    answer = Asked(asked["challenge_token"], mailboxes.code("aLICE@example.org"))
    made = client.post("/signup/email/verify", json=answer.body(invitation=token))
    assert made.json()["user"]["email"] == "aLICE@example.org"


def test_an_invitation_to_an_address_does_not_verify_it(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    token = invite(service.database_url, ALICE)
    asked = client.post("/signup/email", json={"email": ALICE, "invitation": token}).json()
    answer = Asked(asked["challenge_token"], wrong(mailboxes.code(ALICE)))
    refused = client.post("/signup/email/verify", json=answer.body(invitation=token))
    assert problem(refused) == (401, "invalid_code")
    assert fetch_value(service.database_url, COUNT_USERS) == 0


def test_a_taken_address_gets_the_same_answer_with_an_invitation(
    service_of: ServiceOf, ask: Ask, mailboxes: Mailboxes
) -> None:
    with service_of("open").client() as client:
        client.post("/signup/email/verify", json=ask(ALICE).body())
    service = service_of("invited")
    answers = []
    with service.client() as client:
        for address in (ALICE, "free@example.org"):
            body = {"email": address, "invitation": invite(service.database_url, address)}
            response = client.post("/signup/email", json=body)
            answers.append((response.status_code, response.json().keys()))
    assert answers[0] == answers[1]
    mailboxes.newest(ALICE, "account")
    assert fetch_value(service.database_url, COUNT_INVITATIONS) == 2


def test_of_ten_sign_ups_at_once_one_uses_an_invitation(
    services: ServicePool, shared_smtp: SMTPServer
) -> None:
    service = services.service({"OSTIARY_SIGN_UP": "invited", "OSTIARY_WORKERS": "2"})
    token = invite(service.database_url)

    def attempt(number: int) -> tuple[int, str]:
        with service.client() as client:
            response = sign_up(client, f"Alice-{number}", invitation=token)
        return response.status_code, response.json().get("code", "")

    with ThreadPoolExecutor(10) as pool:
        outcomes = sorted(pool.map(attempt, range(10)))
    assert outcomes == [(201, ""), *[INVALID] * 9]
    assert fetch_value(service.database_url, COUNT_USERS) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [("DELETE FROM invitation", 403), ("SELECT 1 FROM invitation FOR UPDATE", 201)],
)
def test_a_sign_up_waits_for_another_that_uses_the_same_invitation(
    service: Service, client: httpx.Client, change: str, status: int
) -> None:
    """And succeeds if that one fails: a lock that is released is what such a one leaves."""
    token = invite(service.database_url)
    url = service.database_url
    response = result_during(url, change, lambda: sign_up(client, invitation=token))
    assert response.status_code == status


def test_an_invitation_that_expires_during_a_sign_up_is_invalid(
    service: Service, client: httpx.Client
) -> None:
    token = invite(service.database_url)
    url = service.database_url
    response = result_during(url, EXPIRE, lambda: sign_up(client, invitation=token))
    assert problem(response) == INVALID


def test_invalid_invitations_count_as_sign_ups_of_an_address(service_of: ServiceOf) -> None:
    service = service_of("invited", OSTIARY_SIGN_UPS_PER_ADDRESS="2/1h")
    with service.client() as client:
        for _ in range(2):
            assert problem(sign_up(client, invitation=UNKNOWN)) == INVALID
        good = invite(service.database_url)
        assert problem(sign_up(client, invitation=good)) == (429, "rate_limited")


def test_the_audit_trail_tells_who_accepted_which_invitation(
    service: Service, client: httpx.Client
) -> None:
    token = invite(service.database_url)
    invitation_id = fetch_value(service.database_url, "SELECT id::text FROM invitation")
    user_id = sign_up(client, invitation=token).json()["user"]["id"]
    (line,) = [each for each in service.logged().splitlines() if "invitation_accepted" in each]
    assert invitation_id in line
    assert user_id in line
    assert token not in service.logged()
    assert token[22:] not in service.logged()


def test_the_table_has_every_way_to_sign_up(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    taking, refusing = set(), set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = str(body.get("schema", {}).get("$ref", "")).rpartition("/")[2]
            if "invitation" in schemas.get(name, {}).get("properties", {}):
                taking.add(path)
            if "sign_up_closed" in str(operation["responses"].get("403", "")):
                refusing.add(path)
    assert taking == DOORS.keys()
    assert refusing == DOORS.keys() | BEFORE
