"""Codes as people and programs type them: right, wrong or none, but never an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.databases import execute, fetch_value
from tests.factories import JSON_VALUES
from tests.factors.conftest import Owner, problem
from tests.services import Service

INVALID = (400, "validation_failed")
FAILURES = "SELECT count(*) FROM totp_failure"

NO_CODES = [
    *(
        "",
        " ",
        "12345",
        "1234567",
        "12345a",
        "+12345",
        "123.456",
        "0x12ab",
        "\uff11\uff12\uff13\uff14\uff15\uff16",
        "é",
    ),
    *("١٢٣٤٥٦", "12345\u00b2", "123456\n", "123456\0", "\ud800", "1" * 64, "1" * 65, "1" * 10_000),
    *(123456, 123456.0, True, None, [], ["123456"], {}, {"code": "123456"}),
]


def places(owner: Owner, challenge: str) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """Return each path at which a code is sent, with the rest of the body, and the headers."""
    return [
        ("/login/second-factor", {"challenge_token": challenge, "method": "totp"}, {}),
        ("/login/second-factor", {"challenge_token": challenge, "method": "recovery_code"}, {}),
        ("/me/reauthenticate", {"method": "totp"}, owner.session),
        ("/me/reauthenticate", {"method": "recovery_code"}, owner.session),
        ("/me/totp/confirm", {}, owner.session),
    ]


def written(value: Any) -> bytes:
    """Return JSON that any text survives, lone surrogates too."""
    return json.dumps(value).encode()


def send(owner: Owner, place: tuple[str, dict[str, str], dict[str, str]], code: Any) -> Any:
    path, body, headers = place
    content = written(body | {"code": code})
    headers = headers | {"Content-Type": "application/json"}
    return owner.client.post(path, content=content, headers=headers)


@pytest.mark.parametrize("code", NO_CODES, ids=range(len(NO_CODES)))
def test_what_is_no_code_is_refused_and_spends_no_try(
    service: Service, alice: Owner, code: Any
) -> None:
    challenge = alice.challenge()
    for place in places(alice, challenge):
        response = send(alice, place, code)
        assert problem(response) in {INVALID, (400, "malformed_json")}, place
    assert fetch_value(service.database_url, FAILURES) == 0
    assert fetch_value(service.database_url, "SELECT failures FROM challenge") == 0
    assert "Traceback" not in service.logged()
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200


@pytest.mark.parametrize("form", ["{} {}", "{}-{}", " {}{} ", "{}{}"])
def test_a_code_is_typed_with_separators_or_without(alice: Owner, form: str) -> None:
    code = alice.phone.next_code()
    typed = form.format(code[:3], code[3:])
    assert alice.complete(alice.challenge(), typed).status_code == 200


@given(code=st.text() | st.text(st.sampled_from("0123456789 -\uff10é")) | JSON_VALUES)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
def test_whatever_is_sent_as_a_code_is_right_wrong_or_none(
    service: Service, alice: Owner, code: Any
) -> None:
    challenge = alice.challenge()
    for place in places(alice, challenge):
        assert send(alice, place, code).status_code in {400, 401, 409}, place
    execute(service.database_url, "DELETE FROM totp_failure; DELETE FROM challenge")


@given(token=st.text() | st.text(st.characters(codec="ascii"), min_size=64, max_size=64))
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
def test_whatever_is_sent_as_a_challenge_is_none(alice: Owner, token: str) -> None:
    body = {"challenge_token": token, "method": "totp", "code": "123456"}
    content, headers = written(body), {"Content-Type": "application/json"}
    response = alice.client.post("/login/second-factor", content=content, headers=headers)
    assert response.status_code in {400, 401}
