"""Hashing that yields to the tests alone, not to everything else that the machine does.

A hash process asks for the lowest share among all sessions (`service.auth.hash_process.give_way`).
Where many tests run at once, each log-in would wait for a moment when nobody wants the processor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_write_text = Path.write_text


def _write_text_elsewhere(path: Path, *arguments: Any, **options: Any) -> int:
    if path == Path("/proc/self/autogroup"):
        raise PermissionError
    return _write_text(path, *arguments, **options)


Path.write_text = _write_text_elsewhere  # type: ignore[assignment,method-assign]
