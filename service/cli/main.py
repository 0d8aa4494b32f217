"""The command ``ostiary``."""

from __future__ import annotations

import copy

import click

import service
from service.cli.after_restore import after_restore
from service.cli.cleanup import cleanup
from service.cli.export import export
from service.cli.failures import ReportingGroup
from service.cli.import_lucia import import_lucia
from service.cli.import_users import import_users
from service.cli.invitation import invitation
from service.cli.mail import mail
from service.cli.migrate import migrate
from service.cli.openapi import openapi
from service.cli.secret_key import secret_key
from service.cli.serve import serve
from service.cli.service_token import service_token
from service.cli.sessions import sessions
from service.cli.settings import settings
from service.cli.signing_key import signing_key
from service.cli.user import user
from service.cli.user_changes import disable, enable, metadata, roles
from service.cli.user_factors import factors
from service.cli.user_list import list_command


@click.group(cls=ReportingGroup)
@click.version_option(service.__version__, prog_name="ostiary")
def main() -> None:
    """Run Ostiary, an authentication service.

    Settings are environment variables: `ostiary settings` lists them with the values in use, and
    docs/settings.md says what they mean.
    """


for command in (
    *(serve, migrate, cleanup, user, sessions, invitation, mail, secret_key, signing_key, settings),
    *(service_token, after_restore),
    *(export, import_users, import_lucia, openapi),
):
    main.add_command(command)

for command in (list_command, disable, enable, roles, metadata, factors):
    user.add_command(command)

# The name of `ostiary cleanup` in development versions before 0.1.0.
sweep = copy.copy(cleanup)
sweep.hidden = True
main.add_command(sweep, name="sweep")
