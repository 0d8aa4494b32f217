"""Users with an authenticator app, which is pyotp, and with recovery codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pyotp
import pytest
from msgspec import Struct

from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, age_sessions, bearer, log_in, sign_up
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    mailboxes,
    service,
    user_with_address,
)
from tests.services import Service

__all__ = ["mailboxes", "service"]

PERIOD = 30
MINUTE = 1 / (24 * 60)

WRONG = (401, "invalid_code")
CHALLENGE = (401, "invalid_challenge")
REQUIRED = (401, "second_factor_required")
STALE = (401, "reauthentication_required")
NOT_AUTHENTICATED = (401, "not_authenticated")


class Phone(Struct, frozen=True):
    """An authenticator app whose clock is that of the database."""

    database_url: str
    secret: str

    def code(self, steps: int = 0) -> str:
        """Return the code of a step, counted from the present one."""
        step = step_of_database(self.database_url) + steps
        return pyotp.TOTP(self.secret).generate_otp(step)

    def next_code(self) -> str:
        """Return the present code as if all codes so far had been used some minutes ago."""
        execute(self.database_url, "UPDATE totp SET last_step = 0")
        return self.code()

    def wrong_code(self) -> str:
        """Return a code of no step that is near."""
        near = {self.code(steps) for steps in range(-5, 6)}
        return next(code for code in map("{:06}".format, range(20)) if code not in near)


class Owner(Struct, frozen=True, kw_only=True):
    """A user with an app, the session in which it was set up, and the recovery codes."""

    client: httpx.Client
    username: str
    password: str
    session: dict[str, str]
    phone: Phone
    recovery_codes: list[str]

    def begin(self, **fields: Any) -> httpx.Response:
        """Answer the first factor."""
        body = {"transport": "bearer", "password": self.password} | fields
        response = log_in(self.client, self.username, **body)
        assert problem(response) == REQUIRED, response.text
        return response

    def challenge(self, **fields: Any) -> str:
        """Answer the first factor. Return the token of the challenge."""
        token: str = self.begin(**fields).json()["challenge_token"]
        return token

    def complete(
        self, challenge: str, code: str, method: str = "totp", **fields: Any
    ) -> httpx.Response:
        """Answer the second factor."""
        body = {"challenge_token": challenge, "method": method, "code": code}
        return self.client.post("/login/second-factor", json=body, **fields)

    def log_in(self, **fields: Any) -> httpx.Response:
        """Log in with a code of the app."""
        response = self.complete(self.challenge(**fields), self.phone.next_code())
        assert response.status_code == 200, response.text
        return response

    def reauthenticate(
        self, session: dict[str, str], code: str, method: str = "totp"
    ) -> httpx.Response:
        body = {"method": method, "code": code}
        return self.client.post("/me/reauthenticate", json=body, headers=session)


MakeOwner = Callable[..., Owner]


def step_of_database(database_url: str) -> int:
    """Return the present time step, by the clock of the database."""
    seconds = "SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS bigint)"
    return int(fetch_value(database_url, seconds)) // PERIOD


def within_a_step(database_url: str, send: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the response to a request during which no time step ended."""
    while True:
        before, response = step_of_database(database_url), send()
        if step_of_database(database_url) == before:
            return response


def problem(response: httpx.Response) -> tuple[int, str]:
    """Return the status of a refusal, and its code."""
    return response.status_code, response.json().get("code", "")


def session_of(response: httpx.Response) -> dict[str, str]:
    """Return the header with the token that a response has."""
    assert response.status_code in {200, 201}, response.text
    return bearer(response.json()["session"]["token"])


def methods_of(response: httpx.Response) -> list[str]:
    """Return the methods that have proven the user of a session, in order of their times."""
    return [each["method"] for each in response.json()["session"]["methods"]]


def begin_set_up(client: httpx.Client, database_url: str, session: dict[str, str]) -> Phone:
    """Set an app up, which is to be confirmed."""
    response = client.post("/me/totp", headers=session)
    assert response.status_code == 201, response.text
    return Phone(database_url, response.json()["secret"])


def confirm(client: httpx.Client, session: dict[str, str], code: str) -> httpx.Response:
    return client.post("/me/totp/confirm", json={"code": code}, headers=session)


def owner_of(
    client: httpx.Client,
    database_url: str,
    session: dict[str, str],
    username: str,
    password: str = PASSWORD,
) -> Owner:
    """Set an app up for the user of a session."""
    phone = begin_set_up(client, database_url, session)
    confirmed = confirm(client, session, phone.code())
    assert confirmed.status_code == 200, confirmed.text
    return Owner(
        client=client,
        username=username,
        password=password,
        session=session,
        phone=phone,
        recovery_codes=confirmed.json()["recovery_codes"],
    )


@pytest.fixture
def make_owner(service: Service, client: httpx.Client) -> MakeOwner:
    """Return a function that makes users with a name and an app."""

    def make(username: str = "Alice", **fields: Any) -> Owner:
        session = session_of(sign_up(client, username, transport="bearer", **fields))
        client.cookies.clear()
        return owner_of(client, service.database_url, session, username)

    return make


@pytest.fixture
def alice(make_owner: MakeOwner) -> Owner:
    """Return a user with a name and an app."""
    return make_owner()


@pytest.fixture
def mailed_alice(service: Service, client: httpx.Client, mailboxes: Mailboxes) -> Owner:
    """Return a user with a name, a verified address, and an app."""
    session = user_with_address(client, mailboxes, username="Alice")
    owner = owner_of(client, service.database_url, session, "Alice", NEW_PASSWORD)
    mailboxes.newest(ALICE, "A second factor was added")
    return owner


def age(database_url: str, *, minutes: float) -> None:
    """Move the times of all sessions back."""
    age_sessions(database_url, days=minutes * MINUTE)
