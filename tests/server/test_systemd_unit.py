"""The unit of systemd in the examples, and what it demands of the service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.settings.variables import read_settings
from tests.cli.running import OSTIARY, REPOSITORY, environment
from tests.factories import log_in, sign_up
from tests.services import PATIENCE, SECRET_KEYS, UNUSED_TLS, reserved_port

UNIT = REPOSITORY / "examples" / "systemd" / "ostiary.service"
INSTALLED = "ExecStart=/opt/ostiary/bin/ostiary"

# How exposed the service is at most, in tenths, of 100, as systemd reckons.
EXPOSURE = "20"

# Runs a program in which memory that can be written never becomes executable, as
# `MemoryDenyWriteExecute=` does: PR_SET_MDWE of prctl(2), from Linux 6.3 on.
CONFINE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(os.EX_UNAVAILABLE)
os.execv(sys.argv[1], sys.argv[1:])
"""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return a copy of the unit, for a program that exists."""
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    assert text.count(INSTALLED) == 1
    copy.write_text(text.replace(INSTALLED, f"ExecStart={sys.executable}"), encoding="utf-8")
    return copy


def analyse(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


@needs_systemd
def test_systemd_understands_all_of_the_unit(unit: Path) -> None:
    assert UNIT.name not in analyse("verify", unit).stderr


@needs_systemd
def test_systemd_finds_the_unit_well_confined(unit: Path) -> None:
    analyse("security", "--offline=true", f"--threshold={EXPOSURE}", unit)


def test_the_unit_sets_all_that_production_requires(tmp_path: Path) -> None:
    """With an empty file of other settings."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    loaded = [line.split("=", 1)[1] for line in lines if line.startswith("LoadCredential=")]
    contents = {
        "database_url": "postgresql://ostiary_service@db/ostiary",
        "secret_keys": SECRET_KEYS,
    }
    for name, _, source in (each.partition(":") for each in loaded):
        assert any(f"/dev/stdin {source}" in line for line in lines if line.startswith("#"))
        (tmp_path / name).write_text(contents[name])
    set_there = [line.split("=", 1)[1] for line in lines if line.startswith("Environment=")]
    variables = dict(each.replace("%d", str(tmp_path)).split("=", 1) for each in set_there)
    assert read_settings(variables).is_production


def test_the_service_makes_no_memory_executable(database_url: str, tmp_path: Path) -> None:
    with reserved_port() as port, (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", CONFINE, *OSTIARY, "serve"],
            env=environment(DATABASE_URL=database_url, OSTIARY_PORT=str(port)),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout as output:
            line = output.readline()
            if not line and process.wait(PATIENCE) == os.EX_UNAVAILABLE:
                pytest.skip("Linux before 6.3 cannot refuse it")
            assert "listens on" in line, (tmp_path / "log").read_text()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=UNUSED_TLS) as client:
                assert sign_up(client).status_code == 201
                assert log_in(client).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
