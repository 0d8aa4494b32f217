"""Log-ins with hashes of other systems, and with hash processes that fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import httpx
import psutil
import pytest

from service.auth.codes import link_token_of
from service.auth.secret_keys import Keyring
from service.model.challenges import Purpose
from service.model.service_tokens import Scope
from service.settings.secret_keys import SecretKeys
from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, REMOVE_PASSWORDS, bearer, log_in, service_token, sign_up
from tests.server.test_metrics import measured_service, sample
from tests.services import SECRET_KEYS, Service, family_of, wait_for, wait_until_measured

CURRENT, ANOTHER = {"current_password": PASSWORD}, "an entirely different one"
FULL_WIDTH = "\N{FULLWIDTH LATIN SMALL LETTER A} good password"
SALT = b"$2b$04$CCCCCCCCCCCCCCCCCCCCC."
ADD_LINK = """
INSERT INTO challenge (id, purpose, user_id, key_id, expires_at)
SELECT gen_random_uuid(), $1, id, 'tests', now() + interval '1 hour' FROM "user" RETURNING id
"""


def sign_up_with_hash(service: Service, client: httpx.Client, password_hash: str) -> None:
    """Sign Alice up, and give her a hash that came from elsewhere."""
    sign_up(client)
    client.cookies.clear()
    execute(service.database_url, "UPDATE key SET password_hash = $1", password_hash)


@pytest.mark.parametrize(
    "password_hash",
    [
        "$2b$31$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
        "$2b$04$CCCCCCCCCCCCCCCCCCCCCz7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
        "$argon2id$v=19$m=64,t=1,p=1$!!!$###",
        "$argon2i$v=19$m=64,t=4294967295,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
        "nonsense",
    ],
)
def test_a_hash_that_cannot_be_verified_is_refused_like_an_unknown_name(
    service: Service, client: httpx.Client, password_hash: str
) -> None:
    sign_up_with_hash(service, client, password_hash)
    known, unknown = log_in(client, "Alice"), log_in(client, "Nobody")
    assert known.status_code == unknown.status_code == 401
    assert {**known.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert sign_up(client, "Bobby").status_code == 201


def test_whoever_knows_what_bcrypt_covers_does_not_lock_the_owner_out(
    service: Service, client: httpx.Client
) -> None:
    owners = "a long sentence that only its owner knows: " * 2
    sign_up_with_hash(service, client, bcrypt.hashpw(owners.encode()[:72], SALT).decode())
    for password in (owners[:72], owners[:72] + "garbage", owners):
        client.cookies.clear()
        assert log_in(client, password=password).status_code == 200
    stored = fetch_value(service.database_url, "SELECT password_hash FROM key")
    assert stored.startswith("$2b$")


def test_a_password_of_lucias_typed_once_in_full_width_is_still_known_in_its_usual_form(
    service: Service, client: httpx.Client
) -> None:
    key = hashlib.scrypt(b"a good password", salt=b"salt", n=16384, r=8, p=1, maxmem=2**26)
    sign_up_with_hash(service, client, f"salt:{key.hex()}")
    for password in (FULL_WIDTH, "a good password", FULL_WIDTH):
        client.cookies.clear()
        assert log_in(client, password=password).status_code == 200
    stored = fetch_value(service.database_url, "SELECT password_hash FROM key")
    assert stored.startswith("$argon2id$")


def hash_processes(service: Service) -> list[psutil.Process]:
    return [each for each in family_of(service.process) if is_hash_process(each)]


def is_hash_process(process: psutil.Process) -> bool:
    return "service.auth.hashing.program" in process.cmdline()


@pytest.mark.own_service
def test_a_service_whose_hash_process_hangs_stops_and_leaves_nothing(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    family = family_of(service.process)
    for process in hash_processes(service):
        process.suspend()
    service.process.terminate()
    wait_for(lambda: not service.is_running(), "the service has stopped")
    wait_for(lambda: not any(map(is_running, family[1:])), "no process is left")
    assert "Killing" not in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


@contextmanager
def full_queue(
    database_url: str, tmp_path: Path
) -> Iterator[tuple[Service, httpx.Client, ThreadPoolExecutor]]:
    """Run a service where no stranger's password has a place.

    Also return Alice's client, and threads whose work is done once there are places again.
    """
    few = {
        "OSTIARY_HASH_PROCESSES": "1",
        "OSTIARY_HASH_QUEUE_LENGTH": "1",
        "OSTIARY_LOG_LEVEL": "debug",
    }
    with (
        measured_service(database_url, tmp_path, **few) as service,
        service.client() as alice,
        service.client() as stranger,
        ThreadPoolExecutor(3) as threads,
    ):
        assert sign_up(alice).status_code == 201
        # The measurement waits in the same queue.
        wait_until_measured(service)
        (hash_process,) = hash_processes(service)
        hash_process.suspend()
        waiting = [threads.submit(log_in, stranger, f"Nobody{n}") for n in range(2)]
        wait_for(lambda: sample(service, "ostiary_hash_queue_length") == 1, "the queue is full")
        try:
            yield service, alice, threads
        finally:
            hash_process.resume()
        assert [each.result().status_code for each in waiting] == [401, 401]


@pytest.mark.parametrize("enter", [sign_up, log_in])
def test_a_password_without_a_place_is_refused_before_the_database_is_asked(
    database_url: str, tmp_path: Path, enter: Callable[[httpx.Client, str], httpx.Response]
) -> None:
    # The number of the transaction that wrote each row.
    written = "SELECT array_agg(CAST(xmin AS text) ORDER BY bucket) FROM rate_limit"
    with full_queue(database_url, tmp_path) as (service, *_), service.client() as client:
        before = fetch_value(database_url, written)
        assert enter(client, "Bobby").status_code == 503
        assert fetch_value(database_url, written) == before


def test_a_first_password_has_a_place_though_strangers_have_filled_the_queue(
    database_url: str, tmp_path: Path
) -> None:
    with full_queue(database_url, tmp_path) as (service, alice, threads):
        execute(database_url, REMOVE_PASSWORDS)
        answer = threads.submit(alice.put, "/me/password", json={"new_password": ANOTHER})
        wait_until_queued(service, answer)
    assert answer.result().is_success


def test_a_program_that_fills_the_queue_takes_no_place_from_another_one(
    database_url: str, tmp_path: Path
) -> None:
    few = {
        "OSTIARY_HASH_PROCESSES": "1",
        "OSTIARY_HASH_QUEUE_LENGTH": "2",
        "OSTIARY_LOG_LEVEL": "debug",
        "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
    }
    with (
        measured_service(database_url, tmp_path, **few) as service,
        program_at(service, "203.0.113.1") as one,
        program_at(service, "203.0.113.2") as other,
        ThreadPoolExecutor(4) as threads,
    ):
        # The measurement waits in the same queue.
        wait_until_measured(service)
        (hash_process,) = hash_processes(service)
        hash_process.suspend()
        created = [threads.submit(create_user, one, f"user{number}") for number in range(3)]
        wait_for(lambda: sample(service, "ostiary_hash_queue_length") == 2, "the queue is full")
        answer = threads.submit(create_user, other, "Alice")
        wait_for(lambda: any(each.done() for each in (*created, answer)), "one was refused")
        hash_process.resume()
        assert answer.result() == 201
        assert sorted(each.result() for each in created) == [201, 201, 503]


def program_at(service: Service, address: str) -> httpx.Client:
    """Return the client of a program with a service token of its own."""
    token = service_token(service.database_url, Scope.USERS_WRITE)
    return service.client(headers=bearer(token) | {"X-Forwarded-For": address})


def create_user(program: httpx.Client, username: str) -> int:
    body = {"username": username, "password": PASSWORD}
    return program.post("/admin/users", json=body).status_code


@pytest.mark.parametrize(
    "send",
    [
        log_in,
        lambda alice: alice.post(
            "/me/reauthenticate", json={"method": "password", "password": PASSWORD}
        ),
        lambda alice: alice.put("/me/password", json={**CURRENT, "new_password": ANOTHER}),
        lambda alice: alice.request("DELETE", "/me", json={"password": PASSWORD}),
    ],
    ids=["log-in", "reauthentication", "change", "deletion"],
)
def test_a_known_device_or_session_has_a_place_though_strangers_have_filled_the_queue(
    database_url: str, tmp_path: Path, send: Callable[[httpx.Client], httpx.Response]
) -> None:
    with full_queue(database_url, tmp_path) as (service, alice, threads):
        answer = threads.submit(send, alice)
        wait_until_queued(service, answer)
    assert answer.result().is_success


def test_a_reset_by_a_link_has_a_place_though_strangers_have_filled_the_queue(
    database_url: str, tmp_path: Path
) -> None:
    with full_queue(database_url, tmp_path) as (service, alice, threads):
        body = {"token": reset_link(database_url), "new_password": ANOTHER}
        answer = threads.submit(alice.post, "/password-reset/confirm", json=body)
        wait_until_queued(service, answer)
    assert answer.result().is_success


def wait_until_queued(service: Service, answer: Future[httpx.Response]) -> None:
    wait_for(
        lambda: answer.done() or sample(service, "ostiary_hash_queue_length") == 2,
        "Alice waits too, or was refused",
    )


def reset_link(database_url: str) -> str:
    """Return the token of a link to reset the password of the only user."""
    challenge_id = fetch_value(database_url, ADD_LINK, Purpose.PASSWORD_RESET)
    keyring = Keyring(SecretKeys.parse(SECRET_KEYS))
    return link_token_of(keyring, keyring.current_id, challenge_id, Purpose.PASSWORD_RESET)


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
