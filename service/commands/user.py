"""``ostiary user``: for the person on call."""

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
from service.auth.passwords import NewPassword, PasswordPolicy
from service.auth.usernames import Username
from service.commands.surroundings import Parts, database_of, failures_told, opened, settings
from service.model import KeyInfo, ListedSession, User

T = TypeVar("T")

MOST_SESSIONS = 1000

as_json = click.option("--json", "json", is_flag=True, help="Answer in JSON, for scripts.")
who = click.argument("who", metavar="USERNAME|ID")


@click.group()
def user() -> None:
    """See to users: make, show, list, delete them; passwords and sessions."""


@user.command()
@click.argument("username")
@as_json
def create(username: str, *, json: bool) -> None:
    """Make a user. The password is asked for, or read from standard input."""
    configured = settings()
    with failures_told():
        name, password = _username_and_password(username, configured.password_min_length)
        made = _run(lambda parts: parts.administration.create(name, password))
    _tell(made, f"{made.username} was made, with the id {made.id}.", json=json)


@user.command()
@who
@as_json
def show(who: str, *, json: bool) -> None:
    """Show a user and their keys."""

    async def find(parts: Parts) -> tuple[User, list[KeyInfo], int]:
        found = await parts.administration.find(who)
        sessions = await parts.sessions.list(found.id, MOST_SESSIONS)
        return found, await parts.keys.list(found.id), len(sessions)

    with failures_told():
        found, keys, sessions = _run(find)
    answer = {"user": found, "keys": keys, "live_sessions": sessions}
    _tell(answer, _description(found, keys, sessions), json=json)


@user.command(name="list")
@as_json
def list_command(*, json: bool) -> None:
    """List all users, one on a line."""

    async def print_all(parts: Parts) -> None:
        async for each in parts.administration.everybody():
            _tell(each, f"{each.id}  {each.username or '-'}", json=json)

    with failures_told():
        _run(print_all)


@user.command()
@who
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def delete(who: str, *, yes: bool, json: bool) -> None:
    """Delete a user, with keys and sessions."""
    with failures_told():
        found = _run(lambda parts: parts.administration.find(who))
        if not yes:
            click.confirm(f"Delete {found.username or found.id} for good?", abort=True, err=True)
        _run(lambda parts: parts.administration.delete(found))
    _tell({"deleted": found}, f"{found.username or found.id} was deleted.", json=json)


@user.command()
@who
@as_json
def set_password(who: str, *, json: bool) -> None:
    """Set a user's password, asked for or read from standard input, and log them out everywhere."""
    configured = settings()
    with failures_told():
        found = _run(lambda parts: parts.administration.find(who))
        try:
            password = PasswordPolicy(configured.password_min_length).accept(_password())
        except InvalidField as error:
            raise ValidationFailed([error.of("password")]) from error
        ended = _run(lambda parts: parts.administration.set_password(found, password))
    _tell({"ended": ended}, f"The password is set; {ended} sessions ended.", json=json)


@user.command()
@who
@click.option("--end", "session_id", type=click.UUID, help="End this session.")
@click.option("--end-all", is_flag=True, help="Log the user out everywhere.")
@as_json
def sessions(who: str, *, session_id: UUID | None, end_all: bool, json: bool) -> None:
    """List a user's live sessions, or end one or all of them."""

    async def work(parts: Parts) -> list[ListedSession] | int:
        found = await parts.administration.find(who)
        if end_all:
            return await parts.administration.end_all_sessions(found)
        if session_id is not None:
            await parts.sessions.end_one(session_id, found.id, OPERATOR)
            return 1
        return await parts.sessions.list(found.id, MOST_SESSIONS)

    with failures_told():
        result = _run(work)
    if isinstance(result, int):
        _tell({"ended": result}, f"{result} sessions ended.", json=json)
        return
    for each in result:
        _tell(each, _session_line(each), json=json)


def _run(work: Callable[[Parts], Awaitable[T]]) -> T:
    configured = settings()

    async def run(url: str) -> T:
        async with opened(url, configured) as parts:
            return await work(parts)

    with database_of(configured) as (url, _):
        return asyncio.run(run(url))


def _username_and_password(username: str, min_length: int) -> tuple[Username, NewPassword]:
    """Raises `ValidationFailed` with all that is wrong with both."""
    errors = []
    try:
        name = Username.parse(username)
    except InvalidField as error:
        errors.append(error.of("username"))
    try:
        password = PasswordPolicy(min_length).accept(_password())
    except InvalidField as error:
        errors.append(error.of("password"))
    if errors:
        raise ValidationFailed(errors)
    return name, password


def _password() -> str:
    """A password is never an argument: those are for everybody on the machine to see."""
    if sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")


def _tell(answer: Any, text: str, *, json: bool) -> None:
    click.echo(msgspec.json.encode(answer, enc_hook=str) if json else text)


def _description(found: User, keys: list[KeyInfo], sessions: int) -> str:
    lines = [
        f"id             {found.id}",
        f"username       {found.username or '-'}",
        f"joined         {found.created_at:%Y-%m-%d %H:%M:%S} UTC",
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
        f"{device.address or '-'}  {device.user_agent or '-'}"
    )
