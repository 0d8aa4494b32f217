"""The example of nginx: the tests of the recipes run with it as well."""

from __future__ import annotations

from tests.proxies.recipes import EXAMPLE


def test_what_protects_the_application_fits_in_ten_lines() -> None:
    text = (EXAMPLE / "app.conf").read_text(encoding="utf-8")
    protection = text.partition("# What protects")[2].partition("# Log-in")[0]
    assert len([line for line in protection.splitlines()[1:] if line.strip()]) <= 10
