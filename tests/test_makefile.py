"""``make serve`` on machines that have other versions of Python, and for root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.services import PATIENCE

MAKEFILE = Path(__file__).parent.parent / "Makefile"
TOOLS = ("make", "sh", "ls", "awk", "id", "rm", "touch")

# Answers whether its version is supported, as Python does, and makes no virtual environment.
PYTHON = """#!/bin/sh
case $1 in -c) exit {unsupported};; esac
exit 1
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with a directory of programs, in which there is no Python."""
    checkout = tmp_path / "checkout"
    (checkout / "requirements").mkdir(parents=True)
    for name in ("requirements/serve.txt", "pyproject.toml"):
        (checkout / name).touch()
    shutil.copy(MAKEFILE, checkout)
    programs = checkout / "programs"
    programs.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    return checkout


def install(checkout: Path, name: str, *, supported: bool = True) -> None:
    program = checkout / "programs" / name
    program.write_text(PYTHON.format(unsupported=int(not supported)))
    program.chmod(0o755)


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("make") or "make", *arguments],
        cwd=checkout,
        env={"PATH": str(checkout / "programs")},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_any_supported_version_is_found(checkout: Path, name: str) -> None:
    install(checkout, name)
    install(checkout, "python3", supported=False)
    assert f"\n{name} -m venv .venv" in make(checkout, "--dry-run", "serve").stdout


def test_the_default_version_is_used_if_it_is_supported(checkout: Path) -> None:
    install(checkout, "python3")
    assert "\npython3 -m venv .venv" in make(checkout, "--dry-run", "serve").stdout


def test_without_a_supported_version_one_line_says_what_is_needed(checkout: Path) -> None:
    install(checkout, "python3", supported=False)
    result = make(checkout, "serve")
    assert result.returncode != 0
    assert "Ostiary needs Python 3.11, 3.12, 3.13 or 3.14: install one" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_virtual_environment_that_could_not_be_made_is_not_kept(checkout: Path) -> None:
    install(checkout, "python3.11")
    (checkout / ".venv" / "lib").mkdir(parents=True)
    assert make(checkout, "serve").returncode != 0
    assert not (checkout / ".venv").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another account")
def test_root_makes_nothing_in_the_checkout_of_a_user(checkout: Path) -> None:
    install(checkout, "python3.11")
    os.chown(checkout, 54321, 54321)
    result = make(checkout, "serve")
    assert result.returncode != 0
    assert "belongs to 54321: run make as that user, without sudo" in result.stderr
    assert not (checkout / ".venv").exists()
