"""SECURITY.md tells the truth: its tests exist, its events and settings are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from service.auth.audit import Event
from service.settings.variables import variables

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_test_that_it_points_to_exists() -> None:
    pointers = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)
    assert len(pointers) > 50
    for path, name in pointers:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_every_event_is_listed() -> None:
    assert {event for event in Event if f"`{event}`" in SECURITY} == set(Event)


def test_every_setting_that_it_names_exists() -> None:
    known = {each.name for each in variables()}
    assert set(re.findall(r"`(OSTIARY_\w*[A-Z])[=`]", SECURITY)) <= known
