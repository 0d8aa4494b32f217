"""What a program does with a client of openapi-python-client. Arguments: URL, transport."""

from __future__ import annotations

import sys

from ostiary_client import AuthenticatedClient, Client
from ostiary_client.api.account import change_password, get_me, log_in, log_out, sign_up
from ostiary_client.api.sessions import list_sessions
from ostiary_client.models import (
    Authenticated,
    ChangePasswordRequest,
    KnownProblemCode,
    LogInRequest,
    Problem,
    SignUpRequest,
    Transport,
)

USERNAME = "Alice"
PASSWORD = "correct horse battery staple"


def authenticated_client(client: Client, url: str, token: str | None) -> AuthenticatedClient:
    """Return a client for what needs a session. Without a token it shares the cookies."""
    if token is None:
        authenticated = AuthenticatedClient(base_url=url, token="")
        return authenticated.set_httpx_client(client.get_httpx_client())
    return AuthenticatedClient(base_url=url, token=token)


def report(step: str, answer: Authenticated | Problem | None) -> str | None:
    """Return the token of the session, if it has a new one that no cookie carries."""
    if isinstance(answer, Authenticated):
        session = answer.session
        state = "fresh" if session.fresh else session.state
        print(f"{step}: {answer.user.username}, {state}")
        return session.token or None
    if isinstance(answer, Problem):
        refused(step, answer)
    return None


def refused(step: str, problem: Problem) -> None:
    reason: str = problem.code
    if problem.code == KnownProblemCode.INVALID_CREDENTIALS:
        reason = "wrong user name or password"
    fields = [f"{error.field} {error.code}" for error in problem.errors or []]
    print(f"{step} refused: {', '.join([reason, *fields])}")


def main(url: str, transport: Transport) -> None:
    client = Client(base_url=url)
    invalid = SignUpRequest(username="al", password="password1", transport=transport)
    report("sign-up", sign_up.sync(client=client, body=invalid))
    new = SignUpRequest(username=USERNAME, password=PASSWORD, transport=transport)
    token = report("sign-up", sign_up.sync(client=client, body=new))
    session = authenticated_client(client, url, token)

    wrong = LogInRequest(USERNAME, "an entirely wrong one", transport=transport)
    report("log-in", log_in.sync(client=session, body=wrong))
    right = LogInRequest(USERNAME, PASSWORD, transport=transport, device_name="a laptop")
    token = report("log-in", log_in.sync(client=session, body=right))
    session = authenticated_client(client, url, token)

    report("me", get_me.sync(client=session))
    page = list_sessions.sync(client=session)
    if isinstance(page, Problem):
        refused("sessions", page)
    elif page is not None:
        (current,) = [each for each in page.sessions if each.current]
        days = (current.absolute_expires_at - current.created_at).days
        print(f"session: {current.device_name}, {days} days")

    change = ChangePasswordRequest(
        current_password=PASSWORD, new_password="an entirely different one"
    )
    token = report("password change", change_password.sync(client=session, body=change))
    session = authenticated_client(client, url, token)

    end = log_out.sync(client=session)
    if isinstance(end, Problem):
        refused("log-out", end)
    else:
        print("log-out")
    report("me", get_me.sync(client=session))


if __name__ == "__main__":
    main(sys.argv[1], Transport(sys.argv[2]))
