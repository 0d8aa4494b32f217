"""``ostiary openapi``."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.failures import fail

# In a checkout.
DOCUMENT = Path(__file__).parents[2] / "openapi" / "openapi.json"


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write to this file, not to standard output."
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; fail if the file (openapi/openapi.json of a checkout) is out of date.",
)
def openapi(*, output: Path | None, check: bool) -> None:
    """Print the OpenAPI document."""
    from service.api.openapi import openapi_text

    text = openapi_text()
    if check:
        _check(output or DOCUMENT, text)
    elif output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _check(file: Path, text: str) -> None:
    try:
        is_current = file.read_bytes() == text.encode()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    if not is_current:
        fail(f"{file} is out of date; run `ostiary openapi --output {file}`.")
