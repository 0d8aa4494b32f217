"""What happens at the same moment: no request fails, none waits in a circle, one order wins."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice

import httpx
import pytest

from tests.databases import (
    execute,
    fetch_value,
    held,
    result_during,
    uncommitted,
    wait_for_lock_waiters,
    wait_until,
)
from tests.factories import REMOVE_PASSWORDS
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    confirm_reset,
    log_in_by,
    opened,
    problem,
    request_reset,
    user_with_address,
)
from tests.services import Service

SECOND, THIRD = "alice@second.example.org", "alice@third.example.org"
CHANGED, RESET = "the password after a change", "the password after a reset"

THREADS = 20

Send = Callable[[], httpx.Response]


class Alice:
    """A user who has changed her address, with a reset link, an undo link and a new challenge."""

    def __init__(self, service: Service, client: httpx.Client, mailboxes: Mailboxes) -> None:
        self.client = client
        self.session = user_with_address(client, mailboxes, username="Alice")
        self.verify(self.change(SECOND), mailboxes.code(SECOND))
        self.undo_token = mailboxes.token(ALICE, "Your address was changed")
        request_reset(client, SECOND)
        self.reset_token = mailboxes.token(SECOND, "Reset")
        self.challenge = self.change(THIRD)
        self.code = mailboxes.code(THIRD)
        self.other = opened(log_in_by(client, "Alice"))
        self.database_url = service.database_url

    def change(self, address: str) -> str:
        sent = self.client.put("/me/email", json={"email": address}, headers=self.session)
        token: str = sent.json()["challenge_token"]
        return token

    def verify(self, challenge: str, code: str) -> httpx.Response:
        body = {"challenge_token": challenge, "code": code}
        return self.client.post("/me/email/verify", json=body, headers=self.session)

    # What is done at once.
    def undo(self) -> httpx.Response:
        return self.client.post("/undo", json={"token": self.undo_token})

    def reset(self) -> httpx.Response:
        return confirm_reset(self.client, self.reset_token, RESET)

    def verify_third(self) -> httpx.Response:
        return self.verify(self.challenge, self.code)

    def change_password(self) -> httpx.Response:
        body = {"current_password": NEW_PASSWORD, "new_password": CHANGED}
        return self.client.put("/me/password", json=body, headers=self.session)

    def remove_address(self) -> httpx.Response:
        return self.client.delete("/me/email", headers=self.session)

    def delete(self) -> httpx.Response:
        return self.client.delete("/me", headers=self.session)

    def delete_by_password(self) -> httpx.Response:
        body = {"password": NEW_PASSWORD}
        return self.client.request("DELETE", "/me", json=body, headers=self.session)

    def export(self) -> httpx.Response:
        return self.client.get("/me/export", headers=self.session)

    def rename(self) -> httpx.Response:
        return self.client.put("/me/username", json={"username": "Alicia"}, headers=self.session)

    def log_in(self) -> httpx.Response:
        return log_in_by(self.client, "Alice")

    def end_others(self) -> httpx.Response:
        return self.client.delete("/sessions", headers=self.other)

    def request_change(self) -> httpx.Response:
        body = {"email": "alice@fourth.example.org"}
        return self.client.put("/me/email", json=body, headers=self.session)


@pytest.fixture
def alice(service: Service, client: httpx.Client, mailboxes: Mailboxes) -> Alice:
    return Alice(service, client, mailboxes)


def all_at_once(database_url: str, sends: list[Send]) -> list[httpx.Response]:
    """Send requests that all wait for the user's keys, so that they go on at the same moment."""
    with ThreadPoolExecutor(len(sends)) as pool:
        with held(database_url, "SELECT FROM key FOR UPDATE"):
            responses = [pool.submit(send) for send in sends]
            wait_for_lock_waiters(database_url)
        return [each.result() for each in responses]


