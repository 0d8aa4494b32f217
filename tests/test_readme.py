"""The documents are correct: examples work, tables and walks match the code."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.api.http.problem_types import field_codes_table, problems_table
from service.api.openapi import openapi_document
from service.auth.errors import FieldCode
from service.settings import Settings
from service.storage import tables
from tests.services import PATIENCE, Service

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_examples_work_as_written(service: Service) -> None:
    (walk,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    walked = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", walk],
        env={**os.environ, "OSTIARY": service.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    promised = re.findall(r"^# .*: (\d{3})$", walk, re.MULTILINE)
    assert promised == ["201", "200", "204", "401", "200", "400"]
    assert re.findall(r"HTTP/1.1 (\d{3})", walked.stdout) == promised


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_every_endpoint_is_listed() -> None:
    for path, operations in openapi_document(Settings())["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in README


def test_the_documented_problems_match_the_code() -> None:
    assert problems_table() in ERRORS


def test_the_documented_field_errors_match_the_code() -> None:
    assert field_codes_table() in ERRORS
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("service/**/*.py"))
    assert set(re.findall(r"\bFieldCode\.([A-Z_]+)", source)) == set(FieldCode.__members__)
    assert re.findall(r'(?:InvalidField\(|FieldError\([^)]*code=)\s*"\w+"', source) == []


def test_the_purpose_of_every_file_is_documented() -> None:
    table = ARCHITECTURE.partition("## Files")[2].partition("\n## ")[0]
    listed = re.findall(r"`([\w/]+\.py)`", table)
    existing = [
        path.relative_to(ROOT / "service").as_posix()
        for path in ROOT.glob("service/**/*.py")
        if path.name != "__init__.py" and "migrations" not in path.parts
    ]
    assert sorted(listed) == sorted(existing)


@pytest.mark.parametrize("request_line", ["POST /login", "GET /me"])
def test_every_stop_of_a_walk_exists(request_line: str) -> None:
    walk = ARCHITECTURE.partition(f"## The life of `{request_line}`")[2].partition("\n## ")[0]
    stops = re.findall(r"^\| `(service/[\w/]+\.py):([\w.]+)` \|", walk, re.MULTILINE)
    files = {path for path, _ in stops}
    assert f"{len(stops)} stops in {len(files)} files." in walk
    for path, name in stops:
        assert name in functions_in(ROOT / path), f"{path}:{name}"


def functions_in(path: Path) -> set[str]:
    """Return the names of functions, and of methods as ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + member.name
            for member in members
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_links_to_exists(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_heading_that_a_document_links_to_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text):
        if not target.startswith("http"):
            linked = document.parent / target if target else document
            assert anchor in anchors_of(linked), f"{target}#{anchor}"


def anchors_of(document: Path) -> set[str]:
    """Return the anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_document_says_how_long_every_table_is_kept() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    _, _, below = operations.partition("## Data, and how long it is kept")
    kept, _, _ = below.partition("\n## ")
    assert [name for name in tables.metadata.tables if f"`{name}`" not in kept] == []
