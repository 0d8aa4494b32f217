"""The committed document, held against the service by Schemathesis, with all its checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from service.cli import DOCUMENT
from tests.databases import TestServer
from tests.factories import bearer, sign_up
from tests.services import Service, running

# A schema cannot say which passwords are common, nor all that RFC 8265 wants of names: who keeps to
# it may still hear of wrong fields.
CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "400", "401", "403", "404", "409"],
        }
    }
}

schema = schemathesis.openapi.from_path(DOCUMENT, config=schemathesis.Config.from_dict(CONFIG))
load_all_checks()
ALL_CHECKS: list[Any] = CHECKS.get_all()
AnyCase: TypeAlias = schemathesis.Case[Any]

# Schemathesis wants to know who asks before there is a service to ask.
SOMEBODY = bearer("somebody")


@pytest.fixture(scope="module")
def service(postgresql: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {
        "OSTIARY_SIGN_UPS_PER_ADDRESS": "0",
        "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "0",
        "OSTIARY_LOG_IN_FAILURES_PER_NAME": "0",
    }
    log = tmp_path_factory.mktemp("contract") / "service.log"
    with postgresql.database() as url, running(url, log, environment) as service:
        yield service


@schema.auth(refresh_interval=None)
class Somebody:
    def get(self, _: AnyCase, __: schemathesis.AuthContext) -> dict[str, str]:
        return SOMEBODY

    def set(self, case: AnyCase, header: dict[str, str], _: schemathesis.AuthContext) -> None:
        case.headers.update(header)


def somebody_new(service: Service) -> dict[str, str]:
    """Whatever a request does, it does to no other's user."""
    with service.client() as client:
        answer = sign_up(client, f"user{uuid4().hex[:20]}", transport="bearer")
    return bearer(answer.json()["session"]["token"])


@schema.parametrize()
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_the_service_keeps_to_its_document(case: AnyCase, service: Service) -> None:
    if case.headers.items() >= SOMEBODY.items():
        case.headers.update(somebody_new(service))
    case.call_and_validate(base_url=service.url, checks=ALL_CHECKS)
