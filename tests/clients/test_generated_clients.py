"""Clients generated from the OpenAPI document: ``make test-clients``, with Node and Java."""

from __future__ import annotations

import os
import re

import pytest

from tests.clients.commands import HERE
from tests.clients.known_warnings import unknown_warnings
from tests.clients.later_service import later_service
from tests.clients.workshop import Client
from tests.services import Service

# What each program prints.
WALK = [
    "sign-up refused: validation_failed, username too_short, password too_common",
    "sign-up: Alice, fresh",
    "log-in refused: wrong user name or password",
    "log-in: Alice, fresh",
    "me: Alice, active",
    "session: a laptop, 30 days",
    "password change: Alice, fresh",
    "log-out",
    "me refused: not_authenticated",
]

STEPS = (
    *("sign-up", "sign-up", "log-in", "log-in", "me"),
    *("sessions", "password change", "log-out", "me"),
)

MADE_UP = re.compile(r"Inline|AnyOf|OneOf|AllOf|\d")


def test_a_new_warning_is_noticed() -> None:
    known = "[main] WARN  o.o.codegen.DefaultCodegen - OpenAPI 3.1 support is still in beta."
    file = "[main] INFO  o.o.codegen.TemplateManager - writing file client/errors.py"
    new = "[main] WARN  o.o.codegen.DefaultCodegen - Empty operationId found for path: get /me"
    assert unknown_warnings(f"{known}\n{file}\n{new}") == [new]


def test_the_generator_warns_of_nothing_new(generated: Client) -> None:
    assert unknown_warnings(generated.output) == []


def test_the_names_are_those_that_were_reviewed(generated: Client) -> None:
    """If they are meant to change, `CLIENT_NAMES=write make test-clients` writes them anew."""
    reviewed = HERE / "names" / f"{generated.generator.slug}.txt"
    text = "".join(f"{line}\n" for line in generated.names())
    if os.environ.get("CLIENT_NAMES") == "write":
        reviewed.write_text(text, encoding="utf-8")
    assert text == reviewed.read_text(encoding="utf-8")


def test_no_name_is_made_up(generated: Client) -> None:
    """Generators describe and number what has no name in the document."""
    assert [line for line in generated.names() if MADE_UP.search(line)] == []


@pytest.mark.parametrize("transport", ["cookie", "bearer"])
def test_a_client_signs_up_logs_in_and_out(
    compiled: Client, service: Service, transport: str
) -> None:
    assert compiled.walk(service.url, transport) == WALK


def test_a_client_reads_codes_that_it_does_not_know(compiled: Client) -> None:
    with later_service() as url:
        lines = compiled.walk(url, "bearer")
    assert lines == [f"{step} refused: later, later_field later_code" for step in STEPS]