RIVALS = {
    "password": Alice.change_password,
    "address": Alice.verify_third,
    "removal": Alice.remove_address,
    "deletion": Alice.delete,
    "name": Alice.rename,
    "log-in": Alice.log_in,
    "other sessions": Alice.end_others,
    "further change": Alice.request_change,
    "both links": None,
}


@pytest.mark.parametrize("link", [Alice.undo, Alice.reset], ids=["undo", "reset"])
@pytest.mark.parametrize("rival", RIVALS)
def test_a_link_and_a_change_at_once_leave_what_one_order_would(
    service: Service,
    alice: Alice,
    link: Callable[[Alice], httpx.Response],
    rival: str,
) -> None:
    other = RIVALS[rival] or (Alice.undo if link is Alice.reset else Alice.reset)
    calls = list(islice(cycle([link, other]), THREADS))
    answers = all_at_once(alice.database_url, [partial(call, alice) for call in calls])
    assert max(each.status_code for each in answers) < 500, [each.text for each in answers]
    assert "Traceback" not in service.logged()
    taken = [each for call, each in zip(calls, answers, strict=True) if call is link]
    assert sum(each.is_success for each in taken) <= 1
    assert {problem(each) for each in taken if not each.is_success} <= {(401, "invalid_challenge")}
    users = fetch_value(alice.database_url, 'SELECT count(*) FROM "user"')
    if not users:
        assert fetch_value(alice.database_url, "SELECT count(*) FROM challenge") == 0
        assert fetch_value(alice.database_url, "SELECT count(*) FROM key") == 0
        return
    addresses = fetch_value(
        alice.database_url, "SELECT array_agg(name) FROM key WHERE provider = 'email'"
    )
    hashes = "SELECT count(DISTINCT coalesce(password_hash, '')) FROM key"
    assert fetch_value(alice.database_url, hashes) == 1
    has_password = fetch_value(alice.database_url, "SELECT bool_and(password_hash <> '') FROM key")
    assert len(addresses or []) <= 1
    # Ten refused log-ins of the race may have exhausted a limit.
    execute(alice.database_url, "DELETE FROM rate_limit")
    right = [
        password
        for password in (NEW_PASSWORD, CHANGED, RESET)
        if any(log_in_by(alice.client, name, password).is_success for name in ("Alice", "Alicia"))
    ]
    assert len(right) == (1 if has_password else 0)


def at_once(database_url: str, locked: str, *sends: Send) -> list[httpx.Response]:
    """Send requests that come one after another, and all wait for a lock."""
    with ThreadPoolExecutor(len(sends)) as pool:
        with held(database_url, locked):
            responses = []
            for waiting, send in enumerate(sends, 1):
                responses.append(pool.submit(send))
                wait_for_lock_waiters(database_url, waiting)
        return [each.result() for each in responses]


def mailed_code(alice: Alice, mailboxes: Mailboxes) -> dict[str, str]:
    """Return the answer to a challenge that proves a user without a password."""
    execute(alice.database_url, REMOVE_PASSWORDS)
    sent = alice.client.post("/me/reauthenticate/options", headers=alice.session)
    token = sent.json()["challenge_token"]
    return {
        "method": "email_code",
        "challenge_token": token,
        "code": mailboxes.code(SECOND, number=2),
    }


LOCK_SESSION = "SELECT FROM session WHERE id = '{id}' FOR UPDATE"


@pytest.mark.parametrize("event", ["undo", "code"])
def test_a_log_out_does_not_wait_in_a_circle_with_what_ends_its_challenges(
    alice: Alice, mailboxes: Mailboxes, event: str
) -> None:
    body = mailed_code(alice, mailboxes)
    client, session = alice.client, alice.session

    def answer() -> httpx.Response:
        if event == "undo":
            return alice.undo()
        return client.post("/me/reauthenticate", json=body, headers=session)

    session_id = client.get("/me", headers=session).json()["session"]["id"]
    log_out, answered = at_once(
        alice.database_url,
        LOCK_SESSION.format(id=session_id),
        lambda: client.post("/logout", headers=session),
        answer,
    )
    assert log_out.status_code == 204
    if event == "undo":
        assert answered.status_code == 204
    else:
        assert problem(answered) == (401, "invalid_challenge")


