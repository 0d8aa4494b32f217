"""The command ``ostiary``."""

from __future__ import annotations

import click

import service
from service.cli.cleanup import cleanup
from service.cli.import_lucia import import_lucia
from service.cli.migrate import migrate
from service.cli.openapi import openapi
from service.cli.serve import serve
from service.cli.user import user


@click.group()
@click.version_option(service.__version__, prog_name="ostiary")
def main() -> None:
    """Run Ostiary, an authentication service. Its settings are listed in docs/settings.md."""


for command in (serve, migrate, cleanup, user, import_lucia, openapi):
    main.add_command(command)

# The name of `ostiary cleanup` in development versions before 0.1.0.
main.add_command(cleanup, name="sweep")
