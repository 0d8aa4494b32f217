"""The lock, the bill of materials and the documents list the same dependencies."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
BILL = json.loads((ROOT / "requirements" / "sbom.cdx.json").read_text(encoding="utf-8"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """Return the versions that production installs on Linux, by name."""
    text = (ROOT / "requirements" / "production.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]+))?", text, re.MULTILINE)
    return {
        normal(name): version
        for name, version, marker in found
        if "== 'win32'" not in marker and "== 'Windows'" not in marker
    }


def test_the_bill_of_materials_matches_the_lock() -> None:
    listed = {normal(each["name"]): each["version"] for each in BILL["components"]}
    assert listed == locked()


def test_every_locked_dependency_has_hashes() -> None:
    """What is installed is what was locked, from whatever index it comes."""
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        entries = re.split(r"\n(?=[\w.-]+==)", f"\n{text}")[1:]
        assert len(entries) == len(re.findall(r"^[\w.-]+", text, re.MULTILINE))
        assert all("--hash=sha256:" in each for each in entries), path.name
        assert "index-url" not in text


def test_node_packages_are_locked_by_hash_and_have_no_address() -> None:
    """They come from the registry that npm is set up with, and run nothing when installed."""
    locks = [
        path for path in ROOT.glob("*/**/package-lock.json") if "node_modules" not in path.parts
    ]
    assert locks
    for path in locks:
        packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
        for name, package in packages.items():
            assert "resolved" not in package, name
            assert name == "" or "integrity" in package, name
        options = (path.parent / ".npmrc").read_text(encoding="utf-8").splitlines()
        assert {"omit-lockfile-registry-resolved=true", "ignore-scripts=true"} <= set(options)


def test_the_purpose_of_every_dependency_is_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    names = {re.split(r"[\[><;]", each)[0] for each in needed}
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = document.partition("## Dependencies")[2]
    listed = re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(names)
