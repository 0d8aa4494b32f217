"""Introspection (RFC 7662): programs ask whose session a token opens."""

from __future__ import annotations

import json
import secrets
import string
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from service.api.programs.introspected_tokens import token_in_form
from service.auth.errors import InvalidField
from service.auth.tokens import Token
from service.model.service_tokens import Scope
from tests.databases import execute, fetch, fetch_value
from tests.factories import (
    DAY,
    PASSWORD,
    REMOVE_PASSWORDS,
    age_sessions,
    bearer,
    cookie,
    log_in,
    sign_up,
    token_of,
    with_other_id,
    with_other_secret,
)
from tests.factories import service_token as make_service_token
from tests.service_pool import ServicePool
from tests.services import Service

INACTIVE = {"active": False}
ORIGIN = "https://app.example"

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def program(service: Service) -> dict[str, str]:
    """Return the header of a program that may introspect."""
    return bearer(make_service_token(service.database_url, Scope.INTROSPECT))


def introspect(client: httpx.Client, program: dict[str, str], token: str) -> dict[str, Any]:
    response = client.post("/introspect", data={"token": token}, headers=program)
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_a_live_session_is_active(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    me = sign_up(client)
    execute(service.database_url, """UPDATE "user" SET roles = '{editor,admin}'""")
    (row,) = fetch(service.database_url, "SELECT * FROM session")

    found = introspect(client, program, token_of(me))

    assert found == {
        "active": True,
        "sub": me.json()["user"]["id"],
        "username": "Alice",
        "sid": me.json()["session"]["id"],
        "iat": int(row["created_at"].timestamp()),
        "exp": int(row["idle_expires_at"].timestamp()),
        "amr": ["pwd"],
        "auth_time": int(row["authenticated_at"].timestamp()),
        "roles": ["editor", "admin"],
    }


def test_neither_metadata_nor_address_are_told(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    execute(service.database_url, """UPDATE "user" SET metadata = '{"plan": "secret"}'""")
    assert not introspect(client, program, token).keys() & {"metadata", "email", "token"}


def test_a_user_without_a_name_has_no_member_for_it(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    execute(service.database_url, "DELETE FROM key")
    found = introspect(client, program, token)
    assert found["active"] is True
    assert "username" not in found


def test_json_is_taken_as_well(client: httpx.Client, program: dict[str, str]) -> None:
    token = token_of(sign_up(client))
    body = {"token": token, "token_type_hint": "access_token", "other": {"a": [1]}}
    response = client.post("/introspect", json=body, headers=program)
    assert response.json() == introspect(client, program, token)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "further",
    [
        {"token_type_hint": "refresh_token"},
        {"token_type_hint": "nothing known"},
        {"token_type_hint": ""},
        {"foo": "bar", "client_id": "x", "client_secret": "y"},
        {"foo": ["bar", "bar"]},
    ],
)
def test_other_parameters_are_ignored(
    client: httpx.Client, program: dict[str, str], further: dict[str, Any]
) -> None:
    token = token_of(sign_up(client))
    form = client.post("/introspect", data={**further, "token": token}, headers=program)
    as_json = client.post("/introspect", json={**further, "token": token}, headers=program)
    assert form.json() == as_json.json() == introspect(client, program, token)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "APPLICATION/X-WWW-FORM-URLENCODED",
        "application/x-www-form-urlencoded;charset=iso-8859-1",
        "application/x-www-form-urlencoded ; charset=UTF-8",
    ],
)
def test_parameters_of_the_media_type_are_ignored(
    client: httpx.Client, program: dict[str, str], content_type: str
) -> None:
    token = token_of(sign_up(client))
    headers = {**program, "Content-Type": content_type}
    response = client.post("/introspect", content=f"token={token}", headers=headers)
    assert response.json()["active"] is True


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "A" * 64,
        "a" * 40,
        "é",
        "\0",
        "A" * 63 + "\0",
        "A" * 100_000,
        "A" * 1024 * 1024,
        "'; DROP TABLE session; --",
        "ost_" + "A" * 71,
        "\ud7ff\U0010ffff",
    ],
    ids=lambda token: f"{len(token)} characters, {token[:4]!r}",
)
def test_what_is_no_token_is_inactive_and_nothing_else(
    client: httpx.Client, program: dict[str, str], token: str
) -> None:
    assert introspect(client, program, token) == INACTIVE
    as_json = client.post("/introspect", json={"token": token}, headers=program)
    assert (as_json.status_code, as_json.json()) == (200, INACTIVE)


