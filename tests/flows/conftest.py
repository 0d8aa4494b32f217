"""A service that mails, and the mailboxes of its users."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from subprocess import CompletedProcess

import httpx
import pytest

from tests.cli.running import REPOSITORY
from tests.databases import erased_mails
from tests.factories import bearer
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import Service, wait_for
from tests.smtp_server import Received, SMTPServer

CODE = re.compile(r"^ {4}([0-9]{8})\s*$", re.MULTILINE)
LINK = re.compile(r"https://app\.example\.com/[a-z]+#token=([A-Za-z0-9_-]+)")

NEW_PASSWORD = "an entirely different passphrase"
ALICE = "Alice@example.org"


class Mailboxes:
    """What has arrived at the SMTP server in this test."""

    def __init__(self, smtp: SMTPServer) -> None:
        self._smtp = smtp
        smtp.mails.clear()

    def of(self, address: str, subject: str = "") -> list[Received]:
        """Return the mails to an address, except for late ones of a test before."""
        return [
            each
            for each in self._smtp.mails_to(address)
            if subject in each.message["Subject"] and each.id not in erased_mails
        ]

    def newest(self, address: str, subject: str = "", *, number: int = 1) -> Received:
        """Return the newest mail to an address, once it has so many."""
        wait_for(lambda: len(self.of(address, subject)) >= number, f"mail {subject!r} to {address}")
        return self.of(address, subject)[-1]

    def code(self, address: str, *, number: int = 1) -> str:
        """Return the code in the newest mail to an address; both parts say the same."""
        mail = self.newest(address, "code", number=number)
        (code,) = CODE.findall(mail.part("plain"))
        assert code in mail.part("html")
        return str(code)

    def token(self, address: str, subject: str = "password", *, number: int = 1) -> str:
        """Return the token of the link in the newest mail to an address."""
        mail = self.newest(address, subject, number=number)
        (token,) = LINK.findall(mail.part("plain"))
        assert mail.part("html").count(token) == 2
        return str(token)


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer) -> Service:
    environment = mail_environment(plain_url(shared_smtp), OSTIARY_MAIL_POLL_INTERVAL="1s")
    return services.service(environment)


@pytest.fixture
def audited_service(services: ServicePool, shared_smtp: SMTPServer) -> Service:
    """Return a service that mails, and whose audit trail can be read."""
    environment = mail_environment(
        plain_url(shared_smtp), OSTIARY_MAIL_POLL_INTERVAL="1s", OSTIARY_LOG_FORMAT="json"
    )
    return services.service(environment)


@pytest.fixture
def mailboxes(service: Service, shared_smtp: SMTPServer) -> Mailboxes:
    return Mailboxes(shared_smtp)


def command(*arguments: str, typed: str = "", **variables: str) -> CompletedProcess[str]:
    """Run a command of the command line.

    Not in a fork of this process, as other tests do: the SMTP server is a thread of it, and a lock
    that it holds at that moment would never be released in the fork.
    """
    runner = _runner_of_commands()
    assert runner.stdin is not None
    assert runner.stdout is not None
    print(json.dumps([arguments, typed, variables]), file=runner.stdin, flush=True)
    return CompletedProcess(arguments, *json.loads(runner.stdout.readline()))


@cache
def _runner_of_commands() -> subprocess.Popen[str]:
    """Start a process without threads, which ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def opened(response: httpx.Response) -> dict[str, str]:
    """Return the header with the token that a response has."""
    assert response.is_success, response.text
    return bearer(response.json()["session"]["token"])


def sign_up_by_email(client: httpx.Client, address: str = ALICE) -> str:
    """Ask for a code. Return the token of the challenge."""
    response = client.post("/signup/email", json={"email": address})
    assert response.status_code == 202, response.text
    token: str = response.json()["challenge_token"]
    return token


def verify_sign_up(
    client: httpx.Client, challenge: str, code: str, password: str = NEW_PASSWORD, **fields: str
) -> httpx.Response:
    body = {"challenge_token": challenge, "code": code, "password": password} | fields
    return client.post("/signup/email/verify", json={"transport": "bearer"} | body)


def user_with_address(
    client: httpx.Client, mailboxes: Mailboxes, address: str = ALICE, username: str | None = None
) -> dict[str, str]:
    """Sign somebody up by e-mail. Return the header with their session's token."""
    challenge = sign_up_by_email(client, address)
    fields = {} if username is None else {"username": username}
    return opened(verify_sign_up(client, challenge, mailboxes.code(address), **fields))


def log_in_by(client: httpx.Client, username: str, password: str = NEW_PASSWORD) -> httpx.Response:
    body = {"username": username, "password": password, "transport": "bearer"}
    return client.post("/login", json=body)


def request_reset(client: httpx.Client, identifier: str) -> None:
    response = client.post("/password-reset", json={"identifier": identifier})
    assert (response.status_code, response.json()) == (202, {}), response.text


def confirm_reset(
    client: httpx.Client, token: str, password: str = "a third and longer passphrase"
) -> httpx.Response:
    body = {"token": token, "new_password": password, "transport": "bearer"}
    return client.post("/password-reset/confirm", json=body)


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 10**8:08}"