END_SESSIONS = "DELETE FROM session"
DELETE_USER = 'DELETE FROM "user"'
LOCK_USER = 'SELECT FROM "user" FOR UPDATE'


@pytest.mark.parametrize("change", [END_SESSIONS, DELETE_USER])
@pytest.mark.parametrize("path", ["/me/email", "/me/reauthenticate/options"])
def test_who_asks_for_a_code_while_the_session_ends_is_not_authenticated(
    alice: Alice, path: str, change: str
) -> None:
    execute(alice.database_url, REMOVE_PASSWORDS)

    def ask() -> httpx.Response:
        if path == "/me/email":
            return alice.request_change()
        return alice.client.post(path, headers=alice.session)

    response = result_during(alice.database_url, change, ask)
    assert problem(response) == (401, "not_authenticated")


def test_a_code_for_an_address_that_is_removed_meanwhile_is_not_mailed(
    alice: Alice, mailboxes: Mailboxes
) -> None:
    execute(alice.database_url, REMOVE_PASSWORDS)
    session_id = alice.client.get("/me", headers=alice.session).json()["session"]["id"]
    with ThreadPoolExecutor(1) as pool:
        with held(alice.database_url, LOCK_SESSION.format(id=session_id)):
            sent = pool.submit(
                alice.client.post, "/me/reauthenticate/options", headers=alice.session
            )
            wait_for_lock_waiters(alice.database_url)
            execute(alice.database_url, "DELETE FROM key WHERE provider = 'email'")
        assert sent.result().status_code == 200
    wait_until(alice.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert len(mailboxes.of(SECOND, "code")) == 1


@pytest.mark.parametrize(
    "send",
    [
        *(Alice.rename, Alice.remove_address, Alice.export),
        *(Alice.delete, Alice.delete_by_password),
    ],
)
def test_a_session_that_ends_while_a_request_waits_changes_nothing(
    alice: Alice, mailboxes: Mailboxes, send: Callable[[Alice], httpx.Response]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held(alice.database_url, LOCK_USER):
            sent = pool.submit(send, alice)
            wait_for_lock_waiters(alice.database_url)
            execute(alice.database_url, END_SESSIONS)
        assert problem(sent.result()) == (401, "not_authenticated")
    user = log_in_by(alice.client, "Alice").json()["user"]
    assert (user["username"], user["email"]) == ("Alice", SECOND)
    assert not mailboxes.of(SECOND, " was ")


def test_a_reset_for_a_user_who_is_being_deleted_mails_nothing(
    service: Service, alice: Alice, mailboxes: Mailboxes
) -> None:
    with uncommitted(alice.database_url, DELETE_USER):
        request_reset(alice.client, SECOND)
        wait_for_lock_waiters(alice.database_url)
    wait_until(alice.database_url, "NOT EXISTS (SELECT FROM reset_request)")
    assert len(mailboxes.of(SECOND, "Reset")) == 1
    assert "background_task_failed" not in service.logged()


@pytest.mark.parametrize(
    "send",
    [
        *(Alice.undo, Alice.reset, Alice.verify_third, Alice.change_password),
        *(Alice.remove_address, Alice.delete, Alice.rename, Alice.log_in),
    ],
)
def test_nothing_fails_while_the_user_is_being_deleted(
    service: Service, alice: Alice, send: Callable[[Alice], httpx.Response]
) -> None:
    answer = result_during(alice.database_url, DELETE_USER, lambda: send(alice))
    assert answer.status_code in {204, 401}, answer.text
    assert "Traceback" not in service.logged()
    assert fetch_value(alice.database_url, "SELECT count(*) FROM challenge") == 0
