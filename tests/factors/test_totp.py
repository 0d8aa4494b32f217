"""Authenticator apps (TOTP, RFC 6238): set up, confirmed, used and removed."""

from __future__ import annotations

from base64 import b32decode
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest

from tests.databases import execute, fetch, fetch_value
from tests.factories import log_in, moment, sign_up
from tests.factors.conftest import (
    CHALLENGE,
    NOT_AUTHENTICATED,
    PERIOD,
    REQUIRED,
    WRONG,
    Owner,
    Phone,
    age,
    begin_set_up,
    confirm,
    methods_of,
    problem,
    session_of,
    step_of_database,
    within_a_step,
)
from tests.service_pool import ServicePool
from tests.services import SECRET_KEYS, Service, running

ALREADY, NO_FACTOR = (409, "already_set_up"), (409, "no_factor")

FACTORS = "SELECT count(*) FROM totp WHERE confirmed_at IS NOT NULL"
SECURITY_VERSION = 'SELECT security_version FROM "user"'


@pytest.fixture
def bobby(service: Service, client: httpx.Client) -> dict[str, str]:
    """Return the session of a user without a factor."""
    session = session_of(sign_up(client, "Bobby", transport="bearer"))
    client.cookies.clear()
    return session


def assert_no_factors(client: httpx.Client, session: dict[str, str]) -> None:
    found = client.get("/me/factors", headers=session).json()
    assert found.get("totp") is None
    assert (found["passkeys"], found["recovery_codes_left"]) == ([], 0)
    assert found["methods"] == ["password"]


def test_the_secret_has_160_random_bits_and_the_uri_is_what_apps_take(
    client: httpx.Client, bobby: dict[str, str]
) -> None:
    response = client.post("/me/totp", headers=bobby)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.json().keys() == {"secret", "uri"}
    secret = response.json()["secret"]
    assert len(b32decode(secret)) == 20
    uri = urlsplit(response.json()["uri"])
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/Ostiary:Bobby")
    assert parse_qs(uri.query) == {"secret": [secret], "issuer": ["Ostiary"]}
    assert isinstance(pyotp.parse_uri(response.json()["uri"]), pyotp.TOTP)
    assert client.post("/me/totp", headers=bobby).json()["secret"] != secret


def test_the_issuer_is_a_setting_and_what_is_shown_is_escaped(services: ServicePool) -> None:
    service = services.service({"OSTIARY_TOTP_ISSUER": "Café & Co/?"})
    with service.client() as client:
        session = session_of(sign_up(client, "a&b?c=d", transport="bearer"))
        uri = client.post("/me/totp", headers=session).json()["uri"]
    parsed = pyotp.parse_uri(uri)
    assert (parsed.issuer, parsed.name) == ("Café & Co/?", "a&b?c=d")


@pytest.mark.parametrize("has_address", [True, False])
def test_an_app_shows_who_has_no_user_name_by_the_address_else_by_the_id(
    service: Service, client: httpx.Client, bobby: dict[str, str], *, has_address: bool
) -> None:
    user_id = client.get("/me", headers=bobby).json()["user"]["id"]
    change = "UPDATE key SET provider = 'email', display_name = 'B@example.org'"
    execute(service.database_url, change if has_address else "DELETE FROM key")
    uri = client.post("/me/totp", headers=bobby).json()["uri"]
    assert pyotp.parse_uri(uri).name == ("B@example.org" if has_address else user_id)


