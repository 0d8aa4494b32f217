"""Running the command ``ostiary`` as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.services import FRUGAL, PATIENCE

OSTIARY = [sys.executable, "-m", "service"]
REPOSITORY = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
    kept.pop("DATABASE_URL", None)
    return {**kept, **FRUGAL, **variables}


def run(*arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OSTIARY, *arguments],
        env=environment(**variables),
        cwd=REPOSITORY,
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
