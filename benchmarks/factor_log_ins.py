"""Log-ins with a factor: by a code of an authenticator app, and by passkey.

What the app and the authenticator do is done here, and not counted: the service has its own CPU
time. A code counts once in 30 seconds, so the steps that were used are forgotten before each turn.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import httpx
import pyotp
from servers import ROOT, execute

sys.path.insert(0, str(ROOT))

from tests.authenticator import Authenticator

USERS = 100
CONNECTIONS = 8
PASSWORD = "correct horse battery staple"  # noqa: S105

FORGET_STEPS = "UPDATE totp SET last_step = 0"


class FactorUsers:
    """Users with an app, and users with a passkey, of one database."""

    def __init__(self, database_url: str, timeout: float) -> None:
        self._database_url = database_url
        self._timeout = timeout
        self._apps: list[tuple[str, pyotp.TOTP]] = []
        self._authenticators: list[Authenticator] = []

    def set_up(self, url: str) -> None:
        """Sign the users up, and set their factors up."""
        with self._client(url) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
            self._apps = list(pool.map(lambda n: add_app(client, f"app{n}"), range(USERS)))
            origin = f"http://localhost:{httpx.URL(url).port}"
            self._authenticators = list(
                pool.map(lambda n: add_passkey(client, f"passkey{n}", origin), range(CONNECTIONS))
            )

    def log_in_by_code(self, url: str) -> int:
        """Log users in by password and code for a second; return how many."""
        asyncio.run(execute(self._database_url, FORGET_STEPS))

        def log_in(client: httpx.Client, first: int) -> Callable[[], None]:
            apps = cycle(self._apps[first::CONNECTIONS])

            def send() -> None:
                name, app = next(apps)
                asked = post(client, "/login", 401, credentials(name))
                answer = {"method": "totp", "code": app.now()}
                body = {"challenge_token": asked["challenge_token"]} | answer
                post(client, "/login/second-factor", 200, body)

            return send

        return self._for_a_second(url, log_in)

    def log_in_by_passkey(self, url: str) -> int:
        """Log users in by passkey for a second; return how many."""

        def log_in(client: httpx.Client, first: int) -> Callable[[], None]:
            authenticator = self._authenticators[first]
            authenticator.origin = f"http://localhost:{httpx.URL(url).port}"

            def send() -> None:
                asked = post(client, "/login/passkey/options", 200)
                body = {
                    "challenge_token": asked["challenge_token"],
                    "credential": authenticator.get(asked["options"]),
                    "transport": "bearer",
                }
                post(client, "/login/passkey", 200, body)

            return send

        return self._for_a_second(url, log_in)

    def _client(self, url: str) -> httpx.Client:
        return httpx.Client(base_url=url, timeout=self._timeout, trust_env=False)

    def _for_a_second(
        self, url: str, log_in: Callable[[httpx.Client, int], Callable[[], None]]
    ) -> int:
        end = time.monotonic() + 1

        def repeat(first: int) -> int:
            send, done = log_in(client, first), 0
            while time.monotonic() < end:
                send()
                done += 1
            return done

        with self._client(url) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
            return sum(pool.map(repeat, range(CONNECTIONS)))


def credentials(name: str) -> dict[str, str]:
    return {"username": name, "password": PASSWORD, "transport": "bearer"}


def sign_up(client: httpx.Client, name: str) -> dict[str, str]:
    """Return the header with the token of a new user."""
    signed_up = post(client, "/signup", 201, credentials(name))
    return {"Authorization": f"Bearer {signed_up['session']['token']}"}


def add_app(client: httpx.Client, name: str) -> tuple[str, pyotp.TOTP]:
    """Sign a user up, and set an app up."""
    session = sign_up(client, name)
    app = pyotp.TOTP(post(client, "/me/totp", 201, headers=session)["secret"])
    post(client, "/me/totp/confirm", 200, {"code": app.now()}, headers=session)
    return name, app


def add_passkey(client: httpx.Client, name: str, origin: str) -> Authenticator:
    """Sign a user up, and add a passkey."""
    session, authenticator = sign_up(client, name), Authenticator(origin=origin)
    asked = post(client, "/me/passkeys/options", 200, headers=session)
    made = {"credential": authenticator.create(asked["options"])}
    body = {"challenge_token": asked["challenge_token"]} | made
    post(client, "/me/passkeys", 201, body, headers=session)
    return authenticator


def post(
    client: httpx.Client,
    path: str,
    status: int,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """Send a POST; end the program on any other status."""
    response = client.post(path, json=body, headers=headers)
    if response.status_code != status:
        raise SystemExit(f"POST {path} was answered by {response.status_code}: {response.text}")
    return response.json()
