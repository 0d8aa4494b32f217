"""The examples work as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import PATIENCE, Service

EXAMPLES = Path(__file__).parent.parent / "examples"


def output_of(*command: str | Path) -> list[str]:
    """Return the lines that a program prints. Raises `CalledProcessError` if it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return ended.stdout.splitlines()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_script_signs_up_logs_in_and_out(service: Service) -> None:
    lines = output_of("bash", EXAMPLES / "curl.sh", service.url)
    answers = dict(zip(lines[::2], lines[1::2], strict=True))
    (name,) = re.findall(r"^Sign up as (\w+):", lines[0])
    problem = answers.pop("An invalid body; all its errors are reported:")
    assert re.findall(r'"code":"(\w+)"', problem) == ["validation_failed", *["too_short"] * 2]
    assert answers == {
        f"Sign up as {name}:": name,
        "A wrong password:": "invalid_credentials",
        "Who is this:": name,
        "The sessions of sign-up and log-in:": "2",
        "Log out:": "204",
        "The token is dead:": "not_authenticated",
    }


def test_the_mobile_app_keeps_its_session_and_its_device(service: Service) -> None:
    lines = output_of(sys.executable, EXAMPLES / "mobile.py", service.url)
    assert lines[1:] == [
        "still logged in after a restart, on Jane's phone",
        "changed the password, and kept the new token",
        "a wrong password: invalid_credentials",
        "logged in again, on the same device",
    ]
