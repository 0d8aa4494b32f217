"""Write the bill of materials of what production installs, in CycloneDX: ``make sbom``.

Links are left out: they say nothing that name, version, package URL and licence do not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=False)
        locked = HERE / "production.txt"
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", f"{directory}/bin/python"]
        subprocess.run([*pip, "install", "--require-hashes", "-r", locked], check=True)
        tool = Path(sys.executable).with_name("cyclonedx-py")
        project = HERE.parent / "pyproject.toml"
        command: list[str | Path] = [tool, "environment", "--pyproject", project]
        command += ["--output-reproducible", f"{directory}/bin/python"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    bill = without_links(json.loads(output))
    (HERE / "sbom.cdx.json").write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")


def without_links(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            name: without_links(value)
            for name, value in part.items()
            if name != "externalReferences"
        }
    return [without_links(each) for each in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()
