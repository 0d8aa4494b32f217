"""Tests leave no service behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.running import REPOSITORY
from tests.services import PATIENCE, is_running, wait_for

RUN_AND_BE_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.services import family_of, running
with running(sys.argv[1], Path(sys.argv[2])) as service:
    print(*[each.pid for each in family_of(service.process)], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_service_ends_with_the_tests_that_started_it(database_url: str, tmp_path: Path) -> None:
    tests = subprocess.run(
        [sys.executable, "-c", RUN_AND_BE_KILLED, database_url, tmp_path / "service.log"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    family = [int(pid) for pid in tests.stdout.split()]
    assert len(family) > 1
    wait_for(lambda: not any(map(is_running, family)), "no process is left")
