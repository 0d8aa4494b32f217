"""What the documents claim: tests, events and settings that exist, and a complete inventory."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.api.http.problem_types import INTERNAL_ERROR, PROBLEM_TYPES
from service.auth.audit import Event
from service.cli.openapi import DOCUMENT
from service.settings.oidc_variable_names import (
    provider_names,
    provider_secret_names,
    provider_variables,
)
from service.settings.variables import secret_names, variables

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
HEAD = "| requirement | how it is met | test |"
POINTER = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

CRYPTOGRAPHY = {
    *("hashlib", "hmac", "secrets", "random", "ssl", "argon2", "bcrypt", "os.urandom"),
    *("uuid.uuid1", "uuid.uuid4", "uuid.uuid5", "cryptography", "Crypto", "nacl", "jwt"),
    *("pyotp", "webauthn", "joserfc"),
}
CLIENTS = {
    *(
        "http.client",
        "urllib.request",
        "urllib3",
        "httpx",
        "requests",
        "aiohttp",
        "smtplib",
        "aiosmtplib",
    ),
}

DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")]


def rows() -> list[list[str]]:
    """Return the cells of the rows that say how requirements are met, and by which test."""
    found = []
    for table in SECURITY.split(f"\n{HEAD}\n")[1:]:
        lines = table.partition("\n\n")[0].splitlines()[1:]
        found += [line.strip("| ").split(" | ") for line in lines]
    return found


def test_every_test_it_points_to_exists() -> None:
    pointers = POINTER.findall(SECURITY)
    assert len(pointers) > 100
    for path, name in pointers:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].replace("`", ""))
def test_every_row_has_a_test_or_says_why_not(row: list[str]) -> None:
    _, _, test = row
    pointers = ", ".join(f"`{path}::{name}`" for path, name in POINTER.findall(test))
    assert test == pointers or re.fullmatch(r"none: \S.+", test)


def test_every_use_of_cryptography_is_listed() -> None:
    """The inventory of `SECURITY.md` is complete, and lists nothing that is gone."""
    table = SECURITY.partition("| for | what | in |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([\w/]+\.py)`", table))
    found = {path for path, names in imports() if names & CRYPTOGRAPHY}
    assert found == listed


def test_the_service_calls_no_others_but_the_smtp_server_and_openid_providers() -> None:
    found = [path for path, names in imports() if names & CLIENTS]
    assert found == ["auth/oidc/fetching.py", "mail/transports.py"]


def test_no_operation_redirects() -> None:
    """The document is what the service does: `tests/api/test_contract.py`."""
    operations = [
        operation
        for path in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].values()
        for operation in path.values()
    ]
    responses = [each for operation in operations for each in operation["responses"].items()]
    assert [status for status, _ in responses if status.startswith("3")] == []
    with_location = {status for status, each in responses if "Location" in each.get("headers", {})}
    assert with_location == {"201"}


def imports() -> Iterator[tuple[str, set[str]]]:
    """Iterate over the files of the service, with the modules and names that they import or use."""
    for path in sorted(ROOT.glob("service/**/*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                package = node.module.partition(".")[0]
                names |= {node.module, package}
                names |= {f"{node.module}.{each.name}" for each in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names.add(f"{node.value.id}.{node.attr}")
        yield str(path.relative_to(ROOT / "service")), names


def test_every_event_is_documented() -> None:
    """Events of the audit trail are in one table, those of other loggers in another."""
    log = OPERATIONS.partition("## Log")[2].partition("\n## ")[0]
    tables = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", log, re.MULTILINE)
    documented = re.findall(r"`(\w+)`", " ".join(tables))
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("service/**/*.py"))
    logged = set(re.findall(r'log\.\w+\(\s*"(\w+)"', sources)) | {"log_events_lost"}
    logged |= {each.code for each in PROBLEM_TYPES if each.is_logged} | {INTERNAL_ERROR.code}
    assert sorted(documented) == sorted(set(Event) | logged)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"`(OSTIARY_\w*[A-Z])[=`]", document.read_text(encoding="utf-8")))
    known = {each.name for each in variables()}
    for provider in provider_names(named):
        known |= {each.name for each in provider_variables(provider)}
    secrets = [*secret_names(), *provider_secret_names(named)]
    assert named <= known | {f"{name}_FILE" for name in secrets}
