"""Generates clients for further languages: ``make generate-all``. Prints which succeeded."""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clients.commands import ROOT, is_there, run
from tests.clients.known_warnings import unknown_warnings

LANGUAGES = ("kotlin", "swift6", "dart", "go", "csharp", "rust")

OPENAPI = ROOT / "openapi" / "openapi.json"


def outcome(language: str, directory: Path) -> str:
    """Generate a client. Return `generated`, with warnings that are new, or why it failed."""
    try:
        output = run(
            directory,
            *("openapi-generator-cli", "generate", "-g", language, "-i", OPENAPI, "-o", language),
        )
    except AssertionError as error:
        return f"failed\n{error}"
    return "\n  ".join(["generated", *dict.fromkeys(unknown_warnings(output))])


def main() -> None:
    """Generate all, as many at once as there are processors."""
    if not is_there("java"):
        sys.exit("Java 17 is not installed; on Debian: apt-get install openjdk-17-jre-headless")
    with (
        tempfile.TemporaryDirectory() as directory,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads,
    ):
        outcomes = threads.map(lambda each: outcome(each, Path(directory)), LANGUAGES)
        results = dict(zip(LANGUAGES, outcomes, strict=True))
    for language, result in results.items():
        print(f"{language}: {result}")  # noqa: T201
    sys.exit(any(result.startswith("failed") for result in results.values()))


if __name__ == "__main__":
    main()
