"""Load from wrk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def require_wrk() -> None:
    """End the program with a line that says what to install, unless wrk is there."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk; on Debian: apt-get install wrk")


def wrk(script: str, url: str, connections: int, seconds: int, *arguments: str) -> list[int]:
    """Run wrk, and return the numbers of the line that its script prints."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(HERE / script), url, "--", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT")]
    return [int(field) for field in line.split()[1:]]


def require_none(count: int, what: str) -> None:
    """End the program if something happened that makes the measurement worthless."""
    if count:
        raise SystemExit(f"{count} {what}: this measures nothing.")
