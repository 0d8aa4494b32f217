"""The service conforms to the committed OpenAPI document, by all checks of Schemathesis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from service.cli.openapi import DOCUMENT
from service.model.service_tokens import Scope
from tests.databases import fetch_value
from tests.factories import JSON_VALUES, PASSWORD, bearer, service_token, sign_up
from tests.programs.operations import OPERATIONS
from tests.programs.verifying import ACCESS_TOKENS
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

# A schema cannot express which passwords are common, nor all rules of RFC 8265 for names: a request
# that conforms to it may still have invalid fields.
CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "400", "401", "403", "404", "409"],
        }
    }
}

schema = schemathesis.openapi.from_path(DOCUMENT, config=schemathesis.Config.from_dict(CONFIG))
# Each endpoint by itself; HYPOTHESIS_PROFILE=thorough tries more of them.
INPUTS = settings().max_examples // 3

load_all_checks()
ALL_CHECKS: list[Any] = CHECKS.get_all()
# `/verify` takes methods that OpenAPI cannot list.
OF_VERIFY = [check for check in ALL_CHECKS if check.__name__ != "unsupported_method"]
AnyCase: TypeAlias = schemathesis.Case[Any]

# Schemathesis asks for credentials before there is a service; they are replaced later.
PLACEHOLDER = bearer("placeholder")


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(NO_LIMITS | ACCESS_TOKENS | {"OSTIARY_MAILS_PER_RECIPIENT": "0"})


@schema.auth(refresh_interval=None)
class PlaceholderAuth:
    def get(self, _: AnyCase, __: schemathesis.AuthContext) -> dict[str, str]:
        return PLACEHOLDER

    def set(self, case: AnyCase, header: dict[str, str], _: schemathesis.AuthContext) -> None:
        case.headers.update(header)


# Framing and routing are the server's: it refuses what breaks them before there is a request, with
# an empty body.
FRAMING = (
    *("transfer-encoding", "content-length", "connection", "upgrade", "expect", "te", "trailer"),
)


# Whom requests of programs are about; nobody is null.
SOMEBODY = 'SELECT (SELECT id FROM "user" LIMIT 1)'
PARAMETER = re.compile(r"{(\w+)}")


class Callers:
    """Who calls: users, one after another, and programs.

    A user serves until a request may have changed it.
    """

    def __init__(self, client: httpx.Client, service: Service) -> None:
        self._client = client
        self._service = service
        self._user: dict[str, str] | None = None
        self._program: dict[str, str] | None = None

    def of(self, method: str, path: str) -> dict[str, str]:
        """Return the header of a caller of an operation."""
        return self.program() if (method.upper(), path) in OPERATIONS else self.user()

    def user(self) -> dict[str, str]:
        """Return the header with the token of a live session."""
        if self._user is None:
            name = f"user{uuid4().hex[:20]}"
            answer = sign_up(self._client, name, transport="bearer")
            self._user = bearer(answer.json()["session"]["token"])
            self._client.cookies.clear()
        return self._user

    def program(self) -> dict[str, str]:
        """Return the header of a program that may do everything."""
        if self._program is None:
            self._program = bearer(service_token(self._service.database_url, *Scope))
        return self._program

    def seen(self, response: Any) -> None:
        """Let the next request have another user, unless this one changed nothing for certain."""
        if response.request.method not in {"GET", "HEAD"} and response.status_code < 400:
            self._user = None


@pytest.fixture
def callers(client: httpx.Client, service: Service) -> Callers:
    return Callers(client, service)


@pytest.fixture
def connection() -> Iterator[requests.Session]:
    """Return a connection to the service that takes no cookies: each request has its own header."""
    with requests.Session() as session:
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        yield session


@schema.parametrize()
@settings(max_examples=INPUTS, suppress_health_check=list(HealthCheck))
def test_the_service_conforms_to_its_openapi_document(
    case: AnyCase, service: Service, callers: Callers, connection: requests.Session
) -> None:
    if case.headers.items() >= PLACEHOLDER.items():
        case.headers.update(callers.of(case.method, case.operation.path))
    for name in FRAMING:
        case.headers.pop(name, None)
    checks = OF_VERIFY if case.path.startswith("/verify") else ALL_CHECKS
    callers.seen(case.call_and_validate(base_url=service.url, checks=checks, session=connection))


def value_of(service: Service, parameter: re.Match[str]) -> str:
    """Return a value for a parameter of a path; that for a user is the id of somebody."""
    if parameter[1] == "policy":
        return "any"
    somebody = fetch_value(service.database_url, SOMEBODY) if parameter[1] == "user_id" else None
    return str(somebody or uuid4())


STRINGS = JSON_VALUES | st.text() | st.just(PASSWORD)
# Values of fields that are of the right form now and then.
VALUES = {
    "email": STRINGS | st.just("alice@example.org"),
    "code": STRINGS | st.just("12345678"),
    "challenge_token": STRINGS | st.just("A" * 64),
    "token": STRINGS | st.just("A" * 64),
    "audience": STRINGS | st.just("billing"),
    "method": JSON_VALUES
    | st.sampled_from(["password", "email_code", "totp", "recovery_code", "passkey"]),
    "credential": JSON_VALUES | st.dictionaries(st.text(), JSON_VALUES),
    "transport": JSON_VALUES | st.sampled_from(["cookie", "bearer"]),
    "metadata": JSON_VALUES | st.dictionaries(st.text(), JSON_VALUES),
    "roles": JSON_VALUES | st.lists(STRINGS),
    "disabled": JSON_VALUES,
    "disabled_reason": JSON_VALUES,
    "deliver": JSON_VALUES | st.sampled_from(["mail", "return"]),
}


OPENAPI = json.loads(DOCUMENT.read_text())


def fields_of(method: str, path: str) -> set[str]:
    """Return the names of the fields of an operation's request body."""
    content = OPENAPI["paths"][path][method].get("requestBody", {}).get("content", {})
    return names_in([media["schema"] for media in content.values()])


def names_in(part: Any) -> set[str]:
    """Return the names of the fields of a part of a schema, and of its alternatives."""
    if isinstance(part, list):
        return set().union(*map(names_in, part))
    if "$ref" in part:
        return names_in(OPENAPI["components"]["schemas"][part["$ref"].rpartition("/")[2]])
    alternatives = [part.get(word, []) for word in ("oneOf", "anyOf", "allOf")]
    return set(part.get("properties", {})).union(*map(names_in, alternatives))


def bodies_of(method: str, path: str) -> st.SearchStrategy[Any]:
    """Return any bodies, and such as have fields of the operation, with any values."""
    fields = {name: VALUES.get(name, STRINGS) for name in sorted(fields_of(method, path))}
    return JSON_VALUES | st.fixed_dictionaries({}, optional=fields)


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path, methods in schema.items() for method in methods],
)
@settings(max_examples=INPUTS, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_json_body_gets_a_documented_response(
    client: httpx.Client, service: Service, callers: Callers, method: str, path: str, data: Any
) -> None:
    body = data.draw(bodies_of(method, path))
    response = client.request(
        method,
        PARAMETER.sub(partial(value_of, service), path),
        content=json.dumps(body).encode(),
        headers={**callers.of(method, path), "Content-Type": "application/json"},
    )
    callers.seen(response)
    client.cookies.clear()
    assert response.status_code < 500
    schema[path][method].validate_response(response)