def test_an_app_is_no_factor_until_it_is_confirmed(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    phone = begin_set_up(client, service.database_url, bobby)
    assert log_in(client, "Bobby", transport="bearer").status_code == 200
    assert_no_factors(client, bobby)
    assert confirm(client, bobby, phone.code()).status_code == 200
    assert problem(log_in(client, "Bobby")) == REQUIRED


def test_the_first_factor_comes_with_ten_recovery_codes_shown_once(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    phone = begin_set_up(client, service.database_url, bobby)
    confirmed = confirm(client, bobby, phone.code())
    assert confirmed.headers["cache-control"] == "no-store"
    assert len(set(confirmed.json()["recovery_codes"])) == 10
    found = client.get("/me/factors", headers=bobby)
    assert found.headers["cache-control"] == "no-store"
    assert found.json()["recovery_codes_left"] == 10
    assert found.json()["methods"] == ["totp", "recovery_code"]
    assert found.json()["totp"].keys() == {"confirmed_at", "last_used_at"}
    assert phone.secret not in found.text


def test_the_first_factor_ends_all_other_sessions_and_proves_this_one(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    other = session_of(log_in(client, "Bobby", transport="bearer"))
    phone = begin_set_up(client, service.database_url, bobby)
    execute(service.database_url, "UPDATE session SET authenticated_at = now() - interval '9 min'")
    before = fetch_value(service.database_url, SECURITY_VERSION)
    assert confirm(client, bobby, phone.code()).status_code == 200
    assert problem(client.get("/me", headers=other)) == NOT_AUTHENTICATED
    me = client.get("/me", headers=bobby)
    assert methods_of(me) == ["password", "totp"]
    session = me.json()["session"]
    assert session["authenticated_at"] == session["methods"][-1]["at"]
    assert fetch_value(service.database_url, SECURITY_VERSION) == before + 1


def test_the_first_factor_ends_log_ins_and_mailed_codes_of_before(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    body = {"email": "bobby@example.org"}
    sent = client.put("/me/email", json=body, headers=bobby).json()["challenge_token"]
    phone = begin_set_up(client, service.database_url, bobby)
    assert confirm(client, bobby, phone.code()).status_code == 200
    answer = {"challenge_token": sent, "code": "12345678"}
    refused = client.post("/me/email/verify", json=answer, headers=bobby)
    assert problem(refused) == CHALLENGE


def test_a_later_set_up_replaces_an_earlier_one_that_was_not_confirmed(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    first = begin_set_up(client, service.database_url, bobby)
    second = begin_set_up(client, service.database_url, bobby)
    assert fetch_value(service.database_url, "SELECT count(*) FROM sealed_secret") == 1
    assert problem(confirm(client, bobby, first.code())) == WRONG
    assert confirm(client, bobby, second.code()).status_code == 200


def test_an_app_that_is_confirmed_is_not_replaced(service: Service, alice: Owner) -> None:
    before = fetch(service.database_url, "SELECT * FROM sealed_secret")
    assert problem(alice.client.post("/me/totp", headers=alice.session)) == ALREADY
    assert fetch(service.database_url, "SELECT * FROM sealed_secret") == before
    assert problem(confirm(alice.client, alice.session, alice.phone.next_code())) == NO_FACTOR
    assert alice.log_in().status_code == 200


def test_nothing_is_confirmed_that_was_not_set_up(
    client: httpx.Client, bobby: dict[str, str]
) -> None:
    assert problem(confirm(client, bobby, "123456")) == NO_FACTOR
    assert problem(client.delete("/me/totp", headers=bobby)) == NO_FACTOR


def test_an_app_that_is_not_confirmed_is_not_removed_as_a_factor(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    phone = begin_set_up(client, service.database_url, bobby)
    assert problem(client.delete("/me/totp", headers=bobby)) == NO_FACTOR
    assert confirm(client, bobby, phone.code()).status_code == 200


def test_a_wrong_code_confirms_nothing(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    phone = begin_set_up(client, service.database_url, bobby)
    assert problem(confirm(client, bobby, phone.wrong_code())) == WRONG
    assert fetch_value(service.database_url, FACTORS) == 0
    assert confirm(client, bobby, phone.code()).status_code == 200


def test_the_secret_at_rest_is_sealed(service: Service, alice: Owner) -> None:
    secret = b32decode(alice.phone.secret)
    (row,) = fetch(service.database_url, "SELECT * FROM sealed_secret")
    assert row["purpose"] == "totp_secret"
    assert row["key_id"] == SECRET_KEYS.partition(":")[0]
    assert secret not in row["ciphertext"]
    assert alice.phone.secret not in service.logged()


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_the_code_of_this_step_and_of_those_beside_it_is_right(
    service: Service, alice: Owner, steps: int
) -> None:
    def send() -> httpx.Response:
        execute(service.database_url, "UPDATE totp SET last_step = 0")
        return alice.complete(alice.challenge(), alice.phone.code(steps))

    assert within_a_step(service.database_url, send).status_code == 200


@pytest.mark.parametrize("steps", [-2, 2])
def test_the_code_of_any_other_step_is_wrong(service: Service, alice: Owner, steps: int) -> None:
    def send() -> httpx.Response:
        execute(service.database_url, "UPDATE totp SET last_step = 0")
        return alice.complete(alice.challenge(), alice.phone.code(steps))

    assert problem(within_a_step(service.database_url, send)) == WRONG


def test_a_code_that_confirmed_the_app_logs_nobody_in(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    phone = begin_set_up(client, service.database_url, bobby)
    code = phone.code()
    assert confirm(client, bobby, code).status_code == 200
    challenge = log_in(client, "Bobby").json()["challenge_token"]
    body = {"challenge_token": challenge, "method": "totp", "code": code}
    assert problem(client.post("/login/second-factor", json=body)) == WRONG


def test_a_code_that_logged_in_is_right_nowhere_else(alice: Owner) -> None:
    first, second = alice.challenge(), alice.challenge()
    code = alice.phone.next_code()
    session = session_of(alice.complete(first, code))
    assert problem(alice.complete(second, code)) == WRONG
    assert problem(alice.reauthenticate(session, code)) == WRONG
    assert problem(alice.reauthenticate(alice.session, code)) == WRONG


def test_a_code_that_reauthenticated_logs_nobody_in(alice: Owner) -> None:
    code = alice.phone.next_code()
    assert alice.reauthenticate(alice.session, code).status_code == 200
    assert problem(alice.complete(alice.challenge(), code)) == WRONG


def test_no_code_of_before_one_that_was_used_is_right(service: Service, alice: Owner) -> None:
    def send() -> httpx.Response:
        execute(service.database_url, "UPDATE totp SET last_step = 0")
        assert alice.complete(alice.challenge(), alice.phone.code(1)).status_code == 200
        alice_again = [
            alice.complete(alice.challenge(), alice.phone.code(each)) for each in (0, -1)
        ]
        assert {problem(each) for each in alice_again} == {WRONG}
        return alice_again[0]

    within_a_step(service.database_url, send)


def test_the_code_after_one_that_was_used_is_right(service: Service, alice: Owner) -> None:
    def send() -> httpx.Response:
        execute(service.database_url, "UPDATE totp SET last_step = 0")
        assert alice.complete(alice.challenge(), alice.phone.code(-1)).status_code == 200
        return alice.complete(alice.challenge(), alice.phone.code(0))

    assert within_a_step(service.database_url, send).status_code == 200


def test_the_last_use_is_shown(service: Service, alice: Owner) -> None:
    session = session_of(alice.log_in())
    app = alice.client.get("/me/factors", headers=session).json()["totp"]
    assert moment(app["confirmed_at"]) < moment(app["last_used_at"])
    step = fetch_value(service.database_url, "SELECT last_step FROM totp")
    assert abs(step - step_of_database(service.database_url)) <= 1


def test_removal_ends_the_factor_and_what_it_had_proven(service: Service, alice: Owner) -> None:
    other = session_of(alice.log_in())
    before = fetch_value(service.database_url, SECURITY_VERSION)
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    assert fetch_value(service.database_url, SECURITY_VERSION) == before + 1
    assert problem(alice.client.get("/me", headers=other)) == NOT_AUTHENTICATED
    me = alice.client.get("/me", headers=alice.session)
    assert methods_of(me) == ["password"]
    assert log_in(alice.client, transport="bearer").status_code == 200
    for table in ("totp", "sealed_secret", "recovery_code"):
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 0
    assert_no_factors(alice.client, alice.session)


def test_removal_ends_log_ins_that_wait(alice: Owner) -> None:
    challenge, code = alice.challenge(), alice.phone.next_code()
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    assert problem(alice.complete(challenge, code)) == CHALLENGE
    refused = alice.complete(challenge, alice.recovery_codes[0], "recovery_code")
    assert problem(refused) == CHALLENGE


def test_an_app_that_was_removed_can_be_set_up_again(service: Service, alice: Owner) -> None:
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    phone = begin_set_up(alice.client, service.database_url, alice.session)
    assert phone.secret != alice.phone.secret
    confirmed = confirm(alice.client, alice.session, phone.code())
    assert confirmed.status_code == 200
    assert set(confirmed.json()["recovery_codes"]).isdisjoint(alice.recovery_codes)
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, alice.phone.next_code())) == WRONG
    assert problem(alice.complete(challenge, alice.recovery_codes[0], "recovery_code")) == WRONG
    assert alice.complete(challenge, phone.next_code()).status_code == 200


def test_two_users_have_secrets_of_their_own(
    service: Service, client: httpx.Client, alice: Owner, bobby: dict[str, str]
) -> None:
    phone: Phone = begin_set_up(client, service.database_url, bobby)
    assert phone.secret != alice.phone.secret
    assert problem(confirm(client, bobby, alice.phone.next_code())) == WRONG


AN_HOUR_AHEAD = """
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    RETURN pg_catalog.clock_timestamp() + interval '1 hour';
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
END $$
"""


def test_the_clock_is_the_databases(database_url: str, tmp_path: Path) -> None:
    """That of the service is an hour behind."""
    execute(database_url, AN_HOUR_AHEAD)
    with running(database_url, tmp_path / "log") as service, service.client() as client:
        session = session_of(sign_up(client, transport="bearer"))
        phone = begin_set_up(client, database_url, session)
        ahead = 3600 // PERIOD
        assert problem(confirm(client, session, phone.code())) == WRONG
        assert confirm(client, session, phone.code(ahead)).status_code == 200


def test_a_set_up_waits_for_step_up_at_both_of_its_requests(
    service: Service, client: httpx.Client, bobby: dict[str, str]
) -> None:
    phone = begin_set_up(client, service.database_url, bobby)
    age(service.database_url, minutes=11)
    stale = (401, "reauthentication_required")
    assert problem(confirm(client, bobby, phone.code())) == stale
    assert problem(client.post("/me/totp", headers=bobby)) == stale
    assert fetch_value(service.database_url, FACTORS) == 0
