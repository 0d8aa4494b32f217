"""``ostiary user``: user administration for operators."""

from __future__ import annotations

import sys
from uuid import UUID

import click

from service.auth.admin.new_users import NewUser
from service.auth.admin.reset_links import Delivery
from service.auth.audit import OPERATOR
from service.auth.challenges import Link
from service.auth.errors import FieldCode, InvalidField, ValidationFailed
from service.auth.passwords import NewCredentials, NewPassword, PasswordPolicy
from service.auth.usernames import Username
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.failures import fail
from service.cli.terminal import print_result
from service.cli.user_text import description, name_of, session_line, shown_identity
from service.mail.configured import reset_url_of
from service.model.identities import Identity
from service.model.user_records import UserRecord
from service.model.users import KeyInfo, User
from service.settings import Settings

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
user_argument = click.argument("name_or_id", metavar="USERNAME|EMAIL|ID")


@click.group()
def user() -> None:
    """Manage users, their passwords and their sessions."""


@user.command()
@click.argument("username")
@as_json
def create(username: str, *, json: bool) -> None:
    """Create a user. The password is prompted for, or read from standard input."""
    settings = load_settings()
    credentials = _credentials(username, settings)
    new = NewUser(username=credentials.username, password=credentials.password)

    async def work(services: Services) -> User:
        made = await services.new_users.create(new, OPERATOR)
        return await services.user_admin.find(str(made.id))

    with provide_services(settings) as run:
        created = run(work)
    text = f"{name_of(created)} was created with the id {created.id}."
    print_result(created, text, json=json)


@user.command()
@user_argument
@as_json
def show(name_or_id: str, *, json: bool) -> None:
    """Show a user, their keys, and their accounts at OpenID providers."""

    async def find(
        services: Services,
    ) -> tuple[User, UserRecord, list[KeyInfo], list[Identity], int]:
        found = await services.user_admin.find(name_or_id)
        known = await services.user_admin.get(found.id)
        keys = await services.keys.list(found.id)
        identities = await services.identities.links.list(found.id)
        return found, known, keys, identities, await services.session_admin.count(found.id)

    with provide_services(load_settings()) as run:
        found, known, keys, identities, sessions = run(find)
    shown = {
        "user": found,
        "disabled_at": known.disabled_at,
        "disabled_reason": known.disabled_reason,
        "keys": keys,
        "identities": [shown_identity(each) for each in identities],
        "live_sessions": sessions,
    }
    print_result(shown, description(known, keys, identities, sessions), json=json)


@user.command()
@user_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@as_json
def delete(name_or_id: str, *, yes: bool, json: bool) -> None:
    """Delete a user with all keys and sessions."""
    with provide_services(load_settings()) as run:
        found = run(lambda services: services.user_admin.find(name_or_id))
        if not yes:
            click.confirm(f"Delete {name_of(found)} permanently?", abort=True, err=True)
        run(lambda services: services.user_admin.delete(found.id, OPERATOR))
    print_result({"deleted": found}, f"{name_of(found)} was deleted.", json=json)


@user.command()
@user_argument
@as_json
def set_password(name_or_id: str, *, json: bool) -> None:
    """Set a user's password and end all their sessions.

    The password is prompted for, or read from standard input.
    """
    settings = load_settings()
    with provide_services(settings) as run:
        found = run(lambda services: services.user_admin.find(name_or_id))
        password = _accept_password(settings)
        ended = run(lambda services: services.user_admin.set_password(found, password))
    print_result({"ended": ended}, f"The password was set; {ended} sessions ended.", json=json)


@user.command()
@user_argument
@as_json
def reset_link(name_or_id: str, *, json: bool) -> None:
    """Make a link with which a user sets a new password; print it, and tell the user.

    It is valid for an hour, and once. The page is that of OSTIARY_RESET_URL.
    """
    settings = load_settings()
    url = reset_url_of(settings)
    if url is None:
        fail("OSTIARY_RESET_URL is not set: the page on which a password is reset.")

    async def make(services: Services) -> Link:
        found = await services.user_admin.find(name_or_id)
        return await services.reset_links.make(found.id, Delivery.RETURN, OPERATOR)

    with provide_services(settings) as run:
        made = run(make)
    link = url.with_token(made.token)
    result = {"link": link, "expires_at": made.expires_at}
    print_result(result, f"{link}\nValid until {made.expires_at:%Y-%m-%d %H:%M} UTC.", json=json)


@user.command()
@user_argument
@click.option("--end", "session_id", type=click.UUID, help="End this session.")
@click.option("--end-all", is_flag=True, help="End all sessions of the user.")
@as_json
def sessions(name_or_id: str, *, session_id: UUID | None, end_all: bool, json: bool) -> None:
    """List a user's live sessions, or end one or all of them."""

    async def work(services: Services) -> int | None:
        found = await services.user_admin.find(name_or_id)
        if end_all:
            return await services.session_admin.end_all(found.id, OPERATOR)
        if session_id is not None:
            await services.session_admin.end_one(session_id, found.id, OPERATOR)
            return 1
        async for each in services.session_admin.iterate(found.id):
            print_result(each, session_line(each), json=json)
        return None

    with provide_services(load_settings()) as run:
        ended = run(work)
    if ended is not None:
        print_result({"ended": ended}, f"{ended} sessions ended.", json=json)


def _credentials(username: str, settings: Settings) -> NewCredentials:
    """Return the user name and a password. Raises `ValidationFailed` with all errors of both."""
    errors = []
    try:
        name = Username.parse(username)
    except InvalidField as error:
        errors.append(error.of("username"))
    try:
        password = _accept_password(settings)
    except ValidationFailed as error:
        errors += error.errors
    if errors:
        raise ValidationFailed(errors)
    return NewCredentials(name, password)


def _accept_password(settings: Settings) -> NewPassword:
    """Read a new password. Raises `ValidationFailed`."""
    try:
        return PasswordPolicy(settings.passwords).accept(_read_password())
    except InvalidField as error:
        raise ValidationFailed([error.of("password")]) from error


def _read_password() -> str:
    """Read a password, never from an argument: other users of the machine can see arguments."""
    if sys.stdin is None:
        fail("There is no standard input to read the password from.")
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InvalidField(FieldCode.NOT_ALLOWED, "Password must be text in UTF-8.") from None
