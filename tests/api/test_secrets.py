"""Secrets are not logged, not even at debug level."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api import schemas
from service.api.identities.schemas import IdTokenRequest, LogInCallbackRequest
from service.auth.hashing.jobs import Hash, Verify
from service.auth.passwords import Password, PasswordPolicy
from service.auth.tokens import Token
from service.model.sessions import SecretHash
from service.model.users import PasswordHash
from service.settings import Settings
from tests.databases import TestServer, execute, fetch
from tests.factories import COOKIE, bearer, cookie, log_in, sign_up, token_of, with_other_secret
from tests.services import Service, running

CANARY = "canary-Kr4kat0a-sings"

# What a client can put a secret into by mistake, and what is logged all too often.
HEADERS = (
    *("Authorization", "Cookie", "User-Agent", "Referer", "Origin", "Accept", "Accept-Language"),
    *("X-Forwarded-For", "Forwarded", "X-Request-ID", "X-Api-Key", "Content-Type", "Host"),
    *("Sec-Fetch-Site", "If-None-Match", "Access-Control-Request-Method"),
)
ENDPOINTS = (
    *(("POST", "/signup"), ("POST", "/login"), ("GET", "/me"), ("POST", "/logout")),
    *(("GET", "/sessions"), ("DELETE", "/sessions"), ("DELETE", f"/sessions/{CANARY}")),
    *(("PUT", "/me/password"), ("DELETE", "/me"), ("GET", "/healthz"), ("GET", f"/{CANARY}")),
)
FIELDS = ("username", "password", "current_password", "new_password", "transport", CANARY)


@pytest.fixture(params=["text", "json"])
def service(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    environment = {
        "OSTIARY_LOG_LEVEL": "debug",
        "OSTIARY_LOG_FORMAT": request.param,
        "OSTIARY_SIGN_UPS_PER_ADDRESS": "0",
    }
    with running(database_url, tmp_path / "service.log", environment) as service:
        yield service


def hashes_in(database_url: str) -> set[str]:
    """Return the hashes in the database, in the encodings in which they could be logged."""
    found = set()
    for row in fetch(database_url, "SELECT password_hash FROM key"):
        found |= {row[0], row[0].rpartition("$")[2]}
    for row in fetch(database_url, "SELECT encode(secret_hash, 'hex') FROM session"):
        found.add(row[0])
    return found


def every_body() -> Iterator[bytes]:
    for field in FIELDS:
        yield f'{{"{field}": "{CANARY}"}}'.encode()
        yield f'{{"{field}": ["{CANARY}"]}}'.encode()
        yield f'{{"{field}": "{CANARY}'.encode()
    yield f'{{"username": "Alice", "password": "{CANARY}"}}'.encode()
    yield f'{{"username": "{CANARY}", "password": "{CANARY}"}}'.encode()
    yield f'{{"current_password": "{CANARY}", "new_password": "{CANARY}2"}}'.encode()
    yield CANARY.encode() + b"\xff"
    yield f'"{CANARY}"'.encode() * 2000


def found_in(written: str, secrets: set[str]) -> list[str]:
    """Return the secrets in a text, in any case: user names are prepared in lower case."""
    return [secret for secret in secrets if secret.lower() in written.lower()]


def test_client_secrets_are_never_logged(
    service: Service, client: httpx.Client, postgresql: TestServer
) -> None:
    token = token_of(sign_up(client))
    secrets = {CANARY, token, with_other_secret(token)}
    for method, path in ENDPOINTS:
        for body in every_body():
            headers = {"Content-Type": "application/json", "Connection": "close", **bearer(token)}
            client.request(method, path, content=body, headers=headers, params={"q": CANARY})
        for name in HEADERS:
            body = b'{"username": "Alice", "password": "x"}'
            headers = {"Content-Type": "application/json", "Connection": "close", name: CANARY}
            client.request(method, path, content=body, headers=headers)
        for sent in (cookie(f"{CANARY}{token}"), bearer(with_other_secret(token))):
            client.request(method, path, headers=sent)
    again = log_in(client)
    secrets |= {again.cookies[COOKIE]} if again.is_success else set()
    secrets |= hashes_in(service.database_url)
    written = service.log.read_text() + postgresql.embedded.log.read_text()
    assert "audit" in written
    assert found_in(written, secrets) == []


def test_internal_errors_log_no_secrets(
    service: Service, client: httpx.Client, postgresql: TestServer
) -> None:
    token = token_of(sign_up(client, password=CANARY))
    secrets = {CANARY, token, *hashes_in(service.database_url)}
    execute(service.database_url, "ALTER TABLE session ADD CHECK (id IS NULL) NOT VALID")
    execute(service.database_url, "ALTER TABLE key ADD CHECK (name = 'alice') NOT VALID")
    client.cookies.clear()
    headers = {"User-Agent": CANARY}
    answers = [
        log_in(client, password=CANARY),
        client.post("/signup", json={"username": "Bobby", "password": CANARY}, headers=headers),
        client.put(
            "/me/password",
            json={"current_password": CANARY, "new_password": f"{CANARY}2"},
            headers=cookie(token),
        ),
    ]
    execute(service.database_url, "ALTER TABLE session RENAME COLUMN secret_hash TO oops")
    answers.append(client.get("/me", headers=cookie(token)))
    assert [answer.status_code for answer in answers] == [500, 500, 500, 503]
    written = service.log.read_text() + "".join(answer.text for answer in answers)
    written += postgresql.embedded.log.read_text()
    assert "Traceback" in written
    assert "violates check constraint" in written
    assert found_in(written, secrets) == []
    assert "Failing row" not in written
    assert "$argon2" not in written


def test_an_unreachable_database_does_not_reveal_its_password(tmp_path: Path) -> None:
    url = f"postgresql://ostiary:{CANARY}@127.0.0.1:1/ostiary"
    environment = {"OSTIARY_LOG_LEVEL": "debug"}
    with running(url, tmp_path / "service.log", environment) as service, service.client() as client:
        assert client.get("/readyz").status_code == 503
        assert sign_up(client).status_code == 503
        assert CANARY not in service.log.read_text()


@pytest.mark.parametrize(
    "secret",
    [
        Token.issue(),
        Password(CANARY),
        PasswordPolicy().accept(CANARY),
        PasswordHash(CANARY, CANARY),
        SecretHash(CANARY.encode()),
        Hash(CANARY),
        Verify(password_hash=CANARY, forms=[CANARY], prepared=CANARY, text=CANARY, renew=True),
        Settings(database_url=f"postgresql://x:{CANARY}@h/d"),
        LogInCallbackRequest(state=CANARY, code=CANARY),
        IdTokenRequest(state=CANARY, id_token=CANARY),
        schemas.DeleteMeRequest(password=Password(CANARY)),
    ],
    ids=lambda secret: type(secret).__name__,
)
def test_the_repr_of_a_secret_hides_it(secret: Any) -> None:
    shown = repr([secret])
    assert CANARY not in shown
    assert not (isinstance(secret, Token) and secret.text in shown)
