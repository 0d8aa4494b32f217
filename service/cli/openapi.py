"""``ostiary openapi``."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.context import fail

DOCUMENT = Path(__file__).parents[2] / "openapi" / "openapi.json"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the file is out of date.")
def openapi(*, check: bool) -> None:
    """Write the OpenAPI document to openapi/openapi.json."""
    from service.api.openapi import openapi_text

    text = openapi_text()
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        fail(f"{DOCUMENT} is out of date; run `ostiary openapi`.")
