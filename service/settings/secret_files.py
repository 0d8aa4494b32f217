"""Secrets in files: a variable ``NAME_FILE`` names the file that holds what ``NAME`` would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

SUFFIX = "_FILE"


def with_secret_files(
    environment: Mapping[str, str], names: Iterable[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment with the secrets of files in it, and the mistakes by variable."""
    filled = dict(environment)
    mistakes: dict[str, str] = {}
    for name in names:
        path = filled.pop(name + SUFFIX, "")
        if not path:
            continue
        if filled.get(name):
            mistakes[name + SUFFIX] = f"set it or {name}, not both"
            continue
        try:
            filled[name] = _content(Path(path))
        except OSError as error:
            mistakes[name + SUFFIX] = f"{path} cannot be read: {error.strerror}"
        except ValueError:
            mistakes[name + SUFFIX] = f"{path} is not text in UTF-8"
        else:
            if not filled[name]:
                mistakes[name + SUFFIX] = f"{path} is empty"
    return filled, mistakes


def _content(path: Path) -> str:
    """Return the text of a file without the newline that editors leave at its end."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")
