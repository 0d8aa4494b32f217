"""Passkeys and passwords are removed, but never the last way in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pyotp
import pytest

from tests.authenticator import Authenticator
from tests.databases import execute, fetch_value
from tests.factories import PASSWORD
from tests.factors.passkeys import (
    Headers,
    add_passkey,
    browser,
    complete,
    count,
    is_live,
    log_in_by_passkey,
    new_user,
    opened,
    password_log_in,
    problem,
    reauthenticate,
    reauthentication_options,
    registration_options,
    remove_password,
    second_factor,
)
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

LAST_WAY_IN = (409, "last_way_in")
VERIFIED_ADDRESS = """
INSERT INTO key (provider, name, display_name, user_id, verified_at)
SELECT 'email', 'alice@example.org', 'alice@example.org', id, now() FROM "user" """
ROUNDS = 50


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


@pytest.fixture
def device(service: Service) -> Authenticator:
    return browser(service)


@pytest.fixture
def passkey(client: httpx.Client, alice: Headers, device: Authenticator) -> str:
    """Return the id of a passkey of the user, who has a password too."""
    return added(client, alice, device)


def added(client: httpx.Client, session: Headers, device: Authenticator) -> str:
    passkey_id: str = add_passkey(client, session, device)["passkey"]["id"]
    return passkey_id


def remove(client: httpx.Client, session: Headers, passkey_id: str) -> httpx.Response:
    return client.delete(f"/me/passkeys/{passkey_id}", headers=session)


def delete_password(client: httpx.Client, session: Headers) -> httpx.Response:
    return client.delete("/me/password", headers=session)


def set_up_totp(client: httpx.Client, session: Headers) -> None:
    secret = client.post("/me/totp", headers=session).json()["secret"]
    body = {"code": pyotp.TOTP(secret).now()}
    client.post("/me/totp/confirm", json=body, headers=session).raise_for_status()


# Passkeys.


def test_a_passkey_that_is_removed_proves_nobody(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    assert remove(client, alice, passkey).status_code == 204
    assert problem(log_in_by_passkey(client, device)) == (401, "unknown_passkey")
    assert problem(remove(client, alice, passkey)) == (404, "not_found")


def test_with_the_last_factor_the_recovery_codes_go(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    second = added(client, alice, browser(service))
    assert remove(client, alice, passkey).status_code == 204
    assert count(service, "recovery_code") == 10
    assert problem(password_log_in(client)) == (401, "second_factor_required")
    assert remove(client, alice, second).status_code == 204
    assert count(service, "recovery_code") == 0
    assert password_log_in(client).status_code == 200
    # The next first one brings new ones.
    assert len(add_passkey(client, alice, device)["recovery_codes"]) == 10


def test_other_sessions_that_a_passkey_has_proven_end(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    added(client, alice, browser(service))
    by_passkey = opened(log_in_by_passkey(client, device))
    as_second = opened(complete(client, second_factor(client), device))
    codes = client.post("/me/recovery-codes", headers=alice).json()["recovery_codes"]
    pending = password_log_in(client).json()["challenge_token"]
    body = {"challenge_token": pending, "method": "recovery_code", "code": codes[0]}
    by_code = opened(client.post("/login/second-factor", json=body))
    assert remove(client, alice, passkey).status_code == 204
    assert [is_live(client, each) for each in (alice, by_passkey, as_second, by_code)] == [
        *(True, False, False, True)
    ]
    methods = client.get("/me", headers=alice).json()["session"]["methods"]
    assert [each["method"] for each in methods] == ["password"]


def test_the_security_version_moves_with_a_removal(
    service: Service, client: httpx.Client, alice: Headers, passkey: str
) -> None:
    read = 'SELECT security_version FROM "user"'
    before = fetch_value(service.database_url, read)
    remove(client, alice, passkey).raise_for_status()
    assert fetch_value(service.database_url, read) == before + 1


# The last way in.


def test_the_last_way_in_stays(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    second = added(client, alice, browser(service))
    remove_password(service)
    assert remove(client, alice, second).status_code == 204
    assert problem(remove(client, alice, passkey)) == LAST_WAY_IN
    assert is_live(client, alice)
    assert log_in_by_passkey(client, device).status_code == 200
    assert count(service, "recovery_code") == 10


def test_an_app_and_recovery_codes_are_no_way_in(
    client: httpx.Client, service: Service, alice: Headers, passkey: str
) -> None:
    set_up_totp(client, alice)
    remove_password(service)
    assert problem(remove(client, alice, passkey)) == LAST_WAY_IN


def test_of_two_simultaneous_removals_of_the_last_two_one_is_refused(
    services: ServicePool,
) -> None:
    service = services.service({"OSTIARY_WORKERS": "2", **NO_LIMITS})
    with service.client() as client, service.client() as other, ThreadPoolExecutor(2) as pool:
        alice, device = new_user(client), browser(service)
        kept = added(client, alice, device)
        remove_password(service)
        for each in range(ROUNDS):
            both = [kept, added(client, alice, browser(service))]
            responses = list(
                pool.map(
                    lambda pair: remove(pair[0], alice, pair[1]),
                    zip((client, other), both, strict=True),
                )
            )
            assert sorted(response.status_code for response in responses) == [204, 409], each
            kept = both[[response.status_code for response in responses].index(409)]
            execute(service.database_url, "UPDATE session SET authenticated_at = now()")
        assert count(service, "passkey") == 1


def test_an_address_is_a_way_in_where_there_is_mail(
    service: Service, client: httpx.Client, alice: Headers, passkey: str
) -> None:
    """In development mails are written into files."""
    execute(service.database_url, VERIFIED_ADDRESS.replace("now()", "NULL"))
    remove_password(service)
    assert problem(remove(client, alice, passkey)) == LAST_WAY_IN
    execute(service.database_url, "UPDATE key SET verified_at = now() WHERE provider = 'email'")
    assert remove(client, alice, passkey).status_code == 204


def test_an_address_goes_while_a_passkey_is_left(
    service: Service, client: httpx.Client, alice: Headers, passkey: str
) -> None:
    execute(service.database_url, VERIFIED_ADDRESS)
    remove_password(service)
    assert client.delete("/me/email", headers=alice).status_code == 204
    assert problem(remove(client, alice, passkey)) == LAST_WAY_IN


def test_an_address_stays_when_it_is_the_last_way_in(
    service: Service, client: httpx.Client, alice: Headers, passkey: str
) -> None:
    execute(service.database_url, VERIFIED_ADDRESS)
    remove_password(service)
    assert remove(client, alice, passkey).status_code == 204
    assert problem(client.delete("/me/email", headers=alice)) == LAST_WAY_IN


PRODUCTION = {
    "OSTIARY_ENV": "production",
    "OSTIARY_PASSKEY_RP_ID": "example.com",
    "OSTIARY_ALLOWED_HOSTS": "*",
    **NO_LIMITS,
}


def test_an_address_is_no_way_in_without_mail(services: ServicePool) -> None:
    service = services.service(PRODUCTION)
    with service.client() as client:
        alice, device = new_user(client), browser(service, origin="https://example.com")
        first = added(client, alice, device)
        second = added(client, alice, browser(service, origin="https://example.com"))
        execute(service.database_url, VERIFIED_ADDRESS)
        remove_password(service)
        assert remove(client, alice, first).status_code == 204
        assert problem(remove(client, alice, second)) == LAST_WAY_IN


# The password.


def test_a_password_goes_when_two_passkeys_are_left(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    assert problem(delete_password(client, alice)) == LAST_WAY_IN
    assert count(service, "key WHERE password_hash IS NOT NULL") == 1
    added(client, alice, browser(service))
    by_password = opened(complete(client, second_factor(client), device))
    by_passkey = opened(log_in_by_passkey(client, device))
    assert delete_password(client, alice).status_code == 204
    assert [is_live(client, each) for each in (alice, by_password, by_passkey)] == [
        *(True, False, True)
    ]
    assert problem(password_log_in(client)) == (401, "invalid_credentials")
    methods = client.get("/me", headers=alice).json()["session"]["methods"]
    assert [each["method"] for each in methods] == ["passkey"]
    assert log_in_by_passkey(client, device).status_code == 200
    # There is none to be removed.
    assert delete_password(client, alice).status_code == 204


def test_a_password_goes_when_a_passkey_and_an_address_are_left(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    execute(service.database_url, VERIFIED_ADDRESS.replace("now()", "NULL"))
    assert problem(delete_password(client, alice)) == LAST_WAY_IN
    execute(service.database_url, "UPDATE key SET verified_at = now() WHERE provider = 'email'")
    assert delete_password(client, alice).status_code == 204
    for name in ("Alice", "alice@example.org"):
        assert problem(password_log_in(client, name)) == (401, "invalid_credentials")


def test_a_password_stays_without_a_passkey_whatever_else_there_is(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    execute(service.database_url, VERIFIED_ADDRESS)
    set_up_totp(client, alice)
    assert problem(delete_password(client, alice)) == LAST_WAY_IN
    assert count(service, "key WHERE password_hash IS NOT NULL") == 1


def test_a_password_stays_beside_one_passkey_and_an_address_without_mail(
    services: ServicePool,
) -> None:
    service = services.service(PRODUCTION)
    with service.client() as client:
        alice = new_user(client)
        added(client, alice, browser(service, origin="https://example.com"))
        execute(service.database_url, VERIFIED_ADDRESS)
        assert problem(delete_password(client, alice)) == LAST_WAY_IN


def test_the_removal_of_a_password_needs_a_recent_proof(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    added(client, alice, browser(service))
    execute(service.database_url, "UPDATE session SET authenticated_at = now() - interval '11 min'")
    assert problem(delete_password(client, alice)) == (401, "reauthentication_required")
    asked = reauthentication_options(client, alice)
    alice = opened(reauthenticate(client, alice, asked, device))
    assert delete_password(client, alice).status_code == 204


def test_the_removal_of_a_password_voids_what_was_begun_before(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    added(client, alice, browser(service))
    pending = second_factor(client)
    assert delete_password(client, alice).status_code == 204
    assert problem(complete(client, pending, device)) == (401, "invalid_challenge")


def test_of_a_password_and_one_of_two_passkeys_removed_at_once_a_way_in_stays(
    services: ServicePool,
) -> None:
    """The rule of the one that comes later sees what the earlier one has left."""
    service = services.service({"OSTIARY_WORKERS": "2", **NO_LIMITS})
    with service.client() as client, service.client() as other, ThreadPoolExecutor(2) as pool:
        alice = new_user(client)
        first = added(client, alice, browser(service))
        added(client, alice, browser(service))
        one = pool.submit(delete_password, client, alice)
        two = pool.submit(remove, other, alice, first)
        # Either order is good: a passkey alone is a way in, but the password goes only beside two.
        assert two.result().status_code == 204
        assert one.result().status_code in {204, 409}
        assert count(service, "passkey") == 1


def test_who_has_passkeys_only_sets_a_first_password(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, passkey: str
) -> None:
    added(client, alice, browser(service))
    assert delete_password(client, alice).status_code == 204
    response = client.put("/me/password", json={"new_password": PASSWORD}, headers=alice)
    assert response.status_code == 200
    assert problem(password_log_in(client)) == (401, "second_factor_required")


# Passkeys of another domain.


def test_passkeys_of_another_domain_are_asked_for_but_do_not_work(services: ServicePool) -> None:
    """A change of the setting must not turn the second factor off."""
    before = services.service({"OSTIARY_PASSKEY_RP_ID": "example.com", **NO_LIMITS})
    after = services.service({"OSTIARY_PASSKEY_RP_ID": "example.org", **NO_LIMITS})
    with before.client() as client:
        device = browser(before, origin="https://example.com")
        alice = new_user(client)
        old = add_passkey(client, alice, device)
    code = old["recovery_codes"][0]
    with after.client() as client:
        refused = password_log_in(client)
        assert problem(refused) == (401, "second_factor_required")
        assert refused.json()["methods"] == ["recovery_code"]
        assert "passkey_options" not in refused.json()
        body = {
            "challenge_token": refused.json()["challenge_token"],
            "method": "recovery_code",
            "code": code,
        }
        session = opened(client.post("/login/second-factor", json=body))
        # It is shown, so that it can be removed, but not accepted.
        listed = client.get("/me/passkeys", headers=session).json()
        assert [each["id"] for each in listed["passkeys"]] == [old["passkey"]["id"]]
        assert listed["rp_id"] == "example.org"
        assert listed["all_accepted_credential_ids"] == []
        asked = client.post("/me/reauthenticate/options", headers=session).json()
        assert asked == {"methods": ["recovery_code"]}
        # It is no way in: the password stays, and so does the new one without the password.
        new = browser(after, origin="https://example.org")
        added_later = added(client, session, new)
        # Of the two only the new one is asked for.
        for asked in (second_factor(client), reauthentication_options(client, session)):
            assert len(asked["options"]["allowCredentials"]) == 1
        assert problem(delete_password(client, session)) == LAST_WAY_IN
        remove_password(after)
        assert problem(remove(client, session, added_later)) == LAST_WAY_IN
        asked = registration_options(client, session)
        assert asked["options"]["rp"]["id"] == "example.org"
        # Whoever presents it is told nothing else than of any other unknown one.
        device.rp_id, device.origin = "example.org", "https://example.org"
        for resident in device.residents.values():
            resident.rp_id = "example.org"
        assert problem(log_in_by_passkey(client, device)) == (401, "unknown_passkey")
        assert remove(client, session, old["passkey"]["id"]).status_code == 204


# Production without a domain.


def test_production_without_a_domain_has_no_passkeys(services: ServicePool) -> None:
    service = services.service({"OSTIARY_ENV": "production", **NO_LIMITS})
    with service.client() as client:
        alice = new_user(client)
        for method, path in (
            ("POST", "/login/passkey/options"),
            ("POST", "/login/passkey"),
            ("GET", "/me/passkeys"),
            ("POST", "/me/passkeys/options"),
            ("POST", "/me/passkeys"),
            ("PATCH", "/me/passkeys/00000000-0000-0000-0000-000000000000"),
            ("DELETE", "/me/passkeys/00000000-0000-0000-0000-000000000000"),
        ):
            for headers in (alice, {}):
                response = client.request(method, path, json={}, headers=headers)
                assert problem(response) == (404, "not_found"), path
        assert client.get("/me/factors", headers=alice).json()["passkeys"] == []
        set_up_totp(client, alice)
        assert password_log_in(client).json()["methods"] == ["totp", "recovery_code"]
        asked = client.post("/me/reauthenticate/options", headers=alice).json()
        assert asked == {"methods": ["totp", "recovery_code"]}
        credential = {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}
        body = {"method": "passkey", "credential": credential, "challenge_token": "x"}
        refused = client.post("/me/reauthenticate", json=body, headers=alice)
        assert problem(refused) == (401, "invalid_challenge")
        body["challenge_token"] = password_log_in(client).json()["challenge_token"]
        refused = client.post("/login/second-factor", json=body)
        assert problem(refused) == (401, "unknown_passkey")
