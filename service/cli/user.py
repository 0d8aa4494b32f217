"""``ostiary user``: user administration for operators."""

from __future__ import annotations

import sys
from uuid import UUID

import click

from service.auth.audit import OPERATOR
from service.auth.challenges import Link
from service.auth.errors import FieldCode, InvalidField, ValidationFailed
from service.auth.passwords import NewCredentials, NewPassword, PasswordPolicy
from service.auth.usernames import Username
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.failures import fail
from service.cli.terminal import print_result, printable
from service.mail.configured import RESET_URL
from service.model.sessions import ListedSession
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
    with provide_services(settings) as run:
        created = run(lambda services: services.user_admin.create(credentials))
    text = f"{_name_of(created)} was created with the id {created.id}."
    print_result(created, text, json=json)


@user.command()
@user_argument
@as_json
def show(name_or_id: str, *, json: bool) -> None:
    """Show a user and their keys."""

    async def find(services: Services) -> tuple[User, list[KeyInfo], int]:
        found = await services.user_admin.find(name_or_id)
        sessions = await services.user_admin.count_sessions(found)
        return found, await services.keys.list(found.id), sessions

    with provide_services(load_settings()) as run:
        found, keys, sessions = run(find)
    shown = {"user": found, "keys": keys, "live_sessions": sessions}
    print_result(shown, _description(found, keys, sessions), json=json)


@user.command(name="list")
@as_json
def list_command(*, json: bool) -> None:
    """List all users, one on each line."""

    async def print_all(services: Services) -> None:
        async for each in services.user_admin.iter_users():
            text = f"{each.id}  {printable(each.username or '-')}  {printable(each.email or '-')}"
            print_result(each, text, json=json)

    with provide_services(load_settings()) as run:
        run(print_all)


@user.command()
@user_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@as_json
def delete(name_or_id: str, *, yes: bool, json: bool) -> None:
    """Delete a user with all keys and sessions."""
    with provide_services(load_settings()) as run:
        found = run(lambda services: services.user_admin.find(name_or_id))
        if not yes:
            click.confirm(f"Delete {_name_of(found)} permanently?", abort=True, err=True)
        run(lambda services: services.user_admin.delete(found))
    print_result({"deleted": found}, f"{_name_of(found)} was deleted.", json=json)


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
    url = settings.mail.reset_url or (None if settings.is_production else RESET_URL)
    if url is None:
        fail("OSTIARY_RESET_URL is not set: the page on which a password is reset.")

    async def make(services: Services) -> Link:
        found = await services.user_admin.find(name_or_id)
        return await services.user_admin.make_reset_link(found)

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
            return await services.user_admin.end_all_sessions(found)
        if session_id is not None:
            await services.sessions.end_one(session_id, found.id, OPERATOR)
            return 1
        async for each in services.user_admin.iter_sessions(found):
            print_result(each, _session_line(each), json=json)
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


def _name_of(user: User) -> str:
    return printable(user.username or user.email or str(user.id))


def _address_of(user: User) -> str:
    if user.email is None:
        return "-"
    if user.email_verified_at is None:
        return f"{printable(user.email)}, not verified"
    return f"{printable(user.email)}, verified {user.email_verified_at:%Y-%m-%d %H:%M:%S} UTC"


def _description(found: User, keys: list[KeyInfo], sessions: int) -> str:
    lines = [
        f"id             {found.id}",
        f"username       {printable(found.username or '-')}",
        f"email          {_address_of(found)}",
        f"created        {found.created_at:%Y-%m-%d %H:%M:%S} UTC",
        f"live sessions  {sessions}",
    ]
    for key in keys:
        password = "with a password" if key.has_password else "without a password"
        lines.append(f"key            {printable(f'{key.provider}:{key.name}')}, {password}")
    return "\n".join(lines)


def _session_line(listed: ListedSession) -> str:
    session, device = listed.session, listed.device
    return (
        f"{session.id}  {listed.state}  {session.created_at:%Y-%m-%d %H:%M:%S} UTC  "
        f"{device.address or '-'}  {printable(device.name or '-')}  "
        f"{printable(device.user_agent or '-')}"
    )
