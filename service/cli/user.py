"""``ostiary user``: user administration for operators."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import click
import msgspec

from service.auth.audit import OPERATOR
from service.auth.errors import InvalidField, ValidationFailed
from service.auth.passwords import NewCredentials, NewPassword, PasswordPolicy
from service.auth.usernames import Username
from service.bootstrap import Services, open_services
from service.cli.context import load_settings, provide_database, reporting_errors
from service.model.sessions import ListedSession
from service.model.users import KeyInfo, User
from service.settings import Settings

T = TypeVar("T")

MAX_SESSIONS = 1000

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
user_argument = click.argument("name_or_id", metavar="USERNAME|ID")


@click.group()
def user() -> None:
    """Create, show, list and delete users; set passwords and end sessions."""


@user.command()
@click.argument("username")
@as_json
def create(username: str, *, json: bool) -> None:
    """Create a user. The password is prompted for, or read from standard input."""
    settings = load_settings()
    with reporting_errors():
        credentials = _credentials(username, settings)
        created = _run(settings, lambda services: services.user_admin.create(credentials))
    _print(created, f"{created.username} was created with the id {created.id}.", json=json)


@user.command()
@user_argument
@as_json
def show(name_or_id: str, *, json: bool) -> None:
    """Show a user and their keys."""

    async def find(services: Services) -> tuple[User, list[KeyInfo], int]:
        found = await services.user_admin.find(name_or_id)
        sessions = await services.sessions.list(found.id, MAX_SESSIONS)
        return found, await services.keys.list(found.id), len(sessions)

    with reporting_errors():
        found, keys, sessions = _run(load_settings(), find)
    shown = {"user": found, "keys": keys, "live_sessions": sessions}
    _print(shown, _description(found, keys, sessions), json=json)


@user.command(name="list")
@as_json
def list_command(*, json: bool) -> None:
    """List all users, one on each line."""

    async def print_all(services: Services) -> None:
        async for each in services.user_admin.iter_users():
            _print(each, f"{each.id}  {each.username or '-'}", json=json)

    with reporting_errors():
        _run(load_settings(), print_all)


@user.command()
@user_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@as_json
def delete(name_or_id: str, *, yes: bool, json: bool) -> None:
    """Delete a user with all keys and sessions."""
    settings = load_settings()
    with reporting_errors():
        found = _run(settings, lambda services: services.user_admin.find(name_or_id))
        if not yes:
            question = f"Delete {found.username or found.id} permanently?"
            click.confirm(question, abort=True, err=True)
        _run(settings, lambda services: services.user_admin.delete(found))
    _print({"deleted": found}, f"{found.username or found.id} was deleted.", json=json)


@user.command()
@user_argument
@as_json
def set_password(name_or_id: str, *, json: bool) -> None:
    """Set a user's password and end all their sessions.

    The password is prompted for, or read from standard input.
    """
    settings = load_settings()
    with reporting_errors():
        found = _run(settings, lambda services: services.user_admin.find(name_or_id))
        password = _accept_password(settings)
        ended = _run(settings, lambda services: services.user_admin.set_password(found, password))
    _print({"ended": ended}, f"The password was set; {ended} sessions ended.", json=json)


@user.command()
@user_argument
@click.option("--end", "session_id", type=click.UUID, help="End this session.")
@click.option("--end-all", is_flag=True, help="End all sessions of the user.")
@as_json
def sessions(name_or_id: str, *, session_id: UUID | None, end_all: bool, json: bool) -> None:
    """List a user's live sessions, or end one or all of them."""

    async def work(services: Services) -> list[ListedSession] | int:
        found = await services.user_admin.find(name_or_id)
        if end_all:
            return await services.user_admin.end_all_sessions(found)
        if session_id is not None:
            await services.sessions.end_one(session_id, found.id, OPERATOR)
            return 1
        return await services.sessions.list(found.id, MAX_SESSIONS)

    with reporting_errors():
        result = _run(load_settings(), work)
    if isinstance(result, int):
        _print({"ended": result}, f"{result} sessions ended.", json=json)
        return
    for each in result:
        _print(each, _session_line(each), json=json)


def _run(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    async def run(url: str) -> T:
        async with open_services(settings, url) as services:
            return await work(services)

    with provide_database(settings) as (url, _):
        return asyncio.run(run(url))


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
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _print(result: Any, text: str, *, json: bool) -> None:
    click.echo(msgspec.json.encode(result, enc_hook=str) if json else text)


def _description(found: User, keys: list[KeyInfo], sessions: int) -> str:
    lines = [
        f"id             {found.id}",
        f"username       {found.username or '-'}",
        f"created        {found.created_at:%Y-%m-%d %H:%M:%S} UTC",
        f"live sessions  {sessions}",
    ]
    for key in keys:
        password = "with a password" if key.has_password else "without a password"
        lines.append(f"key            {key.provider}:{key.name}, {password}")
    return "\n".join(lines)


def _session_line(listed: ListedSession) -> str:
    session, device = listed.session, listed.device
    return (
        f"{session.id}  {listed.state}  {session.created_at:%Y-%m-%d %H:%M:%S} UTC  "
        f"{device.address or '-'}  {device.name or '-'}  {device.user_agent or '-'}"
    )
