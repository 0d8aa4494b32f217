"""The service conforms to the committed OpenAPI document, by all checks of Schemathesis."""

from __future__ import annotations

import json
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from service.cli.openapi import DOCUMENT
from tests.factories import JSON_VALUES, PASSWORD, bearer, sign_up
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
AnyCase: TypeAlias = schemathesis.Case[Any]

# Schemathesis asks for credentials before there is a service; they are replaced later.
PLACEHOLDER = bearer("placeholder")


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(NO_LIMITS)


@schema.auth(refresh_interval=None)
class PlaceholderAuth:
    def get(self, _: AnyCase, __: schemathesis.AuthContext) -> dict[str, str]:
        return PLACEHOLDER

    def set(self, case: AnyCase, header: dict[str, str], _: schemathesis.AuthContext) -> None:
        case.headers.update(header)


def new_user(service: Service) -> dict[str, str]:
    """Sign up a new user: no request affects the user of another."""
    with service.client() as client:
        answer = sign_up(client, f"user{uuid4().hex[:20]}", transport="bearer")
    return bearer(answer.json()["session"]["token"])


@schema.parametrize()
@settings(max_examples=INPUTS, suppress_health_check=list(HealthCheck))
def test_the_service_conforms_to_its_openapi_document(case: AnyCase, service: Service) -> None:
    if case.headers.items() >= PLACEHOLDER.items():
        case.headers.update(new_user(service))
    case.call_and_validate(base_url=service.url, checks=ALL_CHECKS)


STRINGS = JSON_VALUES | st.text() | st.just(PASSWORD)
ANY_BODY = JSON_VALUES | st.fixed_dictionaries(
    {},
    optional={
        "username": STRINGS,
        "password": STRINGS,
        "current_password": STRINGS,
        "new_password": STRINGS,
        "transport": JSON_VALUES | st.sampled_from(["cookie", "bearer"]),
    },
)


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path, methods in schema.items() for method in methods],
)
@settings(max_examples=INPUTS, suppress_health_check=list(HealthCheck))
@given(body=ANY_BODY)
def test_every_json_body_gets_a_documented_response(
    service: Service, method: str, path: str, body: Any
) -> None:
    with service.client() as client:
        response = client.request(
            method,
            path.format(session_id=uuid4()),
            content=json.dumps(body).encode(),
            headers={**new_user(service), "Content-Type": "application/json"},
        )
    assert response.status_code < 500
    schema[path][method].validate_response(response)
