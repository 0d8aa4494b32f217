"""Fail if an OpenAPI document breaks clients of an older one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.compatibility.operations import incompatibilities


def main() -> None:
    """Print each incompatible change, and exit with 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    old, new = (json.loads(each.read_text("utf-8")) for each in (arguments.old, arguments.new))
    found = incompatibilities(old, new)
    for each in found:
        sys.stderr.write(f"{each}\n")
    if found:
        sys.exit(f"{arguments.new} breaks clients of {arguments.old}.")


if __name__ == "__main__":
    main()
