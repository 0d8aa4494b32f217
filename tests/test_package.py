"""The package that is installed in production."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent


def test_the_package_has_the_service_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flit_core.wheel", "--outdir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("ostiary-*.whl")
    with ZipFile(wheel) as package:
        texts = {name: package.read(name) for name in package.namelist()}
    folders = {name.partition("/")[0] for name in texts}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"service"}
    tests = [
        name
        for name, text in texts.items()
        if any(part.startswith(("test", "conftest")) for part in name.split("/"))
        or b"import pytest" in text
    ]
    assert tests == []


def test_production_installs_no_embedded_postgresql() -> None:
    locked = (ROOT / "requirements" / "production.txt").read_text(encoding="utf-8")
    assert "\nasyncpg==" in locked
    assert "pgserver" not in locked
