"""The documents name tests, events and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.auth.audit import Event
from service.settings.variables import secret_names, variables

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")]


def test_every_test_it_points_to_exists() -> None:
    pointers = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)
    assert len(pointers) > 50
    for path, name in pointers:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_every_event_is_documented() -> None:
    """Events of the audit trail are in one table, those of other loggers in another."""
    tables = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", OPERATIONS, re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", " ".join(tables)))
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("service/**/*.py"))
    logged = set(re.findall(r'log\.\w+\(\s*"(\w+)"', sources))
    assert documented >= set(Event) | logged


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    known = {each.name for each in variables()} | {f"{name}_FILE" for name in secret_names()}
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"`(OSTIARY_\w*[A-Z])[=`]", text)) <= known
