"""Sessions, factors and reset links of users, for programs that help who has lost something."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.model.service_tokens import Scope
from tests.admin.conftest import UNKNOWN, USERS, Program
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import codes, log_in, sign_up
from tests.factors.conftest import Owner, mailboxes, make_owner, service
from tests.factors.passkeys import add_passkey, browser
from tests.flows.conftest import ALICE, Mailboxes, confirm_reset, user_with_address
from tests.flows.test_notices import all_mails_are_out
from tests.service_pool import ServicePool
from tests.services import Service

__all__ = ["mailboxes", "make_owner", "service"]


@pytest.fixture
def owner(make_owner: object) -> Owner:
    return make_owner()  # type: ignore[no-any-return, operator]


def user_id_of(service: Service) -> str:
    return str(fetch_value(service.database_url, 'SELECT id FROM "user"'))


def test_sessions_are_listed_and_ended(program: Program, client: httpx.Client, alice: str) -> None:
    path = f"{USERS}/{alice}/sessions"
    own = client.get("/sessions").json()
    listed = program.get(path).json()
    for each in own["sessions"]:
        del each["current"]
    assert listed == own
    (session,) = listed["sessions"]

    assert program.send("DELETE", f"{path}/{session['id']}").status_code == 204
    assert client.get("/me").status_code == 401
    assert program.send("DELETE", f"{path}/{session['id']}").status_code == 404
    client.cookies.clear()
    log_in(client)
    assert program.send("DELETE", path).json() == {"ended": 1}
    assert client.get("/me").status_code == 401


def test_a_session_of_another_user_is_not_found(
    program: Program, client: httpx.Client, alice: str
) -> None:
    session_id = client.get("/me").json()["session"]["id"]
    other = program.create(username="Bobby").json()["id"]
    path = f"{USERS}/{other}/sessions/{session_id}"
    assert program.send("DELETE", path).status_code == 404
    assert client.get("/me").status_code == 200


def test_sessions_come_on_pages(program: Program, client: httpx.Client, service: Service) -> None:
    user_id = sign_up(client).json()["user"]["id"]
    columns = "secret_hash, user_id, active_expires_at, idle_expires_at, absolute_expires_at"
    copy = f"""INSERT INTO session (id, {columns}) SELECT gen_random_uuid(), {columns}
               FROM session, generate_series(1, 150)"""
    execute(service.database_url, copy)
    path = f"{USERS}/{user_id}/sessions"
    first = program.get(path).json()
    second = program.get(path, cursor=first["next"]).json()
    found = [each["id"] for page in (first, second) for each in page["sessions"]]
    assert (len(found), len({*found}), second["next"]) == (151, 151, None)
    assert codes(program.get(path, cursor="x")) == {"cursor": "not_allowed"}


def test_a_lost_app_is_removed_and_the_password_logs_in_again(
    program: Program, service: Service, owner: Owner
) -> None:
    path = f"{USERS}/{user_id_of(service)}/factors"
    shown = program.get(path).json()
    assert (shown["methods"], shown["recovery_codes_left"]) == (["totp", "recovery_code"], 10)
    assert set(shown["totp"]) == {"confirmed_at", "last_used_at"}

    assert program.send("DELETE", f"{path}/totp").status_code == 204
    assert program.send("DELETE", f"{path}/totp").status_code == 404
    left = program.get(path).json()
    assert left == {"passkeys": [], "recovery_codes_left": 0, "methods": []}
    assert log_in(owner.client).status_code == 200


def test_a_lost_passkey_is_removed_and_its_session_ends(
    program: Program, service: Service, owner: Owner
) -> None:
    added = add_passkey(owner.client, owner.session, browser(service))["passkey"]["id"]
    path = f"{USERS}/{user_id_of(service)}/factors"
    (shown,) = program.get(path).json()["passkeys"]
    assert shown["id"] == added
    assert "credential_id" not in shown

    assert program.send("DELETE", f"{path}/{UNKNOWN}").status_code == 404
    assert program.send("DELETE", f"{path}/{added}").status_code == 204
    assert program.get(path).json()["passkeys"] == []
    assert owner.client.get("/me", headers=owner.session).status_code == 401


@pytest.mark.parametrize("factor", ["totp", "passkey"])
def test_who_removes_a_factor_locks_its_user_first(
    program: Program, service: Service, owner: Owner, factor: str
) -> None:
    """As the user does, who could otherwise wait in a circle with an operator."""
    added = add_passkey(owner.client, owner.session, browser(service))["passkey"]["id"]
    name = "totp" if factor == "totp" else added
    path = f"{USERS}/{user_id_of(service)}/factors/{name}"
    unlocked = f"SELECT count(*) FROM (SELECT FROM {factor} FOR UPDATE SKIP LOCKED) AS free"
    with ThreadPoolExecutor(1) as pool:
        with held(service.database_url, 'SELECT FROM "user" FOR UPDATE'):
            removed = pool.submit(program.send, "DELETE", path)
            wait_for_lock_waiters(service.database_url)
            assert fetch_value(service.database_url, unlocked) == 1
        assert removed.result().status_code == 204


def test_a_factor_of_another_user_is_not_found(
    program: Program, service: Service, owner: Owner
) -> None:
    other = program.create(username="Bobby").json()["id"]
    assert program.send("DELETE", f"{USERS}/{other}/factors/totp").status_code == 404
    assert fetch_value(service.database_url, "SELECT count(*) FROM totp") == 1


def test_a_link_is_mailed_to_the_verified_address(
    program: Program, client: httpx.Client, service: Service, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes, username="Alice")
    made = program.send("POST", f"{USERS}/{user_id_of(service)}/password-reset", json={})
    assert set(made.json()) == {"expires_at"}
    assert confirm_reset(client, mailboxes.token(ALICE, "Reset")).status_code == 200


def test_a_link_is_returned_and_the_user_is_told(
    program: Program, client: httpx.Client, service: Service, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes, username="Alice")
    path = f"{USERS}/{user_id_of(service)}/password-reset"
    made = program.send("POST", path, json={"deliver": "return"}).json()
    assert made["link"].endswith(f"#token={made['token']}")
    mailboxes.newest(ALICE, "link")
    assert made["token"] not in service.logged()
    assert confirm_reset(client, made["token"]).status_code == 200
    assert confirm_reset(client, made["token"]).status_code == 401


def test_a_link_is_not_mailed_to_an_address_that_is_not_verified(
    program: Program, service: Service
) -> None:
    for fields in ({"username": "Alice"}, {"email": "a@example.org"}):
        user_id = program.create(**fields).json()["id"]
        refused = program.send("POST", f"{USERS}/{user_id}/password-reset", json={})
        assert (refused.status_code, codes(refused)) == (400, {"deliver": "not_allowed"})
    assert fetch_value(service.database_url, "SELECT count(*) FROM challenge") == 0


def test_a_link_is_not_mailed_where_there_is_no_mail(services: ServicePool) -> None:
    production = {"OSTIARY_ENV": "production", "OSTIARY_COOKIE_HOST_PREFIX": "false"}
    service = services.service(production)
    program = Program(service, Scope.USERS_WRITE, Scope.USERS_RECOVER)
    created = program.create(username="Alice", email="a@example.org", email_verified=True)
    path = f"{USERS}/{created.json()['id']}/password-reset"
    assert codes(program.send("POST", path, json={})) == {"deliver": "not_allowed"}
    returned = program.send("POST", path, json={"deliver": "return"}).json()
    assert set(returned) == {"expires_at", "token"}


def test_who_has_no_name_gets_no_link(program: Program, service: Service, alice: str) -> None:
    execute(service.database_url, "UPDATE key SET provider = 'github'")
    path = f"{USERS}/{alice}/password-reset"
    refused = program.send("POST", path, json={"deliver": "return"})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_key_for_password")


def test_a_user_name_that_a_program_changes_is_told(
    program: Program, client: httpx.Client, service: Service, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes, username="Alice")
    assert program.change(user_id_of(service), username="Alicia").status_code == 200
    mailboxes.newest(ALICE, "Your user name was changed")


def test_a_user_name_that_stays_is_not_told(
    program: Program, client: httpx.Client, service: Service, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes, username="Alice")
    changed = program.change(user_id_of(service), username="Alice", roles=["a"])
    assert changed.json()["roles"] == ["a"]
    all_mails_are_out(service)
    assert mailboxes.of(ALICE, "Your user name was changed") == []


def test_a_change_of_the_address_is_seen(
    program: Program, client: httpx.Client, service: Service, mailboxes: Mailboxes
) -> None:
    """It is verified, removed, and the removal is taken back: each has another `ETag`."""
    session = user_with_address(client, mailboxes, username="Alice")
    user_id = user_id_of(service)
    tags = [program.etag(user_id)]
    assert client.delete("/me/email", headers=session).status_code == 204
    tags.append(program.etag(user_id))
    undone = client.post("/undo", json={"token": mailboxes.token(ALICE, "removed")})
    assert undone.status_code == 204
    tags.append(program.etag(user_id))
    assert len({*tags}) == 3
