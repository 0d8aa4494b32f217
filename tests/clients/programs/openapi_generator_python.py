"""What a program does with a client of openapi-generator. Arguments: URL, transport."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import Any

from ostiary_client import (
    AccountApi,
    ApiClient,
    ApiException,
    Authenticated,
    ChangePasswordRequest,
    Configuration,
    KnownFieldCode,
    KnownProblemCode,
    LogInRequest,
    Problem,
    SessionsApi,
    SignUpRequest,
    Transport,
)
from ostiary_client.rest import RESTResponse

USERNAME = "Alice"
PASSWORD = "correct horse battery staple"


class CookieClient(ApiClient):
    """A client that keeps cookies; the one that is generated does not."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._cookies: SimpleCookie = SimpleCookie()

    def call_api(self, *arguments: Any, **options: Any) -> RESTResponse:
        """Return the response to a request, and send its cookies from then on."""
        response = super().call_api(*arguments, **options)
        for each in response.headers.getlist("Set-Cookie"):
            self._cookies.load(each)
        self.cookie = self._cookies.output(attrs=[], header="", sep=";").strip()
        return response


class Walk:
    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def open(self, step: str, call: Callable[[], Authenticated]) -> None:
        """Report the session that a call opens, and send its token from then on."""
        with self.step(step):
            answer = call()
            session, user = answer.session, answer.user
            if session.token is not None:
                self._client.configuration.access_token = session.token
            state = "fresh" if session.fresh else session.state.value
            print(f"{step}: {user.username}, {state}")

    @contextmanager
    def step(self, step: str) -> Iterator[None]:
        """Report the problem, if the service answers with one."""
        try:
            yield
        except ApiException as error:
            problem = error.data
            if not isinstance(problem, Problem):
                raise
            reason = text(problem.code.actual_instance)
            if problem.code.actual_instance == KnownProblemCode.INVALID_CREDENTIALS:
                reason = "wrong user name or password"
            fields = [
                # `field` would hide a function of pydantic.
                f"{each.var_field} {text(each.code.actual_instance)}"
                for each in problem.errors or []
            ]
            print(f"{step} refused: {', '.join([reason, *fields])}")


def text(code: KnownProblemCode | KnownFieldCode | str | None) -> str:
    return code.value if isinstance(code, KnownProblemCode | KnownFieldCode) else str(code)


def main(url: str, transport: Transport) -> None:
    client = CookieClient(Configuration(host=url))
    account, sessions = AccountApi(client), SessionsApi(client)
    walk = Walk(client)

    invalid = SignUpRequest(username="al", password="password1", transport=transport)
    walk.open("sign-up", lambda: account.sign_up(invalid))
    new = SignUpRequest(username=USERNAME, password=PASSWORD, transport=transport)
    walk.open("sign-up", lambda: account.sign_up(new))

    wrong = LogInRequest(username=USERNAME, password="an entirely wrong one", transport=transport)
    walk.open("log-in", lambda: account.log_in(wrong))
    right = LogInRequest(
        username=USERNAME, password=PASSWORD, transport=transport, device_name="a laptop"
    )
    walk.open("log-in", lambda: account.log_in(right))
    walk.open("me", account.get_me)

    with walk.step("sessions"):
        (current,) = [each for each in sessions.list_sessions().sessions if each.current]
        days = (current.absolute_expires_at - current.created_at).days
        print(f"session: {current.device_name}, {days} days")

    change = ChangePasswordRequest(
        current_password=PASSWORD, new_password="an entirely different one"
    )
    walk.open("password change", lambda: account.change_password(change))
    with walk.step("log-out"):
        account.log_out()
        print("log-out")
    walk.open("me", account.get_me)


if __name__ == "__main__":
    main(sys.argv[1], Transport(sys.argv[2]))