@pytest.mark.parametrize("raw", [b"token=%ff%fe", b"token=\xff\xfe", b"token=%", b"token=%00"])
def test_bytes_that_are_no_text_are_inactive(
    client: httpx.Client, program: dict[str, str], raw: bytes
) -> None:
    response = client.post("/introspect", content=raw, headers={**program, **FORM})
    assert (response.status_code, response.json()) == (200, INACTIVE)


def test_a_token_of_another_session_or_secret_is_inactive(
    client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    assert introspect(client, program, with_other_secret(token)) == INACTIVE
    assert introspect(client, program, with_other_id(token)) == INACTIVE
    assert introspect(client, program, token)["active"] is True


def test_the_token_of_a_session_that_has_ended_is_inactive(
    client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    client.post("/logout")
    assert introspect(client, program, token) == INACTIVE


def test_the_token_of_a_session_that_has_expired_is_inactive(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    age_sessions(service.database_url, days=16)
    assert introspect(client, program, token) == INACTIVE


def test_the_session_of_a_disabled_user_is_inactive(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    execute(service.database_url, 'UPDATE "user" SET disabled_at = now()')
    assert introspect(client, program, token) == INACTIVE


def test_a_token_that_was_replaced_is_inactive(
    client: httpx.Client, program: dict[str, str]
) -> None:
    """Reauthentication gives the session a new token."""
    signed_up = sign_up(client, transport="bearer").json()["session"]["token"]
    renewed = client.post(
        "/me/reauthenticate",
        json={"method": "password", "password": PASSWORD},
        headers=bearer(signed_up),
    )
    assert introspect(client, program, signed_up) == INACTIVE
    assert introspect(client, program, renewed.json()["session"]["token"])["active"] is True


def test_a_service_token_is_no_session(service: Service, client: httpx.Client) -> None:
    token = make_service_token(service.database_url, Scope.INTROSPECT)
    assert introspect(client, bearer(token), token) == INACTIVE


def test_introspection_does_not_renew_a_session(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    """`exp` is the end of an idle session, whoever asks."""
    token = token_of(sign_up(client))
    age_sessions(service.database_url, days=2)
    before = fetch(service.database_url, "SELECT * FROM session")

    found = introspect(client, program, token)

    assert fetch(service.database_url, "SELECT * FROM session") == before
    assert found["exp"] == int(before[0]["idle_expires_at"].timestamp())
    renewed = client.get("/me", headers=cookie(token)).json()["session"]
    assert renewed["fresh"] is True
    moved = introspect(client, program, token)["exp"]
    assert moved == int(datetime.fromisoformat(renewed["idle_expires_at"]).timestamp())
    assert moved >= found["exp"] + DAY


def test_a_session_is_active_until_exp_and_not_beyond(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    token = token_of(sign_up(client))
    in_a_minute = "UPDATE session SET active_expires_at = now() - interval '1 day', {}"
    execute(
        service.database_url, in_a_minute.format("idle_expires_at = now() + interval '1 minute'")
    )
    assert introspect(client, program, token)["active"] is True
    execute(service.database_url, in_a_minute.format("idle_expires_at = now()"))
    assert introspect(client, program, token) == INACTIVE


def test_a_session_id_that_was_imported_from_lucia_is_introspected(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    sign_up(client)
    lucia_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(40))
    token = Token.parse(lucia_id)
    assert token is not None
    execute(
        service.database_url,
        "UPDATE session SET id = $1, secret_hash = $2",
        token.session_id,
        sha256(lucia_id.encode()).digest(),
    )
    assert introspect(client, program, lucia_id)["sid"] == str(token.session_id)


@pytest.mark.parametrize(
    ("methods", "amr"),
    [
        ({"password": 1, "totp": 2}, ["pwd", "otp", "mfa"]),
        ({"passkey": 1}, ["pop", "mfa"]),
        ({"email_code": 1, "password": 2}, ["email", "pwd"]),
        ({}, []),
    ],
)
def test_amr_tells_how_the_user_was_proven(
    service: Service,
    client: httpx.Client,
    program: dict[str, str],
    methods: dict[str, int],
    amr: list[str],
) -> None:
    token = token_of(sign_up(client))
    times = {name: f"2026-01-0{day}T00:00:00+00:00" for name, day in methods.items()}
    execute(service.database_url, "UPDATE session SET methods = $1::jsonb", json.dumps(times))
    assert sorted(introspect(client, program, token)["amr"]) == sorted(amr)


@pytest.mark.parametrize("body", [b"", b"foo=bar", b"Token=x", b"token_type_hint=access_token"])
def test_a_form_without_a_token_is_400(
    client: httpx.Client, program: dict[str, str], body: bytes
) -> None:
    response = client.post("/introspect", content=body, headers={**program, **FORM})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "required")


def test_two_tokens_are_400(client: httpx.Client, program: dict[str, str]) -> None:
    """Which one counts would depend on who reads them."""
    token = token_of(sign_up(client))
    for body in (f"token={token}&token=x", f"token=&token={token}", f"token={token}&%74oken=x"):
        response = client.post("/introspect", content=body, headers={**program, **FORM})
        assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
    twice = f'{{"token": "x", "token": "{token}"}}'
    headers = {**program, "Content-Type": "application/json"}
    response = client.post("/introspect", content=twice, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "malformed_json"),
        ("[]", "malformed_json"),
        ('"x"', "malformed_json"),
        ("{}", "validation_failed"),
        ('{"token": null}', "validation_failed"),
        ('{"token": 1}', "validation_failed"),
        ('{"token": ["x"]}', "validation_failed"),
        ('{"token": "\\ud800"}', "malformed_json"),
    ],
)
def test_json_without_a_token_is_400(
    client: httpx.Client, program: dict[str, str], body: str, code: str
) -> None:
    headers = {**program, "Content-Type": "application/json"}
    response = client.post("/introspect", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, code)


def test_too_many_parameters_are_400(client: httpx.Client, program: dict[str, str]) -> None:
    body = "token=x" + "&a=b" * 100
    response = client.post("/introspect", content=body, headers={**program, **FORM})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {**FORM, "Content-Encoding": "gzip"},
        [*FORM.items(), ("Content-Encoding", "gzip"), ("Content-Encoding", "identity")],
    ],
)
def test_another_media_type_is_415(
    client: httpx.Client,
    program: dict[str, str],
    headers: dict[str, str] | list[tuple[str, str]],
) -> None:
    sent = [*program.items(), *(headers.items() if isinstance(headers, dict) else headers)]
    response = client.post("/introspect", content=b"token=x", headers=sent)
    assert response.status_code == 415
    assert "application/x-www-form-urlencoded" in response.json()["detail"]


def test_the_coding_identity_is_none(client: httpx.Client, program: dict[str, str]) -> None:
    headers = {**program, **FORM, "Content-Encoding": "Identity"}
    assert client.post("/introspect", content=b"token=x", headers=headers).status_code == 200


def test_two_content_types_are_400(client: httpx.Client, program: dict[str, str]) -> None:
    headers = [*program.items(), *FORM.items(), *FORM.items()]
    response = client.post("/introspect", content=b"token=x", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


def test_a_body_beyond_every_token_is_413(client: httpx.Client, program: dict[str, str]) -> None:
    body = b"token=" + b"A" * 2 * 1024 * 1024
    response = client.post("/introspect", content=body, headers={**program, **FORM})
    assert response.status_code == 413


def test_a_token_may_be_percent_encoded_throughout(
    client: httpx.Client, program: dict[str, str]
) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in token_of(sign_up(client)).encode())
    body = f"%74%6f%6b%65%6e={encoded}".encode()
    response = client.post("/introspect", content=body, headers={**program, **FORM})
    assert response.json()["active"] is True


@pytest.mark.parametrize("name", ["token", "%74oken"])
def test_what_is_too_long_for_a_token_is_not_decoded(name: str) -> None:
    """Users choose the token that a program passes on: 2 MiB of `%25` would take half a second."""
    assert token_in_form(f"{name}={'%25' * 65}".encode()) == ""
    with pytest.raises(InvalidField):
        token_in_form(b"%74oken" * 65 + b"=x")


def test_the_token_in_the_query_is_none(client: httpx.Client, program: dict[str, str]) -> None:
    """It would be in the logs of proxies."""
    token = token_of(sign_up(client))
    response = client.post(f"/introspect?token={token}", headers={**program, **FORM})
    assert response.status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods_are_405(client: httpx.Client, program: dict[str, str], method: str) -> None:
    response = client.request(method, "/introspect", headers=program)
    assert response.status_code == 405
    assert response.headers["allow"] == "OPTIONS, POST"


def test_options_names_the_method(client: httpx.Client) -> None:
    response = client.options("/introspect")
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")


def test_no_page_of_another_origin_may_read_the_answer(services: ServicePool) -> None:
    """Not even one whose origin the settings allow: a service token is for no browser."""
    service = services.service({"OSTIARY_ALLOWED_ORIGINS": ORIGIN})
    program = bearer(make_service_token(service.database_url, Scope.INTROSPECT))
    preflight = {"Access-Control-Request-Method": "POST", "Origin": ORIGIN}
    with service.client() as client:
        asked = client.options("/introspect", headers=preflight)
        data = {"token": "x"}
        sent = client.post("/introspect", data=data, headers={**program, "Origin": ORIGIN})
        elsewhere = client.get("/me", headers={"Origin": ORIGIN})
    for response in (asked, sent):
        assert not [name for name in response.headers if name.startswith("access-control-")]
    assert elsewhere.headers["access-control-allow-origin"] == ORIGIN


def test_a_program_without_a_token_is_refused_before_its_body_is_read(
    client: httpx.Client,
) -> None:
    body = {"token": token_of(sign_up(client))}
    client.cookies.clear()
    response = client.post("/introspect", data=body)
    assert response.status_code == 401
    assert response.headers["cache-control"] == "no-store"


def test_the_session_of_the_program_itself_does_not_count(client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    response = client.post("/introspect", data={"token": token}, headers=cookie(token))
    assert response.status_code == 401


def test_many_tokens_are_told_apart_in_a_batch(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    """Each answer is that of its own token, with requests of one program under way at once."""
    names = [f"user{number:02}" for number in range(20)]
    tokens = {}
    sign_up(client, names[0])
    for name in names[1:]:
        execute(
            service.database_url,
            """WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
            INSERT INTO key (provider, name, user_id, display_name)
            SELECT 'username', $2, id, $2 FROM u""",
            uuid4(),
            name,
        )
    for row in fetch(service.database_url, "SELECT user_id, name FROM key"):
        tokens[row["name"]] = open_session(service.database_url, row["user_id"])

    answers = in_parallel(client, program, list(tokens.values()))

    assert [answer["username"].lower() for answer in answers] == list(tokens)


def open_session(database_url: str, user_id: UUID) -> str:
    token = Token.issue()
    execute(
        database_url,
        """INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
        absolute_expires_at, authenticated_at) VALUES ($1, $2, $3, now() + interval '1 day',
        now() + interval '2 days', now() + interval '3 days', now())""",
        token.session_id,
        token.secret_hash,
        user_id,
    )
    return token.text


def in_parallel(
    client: httpx.Client, program: dict[str, str], tokens: list[str]
) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(tokens)) as pool:
        return list(pool.map(lambda token: introspect(client, program, token), tokens))


def test_a_session_that_ends_is_inactive_in_every_worker(services: ServicePool) -> None:
    service = services.service({"OSTIARY_WORKERS": "2"})
    program = bearer(make_service_token(service.database_url, Scope.INTROSPECT))
    clients = [service.client() for _ in range(16)]  # a connection each: both workers have some
    try:
        token = token_of(sign_up(clients[0]))
        assert all(introspect(each, program, token)["active"] for each in clients)
        clients[0].post("/logout", headers=cookie(token))
        assert not any(introspect(each, program, token)["active"] for each in clients)
    finally:
        for each in clients:
            each.close()


def test_a_password_that_is_gone_ends_nothing(
    service: Service, client: httpx.Client, program: dict[str, str]
) -> None:
    sign_up(client)
    token = token_of(log_in(client))
    execute(service.database_url, REMOVE_PASSWORDS)
    assert introspect(client, program, token)["active"] is True
    assert fetch_value(service.database_url, "SELECT count(*) FROM session") >= 1
