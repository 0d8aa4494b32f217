"""Runs the commands of the document, compilers and programs, with the packages that are locked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENT = ROOT / ".venv-clients"
DOCUMENT = ROOT / "docs" / "generated-clients.md"

# Where the commands of the document take the OpenAPI document from.
DOCUMENTED_URL = "http://localhost:8000/openapi.json"

# Maximum time for a command, in seconds. It takes a few on a quiet machine.
PATIENCE = 600

PATH = os.pathsep.join(
    [str(ENVIRONMENT / "bin"), str(HERE / "node_modules" / ".bin"), os.environ["PATH"]]
)

# It runs for seconds only: optimising takes longer than it saves.
UNOPTIMISED_JAVA = "-XX:TieredStopAtLevel=1"


def run(directory: Path, *command: str | Path) -> str:
    """Return what a command printed. Raises `AssertionError` if it fails."""
    modules = f"{directory}{os.pathsep}{directory / 'client'}"
    variables = {"PYTHONPATH": modules, "MYPYPATH": modules, "JAVA_OPTS": UNOPTIMISED_JAVA}
    ended = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | variables | {"PATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}"
    return ended.stdout


def is_there(program: str) -> bool:
    """Return whether a program can be run."""
    return shutil.which(program, path=PATH) is not None


def generate(name: str, directory: Path, url: str) -> str:
    """Run the documented commands of a generator in a directory, and return what they print.

    ``url`` is that of the OpenAPI document.
    """
    (directory / "node_modules").symlink_to(HERE / "node_modules")
    return run(directory, "bash", "-ec", documented_commands(name).replace(DOCUMENTED_URL, url))


def documented_commands(name: str) -> str:
    """Return the commands in the section of the document that is about a generator."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {name}\n")[2]
    commands = section.partition("\n## ")[0].partition("\n```sh\n")[2].partition("\n```")[0]
    assert DOCUMENTED_URL in commands, f"{DOCUMENT} has no commands for {name}"
    return commands
