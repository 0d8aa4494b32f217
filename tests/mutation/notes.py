"""Notes of which test enters which block, in the test's process and in those it starts."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

NOTES, CURRENT_TEST = "MUTATION_NOTES", "MUTATION_CURRENT_TEST"


@cache
def _note_once(block: str, test: str) -> None:
    with open(os.environ[NOTES], "a") as notes:  # noqa: PTH123
        notes.write(f"{block}\t{test}\n")


def note(block: str) -> None:
    """Note that a block was entered, by the test that runs; at import, by none."""
    current = Path(os.environ[CURRENT_TEST])
    _note_once(block, (current.read_text() if current.exists() else "") or "-")
