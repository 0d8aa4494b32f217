"""Recovery codes: shown once, used once, and gone with the last factor."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx
import pytest

from service.auth.factors.existing import Factors
from service.auth.secret_keys import Keyring
from service.settings.secret_keys import SecretKeys
from service.storage.database import Database
from service.storage.factors.existing import ExistingFactors
from tests.databases import execute, fetch, fetch_value
from tests.factories import log_in, sign_up
from tests.factors.conftest import (
    CHALLENGE,
    STALE,
    WRONG,
    MakeOwner,
    Owner,
    age,
    methods_of,
    problem,
    session_of,
)
from tests.factors.passkeys import add_passkey, browser
from tests.flows.conftest import ALICE, Mailboxes
from tests.flows.test_nothing_usable_at_rest import dump, forms_of
from tests.services import SECRET_KEYS, Service

LEFT = "SELECT count(*) FROM recovery_code"


def renew(owner: Owner, session: dict[str, str]) -> list[str]:
    response = owner.client.post("/me/recovery-codes", headers=session)
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    codes: list[str] = response.json()["recovery_codes"]
    return codes


def left(owner: Owner, session: dict[str, str]) -> int:
    found: dict[str, Any] = owner.client.get("/me/factors", headers=session).json()
    return int(found["recovery_codes_left"])


def test_ten_codes_of_120_bits_are_shown_in_groups(alice: Owner) -> None:
    assert len(set(alice.recovery_codes)) == 10
    for code in alice.recovery_codes:
        assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{6}-){3}[0-9A-HJKMNP-TV-Z]{6}", code)


def test_the_database_has_their_hashes_only(service: Service, alice: Owner) -> None:
    session = session_of(alice.log_in())
    codes = [*alice.recovery_codes, *renew(alice, session)]
    stored, logged = dump(service.database_url), service.logged()
    for code in codes:
        for form in (*forms_of(code), *forms_of(code.replace("-", ""))):
            assert form not in stored
        assert code not in logged
        assert code.replace("-", "") not in logged
    hashes = {
        bytes(row["hash"]) for row in fetch(service.database_url, "SELECT * FROM recovery_code")
    }
    assert hashes == {sha256(code.replace("-", "").encode()).digest() for code in codes[10:]}


def test_a_code_completes_a_log_in_and_is_gone(service: Service, alice: Owner) -> None:
    code = alice.recovery_codes[3]
    done = alice.complete(alice.challenge(), code, "recovery_code")
    assert methods_of(done) == ["password", "recovery_code"]
    assert done.json()["recovery_codes_left"] == 9
    assert left(alice, session_of(done)) == 9
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, code, "recovery_code")) == WRONG
    assert alice.complete(challenge, alice.recovery_codes[4], "recovery_code").status_code == 200
    assert fetch_value(service.database_url, LEFT) == 8


def test_a_code_gives_step_up_and_is_gone(service: Service, alice: Owner) -> None:
    age(service.database_url, minutes=11)
    code = alice.recovery_codes[0]
    proven = alice.reauthenticate(alice.session, code, "recovery_code")
    session = session_of(proven)
    assert proven.json()["recovery_codes_left"] == 9
    assert alice.client.get("/me/export", headers=session).status_code == 200
    assert left(alice, session) == 9
    assert problem(alice.reauthenticate(session, code, "recovery_code")) == WRONG


def test_only_the_answer_to_a_recovery_code_tells_how_many_are_left(alice: Owner) -> None:
    assert "recovery_codes_left" not in alice.log_in().json()
    assert "recovery_codes_left" not in alice.client.get("/me", headers=alice.session).json()


@pytest.mark.parametrize(
    "write",
    [
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: code.replace("-", " "),
        lambda code: code.replace("0", "o").replace("1", "I"),
    ],
)
def test_case_and_separators_do_not_matter(alice: Owner, write: Callable[[str], str]) -> None:
    for code in alice.recovery_codes[:3]:
        done = alice.complete(alice.challenge(), write(code), "recovery_code")
        assert done.status_code == 200


def test_new_codes_void_the_old_ones(service: Service, alice: Owner) -> None:
    session = session_of(alice.log_in())
    codes = renew(alice, session)
    assert len(set(codes) | set(alice.recovery_codes)) == 20
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, alice.recovery_codes[0], "recovery_code")) == WRONG
    assert alice.complete(challenge, codes[0], "recovery_code").status_code == 200
    assert fetch_value(service.database_url, LEFT) == 9


def test_new_codes_end_log_ins_that_wait(alice: Owner) -> None:
    challenge = alice.challenge()
    codes = renew(alice, alice.session)
    assert problem(alice.complete(challenge, codes[0], "recovery_code")) == CHALLENGE


def test_new_codes_need_step_up_and_a_factor(service: Service, client: httpx.Client) -> None:
    session = session_of(sign_up(client, "Bobby", transport="bearer"))
    refused = client.post("/me/recovery-codes", headers=session)
    assert problem(refused) == (409, "no_factor")
    age(service.database_url, minutes=11)
    assert problem(client.post("/me/recovery-codes", headers=session)) == STALE


def test_an_app_that_is_not_confirmed_is_no_factor_for_them(client: httpx.Client) -> None:
    session = session_of(sign_up(client, "Bobby", transport="bearer"))
    client.post("/me/totp", headers=session)
    refused = client.post("/me/recovery-codes", headers=session)
    assert problem(refused) == (409, "no_factor")


def test_codes_that_are_left_open_nothing_without_a_factor(service: Service, alice: Owner) -> None:
    """Nothing leaves any; if something did, they would be no factor and prove nobody."""
    hashes = fetch(service.database_url, "SELECT user_id, hash FROM recovery_code")
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    for row in hashes:
        insert = "INSERT INTO recovery_code (user_id, hash) VALUES ($1, $2)"
        execute(service.database_url, insert, row["user_id"], row["hash"])
    assert log_in(alice.client, transport="bearer").status_code == 200
    methods = alice.client.get("/me/factors", headers=alice.session).json()["methods"]
    assert methods == ["password"]


async def test_codes_without_a_factor_are_no_method(database: Database) -> None:
    factors = Factors(database, Keyring(SecretKeys.parse(SECRET_KEYS)), None)
    left = ExistingFactors(totp=None, passkeys=0, all_passkeys=0, recovery_codes=3)
    assert factors.methods_of(left) == []


def test_the_tenth_code_takes_the_method_along(service: Service, alice: Owner) -> None:
    for number, code in enumerate(alice.recovery_codes):
        begun = alice.begin().json()
        assert begun["methods"] == ["totp", "recovery_code"], number
        done = alice.complete(begun["challenge_token"], code, "recovery_code")
        assert done.status_code == 200
    assert alice.begin().json()["methods"] == ["totp"]
    assert fetch_value(service.database_url, LEFT) == 0
    session = session_of(alice.log_in())
    assert left(alice, session) == 0
    assert alice.client.get("/me/factors", headers=session).json()["methods"] == ["totp"]


def test_a_second_factor_brings_no_codes_and_the_last_one_takes_them_along(
    service: Service, alice: Owner
) -> None:
    other = session_of(alice.log_in())
    added = add_passkey(alice.client, alice.session, browser(service))
    assert "recovery_codes" not in added
    assert alice.client.get("/me", headers=other).status_code == 200
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    assert left(alice, alice.session) == 10
    assert alice.begin().json()["methods"] == ["passkey", "recovery_code"]
    path = f"/me/passkeys/{added['passkey']['id']}"
    assert alice.client.delete(path, headers=alice.session).status_code == 204
    assert left(alice, alice.session) == 0
    assert log_in(alice.client, transport="bearer").status_code == 200


def test_nobody_elses_code_is_used(make_owner: MakeOwner) -> None:
    alice, bobby = make_owner("Alice"), make_owner("Bobby")
    refused = alice.reauthenticate(alice.session, bobby.recovery_codes[0], "recovery_code")
    assert problem(refused) == WRONG
    assert left(bobby, bobby.session) == 10


@pytest.mark.parametrize("place", ["log-in", "step-up"])
def test_the_user_is_told_of_each_that_is_used(
    mailed_alice: Owner, mailboxes: Mailboxes, place: str
) -> None:
    code = mailed_alice.recovery_codes[0]
    if place == "log-in":
        challenge = mailed_alice.challenge()
        assert problem(mailed_alice.complete(challenge, "0" * 24, "recovery_code")) == WRONG
        done = mailed_alice.complete(challenge, code, "recovery_code")
    else:
        done = mailed_alice.reauthenticate(mailed_alice.session, code, "recovery_code")
    assert done.status_code == 200
    mail = mailboxes.newest(ALICE, "A recovery code was used")
    assert code not in mail.part("plain")
    mailed_alice.client.post("/me/recovery-codes", headers=session_of(done))
    mailboxes.newest(ALICE, "New recovery codes")
    assert len(mailboxes.of(ALICE, "A recovery code was used")) == 1
