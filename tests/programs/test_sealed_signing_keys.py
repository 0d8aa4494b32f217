"""Signing keys at rest: sealed, moved and forgotten as all secrets of the service."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import httpx
import pytest
from joserfc.jwk import ECKey

from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.sealed_secrets import Sealed
from service.settings.secret_keys import SecretKeys
from tests.cli.running import run
from tests.databases import execute, fetch, fetch_value
from tests.flows.test_nothing_usable_at_rest import dump
from tests.programs.verifying import (
    ACCESS_TOKENS,
    age_keys,
    ask,
    ids,
    issued,
    kid_of,
    published,
    session_of,
    stored_keys,
    verified,
)
from tests.service_pool import ServicePool
from tests.services import SECRET_KEYS, Service

OLD, NEW = SECRET_KEYS, f"newer:{b64encode(b'n' * 32).decode()}"


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ACCESS_TOKENS)


@pytest.fixture
def alice(client: httpx.Client) -> dict[str, str]:
    """Return the header with the token of a session."""
    return session_of(client)


def opened(database_url: str) -> ECKey:
    """Return the private key, as whoever has the secret key opens it."""
    (row,) = fetch(database_url, "SELECT * FROM sealed_secret")
    sealed = Sealed(key_id=row["key_id"], ciphertext=row["ciphertext"])
    ring = Keyring(SecretKeys.parse(OLD))
    return ECKey.import_key(ring.open(KeyPurpose.SIGNING_KEY, UUID(str(row["id"])), sealed))


def test_neither_the_database_nor_the_log_has_what_signs(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    token = issued(client, alice)
    private = opened(service.database_url)

    scalar = urlsafe_b64decode(f"{private.as_dict(private=True)['d']}=")
    der = private.as_der(private=True)
    held = f"{dump(service.database_url)}\n{service.logged()}"
    for raw in (scalar, der):
        for form in (
            raw.decode("latin-1"),
            raw.hex(),
            b64encode(raw).decode().rstrip("="),
            urlsafe_b64encode(raw).decode().rstrip("="),
        ):
            assert form not in held
    assert "PRIVATE KEY" not in held
    assert token not in held
    assert token.split(".")[2] not in held
    # The search finds what is there.
    assert kid_of(token) in held
    assert str(private.as_dict(private=False)["x"]) in held


def test_the_secret_of_a_signing_key_belongs_to_no_user(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    issued(client, alice)
    (row,) = fetch(service.database_url, "SELECT user_id, purpose FROM sealed_secret")

    assert tuple(row) == (None, "signing_key")
    execute(service.database_url, 'DELETE FROM "user"')
    assert fetch_value(service.database_url, "SELECT count(*) FROM sealed_secret") == 1


def test_the_service_does_not_start_without_the_key_that_seals_it(
    client: httpx.Client, service: Service
) -> None:
    published(client)

    refused = run("serve", DATABASE_URL=service.database_url, OSTIARY_SECRET_KEYS=NEW)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "OSTIARY_SECRET_KEYS lacks the key tests, which has sealed 1 secrets."
    )


@pytest.mark.parametrize(
    ("damage", "event"),
    [
        ("UPDATE sealed_secret SET key_id = 'lost'", "secret_key_missing"),
        ("UPDATE sealed_secret SET ciphertext = 'x'", "secret_unreadable"),
    ],
)
def test_what_cannot_be_opened_signs_nothing_and_is_not_replaced(
    client: httpx.Client, service: Service, alice: dict[str, str], damage: str, event: str
) -> None:
    (kid,) = ids(published(client))
    execute(service.database_url, damage)

    refused = ask(client, alice)

    assert (refused.status_code, refused.json()["code"]) == (503, "signing_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert event in service.logged()
    assert "Traceback" not in service.logged()
    assert ids(published(client)) == [kid]


def test_secret_key_status_reseal_and_forget_know_signing_keys(
    client: httpx.Client, services: ServicePool, service: Service, alice: dict[str, str]
) -> None:
    token = issued(client, alice)

    def secret_key(*arguments: str, keys: str) -> str:
        done = run(
            *("secret-key", *arguments),
            DATABASE_URL=service.database_url,
            OSTIARY_SECRET_KEYS=keys,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "newest  1 sealed secrets" in secret_key("status", keys=OLD)
    assert secret_key("reseal", keys=f"{NEW},{OLD}") == "1 secrets were sealed anew.\n"
    other = services.service(ACCESS_TOKENS | {"OSTIARY_SECRET_KEYS": NEW})
    with other.client() as elsewhere:
        assert kid_of(issued(elsewhere, alice)) == kid_of(token)

    printed = secret_key("forget", "newer", "--yes", keys=OLD)

    assert printed == "1 secrets were deleted.\n"
    new = issued(client, alice)
    assert kid_of(new) != kid_of(token)
    # The former one is lost, not leaked: what it has signed stays valid.
    keys = published(client)
    assert ids(keys) == [kid_of(token), kid_of(new)]
    assert verified(keys, token)
    assert verified(keys, new)
    old, _ = stored_keys(service.database_url)
    assert old["signs_until"] is not None


def test_a_key_that_waits_to_sign_and_was_forgotten_never_signs(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    published(client)
    done = run("signing-key", "rotate", DATABASE_URL=service.database_url)
    assert done.returncode == 0
    execute(service.database_url, "DELETE FROM sealed_secret")

    token = issued(client, alice)

    first, made, waiting = stored_keys(service.database_url)
    assert kid_of(token) == str(made["id"])
    assert waiting["revoked_at"] is not None
    assert ids(published(client)) == [str(first["id"]), str(made["id"])]
    assert made["signs_until"] is None


def test_a_key_that_signs_no_more_does_not_stand_in_for_one_that_was_forgotten(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    published(client)
    assert run("signing-key", "rotate", DATABASE_URL=service.database_url).returncode == 0
    age_keys(service.database_url, minutes=61)
    old, new = stored_keys(service.database_url)
    execute(service.database_url, "DELETE FROM sealed_secret WHERE id = $1", new["secret_id"])

    token = issued(client, alice)

    assert kid_of(token) not in {str(old["id"]), str(new["id"])}
