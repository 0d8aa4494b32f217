"""Signing keys: made once, rotated without a verifier that fails, the same in all processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import jwt
import pytest

from service.auth.errors import RotationUnderWay
from service.auth.programs.key_rotation import KeyRotation
from service.auth.secret_keys import Keyring
from service.model.signing_keys import SigningKey
from service.settings.database import DatabaseOptions
from service.settings.secret_keys import SecretKeys
from service.storage.database import Database
from service.storage.programs.signing_keys import SIGNING_KEY_LOCK
from tests.cli.running import run
from tests.databases import (
    execute,
    fetch_value,
    held,
    locked,
    wait_for_lock_waiters,
    wait_until,
)
from tests.flows.conftest import command
from tests.programs.verifying import (
    ACCESS_TOKENS,
    age_keys,
    ask,
    ids,
    issued,
    kid_of,
    published,
    session_of,
    signing_key,
    stored_keys,
    verified,
)
from tests.service_pool import ServicePool
from tests.services import SECRET_KEYS, Service

LOCK = f"SELECT pg_advisory_xact_lock({SIGNING_KEY_LOCK})"
SECRETS = "SELECT count(*) FROM sealed_secret WHERE purpose = 'signing_key'"


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ACCESS_TOKENS)


@pytest.fixture
def elsewhere(services: ServicePool) -> Iterator[httpx.Client]:
    """Return a client of another instance on the same database."""
    other = services.service(ACCESS_TOKENS | {"OSTIARY_SESSIONS_PER_USER": "100"})
    with other.client() as client:
        yield client


@pytest.fixture
def alice(client: httpx.Client) -> dict[str, str]:
    """Return the header with the token of a session."""
    return session_of(client)


def test_several_instances_make_the_first_key_together_once(
    client: httpx.Client, elsewhere: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        with held(service.database_url, LOCK):
            signing = [pool.submit(issued, each, alice) for each in [client, elsewhere] * 2]
            reading = [pool.submit(published, each) for each in [client, elsewhere] * 2]
            wait_for_lock_waiters(service.database_url, 8)
        signed = {kid_of(each.result()) for each in signing}
        read = {kid for each in reading for kid in ids(each.result())}

    (key,) = stored_keys(service.database_url)
    assert signed == read == {str(key["id"])}
    assert fetch_value(service.database_url, SECRETS) == 1


def test_a_first_key_that_is_revoked_at_once_signs_nothing(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    """As by the end of a restore, before the request that made it has read it again."""
    url = service.database_url
    with ThreadPoolExecutor(1) as pool:
        with ExitStack() as making:
            making.enter_context(held(url, LOCK))
            asked = pool.submit(ask, client, alice)
            wait_for_lock_waiters(url)
            with locked(url, "session"):
                making.close()
                wait_until(url, "EXISTS (SELECT FROM signing_key)")
                execute(url, "UPDATE signing_key SET revoked_at = now()")
        refused = asked.result()

    assert (refused.status_code, refused.json()["code"]) == (503, "signing_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert kid_of(issued(client, alice)) != str(stored_keys(url)[0]["id"])


def test_a_verifier_whose_keys_are_five_minutes_old_never_fails(
    client: httpx.Client, elsewhere: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    """All through a rotation, both instances sign what older and newer keys verify."""
    keys, tokens, signed = [published(client)], [issued(client, alice)], []
    signing_key(service, "rotate")
    for _ in range(15):
        new = [issued(each, alice) for each in (client, elsewhere)]
        for token in new:
            assert verified(keys[-1], token)
        signed.append({kid_of(each) for each in new})
        keys.append(published(elsewhere))
        # The tokens of five minutes ago have expired; whose clock is that far behind has them yet.
        for token in tokens:
            assert verified(keys[-1], token)
        tokens = new
        age_keys(service.database_url, minutes=5)

    (old,), (new_one,) = signed[0], signed[-1]
    assert signed == [{old}] * 12 + [{new_one}] * 3
    assert ids(keys[1]) == ids(keys[12]) == [old, new_one]
    assert ids(keys[-1]) == [new_one]


def test_a_new_key_is_published_an_hour_before_it_signs(
    client: httpx.Client, elsewhere: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    old = kid_of(issued(client, alice))
    printed = json.loads(signing_key(service, "rotate", "--json"))
    new = printed["id"]

    for each in (client, elsewhere):
        assert ids(published(each)) == [old, new]
        assert kid_of(issued(each, alice)) == old
    age_keys(service.database_url, minutes=59)
    assert kid_of(issued(client, alice)) == old
    age_keys(service.database_url, minutes=2)
    for each in (client, elsewhere):
        assert kid_of(issued(each, alice)) == new
        assert ids(published(each)) == [old, new]
    age_keys(service.database_url, minutes=10)
    assert ids(published(client)) == ids(published(elsewhere)) == [new]


def test_tokens_do_not_wait_for_a_change_of_the_keys(
    client: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    (kid,) = ids(published(client))

    with held(service.database_url, LOCK):
        assert kid_of(issued(client, alice)) == kid


def test_keys_never_sign_at_the_same_time(service: Service, client: httpx.Client) -> None:
    published(client)
    signing_key(service, "rotate")

    old, new = stored_keys(service.database_url)

    assert old["signs_until"] == new["signs_from"]
    assert new["signs_until"] is None
    hour = new["signs_from"] - new["created_at"]
    assert hour.total_seconds() == pytest.approx(3600, abs=60)


def test_a_leaked_key_is_gone_at_once(
    client: httpx.Client, elsewhere: httpx.Client, service: Service, alice: dict[str, str]
) -> None:
    token, older = issued(client, alice), published(elsewhere)
    signing_key(service, "rotate")

    printed = signing_key(service, "rotate", "--now", "--yes", "--json")

    new = json.loads(printed)["id"]
    for each in (client, elsewhere):
        keys = published(each)
        assert ids(keys) == [new]
        assert kid_of(issued(each, alice)) == new
        with pytest.raises(KeyError):
            verified(keys, token)
    # Until those who verify fetch the keys again.
    assert verified(older, token)
    assert fetch_value(service.database_url, SECRETS) == 1


def test_a_forged_token_is_refused(client: httpx.Client, alice: dict[str, str]) -> None:
    token, keys = issued(client, alice), published(client)
    head, _, signature = token.split(".")
    other = issued(client, session_of(client, "Bobby")).split(".")[1]

    with pytest.raises(jwt.InvalidSignatureError):
        verified(keys, f"{head}.{other}.{signature}")


def test_all_keys_are_revoked_only_if_the_operator_means_it(
    client: httpx.Client, service: Service
) -> None:
    (old,) = ids(published(client))

    refused = run("signing-key", "rotate", "--now", typed="n\n", DATABASE_URL=service.database_url)

    assert refused.returncode == 1
    assert ids(published(client)) == [old]
    printed = signing_key(service, "rotate", "--now", typed="y\n")
    assert "accepts theirs until they fetch the keys again" in printed
    assert ids(published(client)) != [old]


def test_the_end_of_a_restore_waits_for_a_change_of_the_keys(service: Service) -> None:
    """Otherwise a key that is being made would survive it."""
    url = service.database_url
    with ThreadPoolExecutor(1) as thread:
        with held(url, LOCK):
            done = thread.submit(command, "after-restore", "--yes", DATABASE_URL=url)
            wait_for_lock_waiters(url)
        assert done.result().returncode == 0


def test_after_a_restore_no_former_key_signs_or_verifies(
    client: httpx.Client, service: Service
) -> None:
    """One of them may have been revoked since the backup."""
    older = published(client)
    signing_key(service, "rotate")

    done = run("after-restore", "--yes", "--json", DATABASE_URL=service.database_url)

    assert json.loads(done.stdout)["signing_keys"] == 2
    assert fetch_value(service.database_url, SECRETS) == 0
    alice = session_of(client)
    token = issued(client, alice)
    assert ids(published(client)) == [kid_of(token)]
    assert kid_of(token) not in ids(older)


async def test_two_rotations_at_once_make_one_key(database_url: str) -> None:
    async def rotate() -> object:
        database = Database(database_url, DatabaseOptions())
        try:
            return await KeyRotation(database, Keyring(SecretKeys.parse(SECRET_KEYS))).rotate()
        except RotationUnderWay as error:
            return error
        finally:
            await database.close()

    first = await rotate()
    with held(database_url, LOCK):
        rotations = [asyncio.create_task(rotate()) for _ in range(2)]
        await asyncio.to_thread(wait_for_lock_waiters, database_url, 2)
    second = await asyncio.gather(*rotations)

    assert isinstance(first, SigningKey)
    assert sorted(type(each).__name__ for each in second) == ["RotationUnderWay", "SigningKey"]
    assert len(stored_keys(database_url)) == 2


def test_a_rotation_under_way_is_not_begun_anew(service: Service, client: httpx.Client) -> None:
    published(client)
    signing_key(service, "rotate")

    refused = run("signing-key", "rotate", DATABASE_URL=service.database_url)

    assert refused.returncode == 1
    assert refused.stderr == (
        "A key waits to sign already: `ostiary signing-key list` says from when.\n"
    )


def test_a_rotation_before_the_first_token_makes_a_key_that_signs_at_once(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    new = json.loads(signing_key(service, "rotate", "--json"))["id"]

    assert kid_of(issued(client, alice)) == new


def test_a_rotation_revokes_a_key_that_waits_to_sign_and_was_forgotten(
    service: Service, client: httpx.Client
) -> None:
    """Its secret is gone: it could never sign."""
    published(client)
    signing_key(service, "rotate")
    _, forgotten = stored_keys(service.database_url)
    execute(service.database_url, "DELETE FROM sealed_secret WHERE id = $1", forgotten["secret_id"])

    signing_key(service, "rotate")

    revoked = [each["id"] for each in stored_keys(service.database_url) if each["revoked_at"]]
    assert revoked == [forgotten["id"]]


def test_the_keys_are_listed_with_their_states(service: Service, client: httpx.Client) -> None:
    def states() -> list[str]:
        listed = json.loads(signing_key(service, "list", "--json"))
        assert [each["id"] for each in listed] == [
            str(each["id"]) for each in stored_keys(service.database_url)
        ]
        return [each["state"] for each in listed]

    assert states() == []
    published(client)
    assert states() == ["signing"]
    signing_key(service, "rotate")
    assert states() == ["signing", "next"]
    age_keys(service.database_url, minutes=61)
    assert states() == ["published", "signing"]
    age_keys(service.database_url, minutes=6)
    assert states() == ["retired", "signing"]
    signing_key(service, "rotate", "--now", "--yes")
    assert states() == ["revoked", "revoked", "signing"]
    (line,) = (each for each in signing_key(service, "list").splitlines() if "signing" in each)
    assert line.startswith(str(stored_keys(service.database_url)[-1]["id"]))


def test_the_cleanup_deletes_secrets_and_then_keys_that_nobody_needs(
    service: Service, client: httpx.Client
) -> None:
    def clean_up() -> None:
        assert run("cleanup", DATABASE_URL=service.database_url).returncode == 0

    published(client)
    signing_key(service, "rotate")
    clean_up()
    assert fetch_value(service.database_url, SECRETS) == 2
    age_keys(service.database_url, minutes=61)
    clean_up()
    assert fetch_value(service.database_url, SECRETS) == 1
    assert len(ids(published(client))) == 2
    age_keys(service.database_url, hours=23)
    clean_up()
    assert len(stored_keys(service.database_url)) == 2
    age_keys(service.database_url, hours=1)
    clean_up()
    (left,) = stored_keys(service.database_url)
    assert left["signs_until"] is None
    assert fetch_value(service.database_url, SECRETS) == 1


def test_a_rotation_is_in_the_audit_trail(service: Service, client: httpx.Client) -> None:
    published(client)

    done = run(
        "signing-key", "rotate", DATABASE_URL=service.database_url, OSTIARY_LOG_FORMAT="json"
    )

    (line,) = (each for each in done.stderr.splitlines() if "signing_key_rotated" in each)
    event = json.loads(line)
    assert (event["by"], event["revoked"]) == ("operator", 0)
    new = stored_keys(service.database_url)[-1]
    assert (event["key_id"], event["signs_from"]) == (str(new["id"]), new["signs_from"].isoformat())
