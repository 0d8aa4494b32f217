"""A mobile app as a client: bearer tokens, kept in the keychain, and a device with a name.

    python examples/mobile.py [URL]           # walks through the life of a new account
    python examples/mobile.py URL USERNAME    # logs a user in, by password and a second factor

Needs httpx. The file `keychain.json` stands for the keychain (iOS) or the Keystore (Android).
"""

from __future__ import annotations

import json
import secrets
import sys
from getpass import getpass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

DEVICE = "Jane's phone"


class Refused(Exception):
    """The service answered with a problem (RFC 9457), whose ``code`` is stable."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.code: str = problem["code"]
        self.errors: dict[str, str] = {
            error["field"]: error["message"] for error in problem.get("errors", [])
        }


class SecondFactorRequired(Refused):
    """The password was right, and one of ``methods`` has to complete the log-in."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem)
        self.methods: list[str] = problem["methods"]
        self.challenge_token: str = problem["challenge_token"]


class Keychain:
    """What the app keeps: the session's token, and the device's, which survives log-out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str) -> str | None:
        """Return a value, if it is there."""
        return self._kept.get(name)

    def keep(self, **values: str | None) -> None:
        """Keep these values; ``None`` forgets one."""
        merged = {**self._kept, **values}
        self._kept = {name: value for name, value in merged.items() if value is not None}
        self._path.touch(mode=0o600)
        self._path.write_text(json.dumps(self._kept))


class App:
    """One run of the app. ``user`` is who is logged in, or ``None``."""

    def __init__(self, url: str, keychain: Path) -> None:
        self._http = httpx.Client(base_url=url, timeout=10)
        self._keychain = Keychain(keychain)
        self.user: dict[str, Any] | None = None

    def sign_up(self, username: str, password: str) -> None:
        """Create a user. Raises `Refused`."""
        self._open_session("/signup", username, password)

    def log_in(self, username: str, password: str) -> None:
        """Log in. Raises `SecondFactorRequired`, and `Refused`."""
        self._open_session("/login", username, password)

    def complete_log_in(self, question: SecondFactorRequired, method: str, code: str) -> None:
        """Complete a log-in by a code: the method is `totp` or `recovery_code`. Raises `Refused`.

        After `invalid_code` another one may be tried, after `invalid_challenge` another log-in.
        """
        body = {"challenge_token": question.challenge_token, "method": method, "code": code}
        self._keep_session(self._call("POST", "/login/second-factor", body))

    def come_to_foreground(self) -> bool:
        """Find out who is logged in; return whether somebody is.

        It renews an idle session. The token stays the same, so there is nothing to keep anew.
        """
        try:
            self.user = self._call("GET", "/me")["user"]
        except Refused as refusal:
            if refusal.code != "not_authenticated":
                raise
            self._keychain.keep(token=None)
            self.user = None
        return self.user is not None

    def devices(self) -> list[str]:
        """Return the names of the devices of the newest 100 sessions. Raises `Refused`."""
        page = self._call("GET", "/sessions")
        return [session["device_name"] or "unknown" for session in page["sessions"]]

    def change_password(self, current: str, new: str) -> None:
        """Change the password: all other devices are logged out, and this one has a new token.

        Raises `Refused`.
        """
        body = {"current_password": current, "new_password": new}
        self._keychain.keep(token=self._call("PUT", "/me/password", body)["session"]["token"])

    def log_out(self) -> None:
        """End the session. The device stays known: attempts elsewhere cannot lock it out.

        Raises `Refused`, but not if the session has ended already.
        """
        try:
            self._call("POST", "/logout")
        except Refused as refusal:
            if refusal.code != "not_authenticated":
                raise
        self._keychain.keep(token=None)
        self.user = None

    def _open_session(self, path: str, username: str, password: str) -> None:
        body = {
            "username": username,
            "password": password,
            "transport": "bearer",
            "device_name": DEVICE,
            "device_token": self._keychain.get("device_token"),
        }
        sent = {name: value for name, value in body.items() if value is not None}
        self._keep_session(self._call("POST", path, sent))

    def _keep_session(self, opened: dict[str, Any]) -> None:
        session = opened["session"]
        self._keychain.keep(token=session["token"])
        if "device_token" in session:
            self._keychain.keep(device_token=session["device_token"])
        self.user = opened["user"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        token = self._keychain.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = self._http.request(method, path, json=body, headers=headers)
        if response.is_error:
            problem = response.json()
            if problem["code"] == "second_factor_required":
                raise SecondFactorRequired(problem)
            raise Refused(problem)
        return response.json() if response.content else None


def main(url: str, keychain: Path) -> None:
    """Walk through the life of an account."""
    name, password = f"jane{secrets.token_hex(8)}", secrets.token_urlsafe(16)
    app = App(url, keychain)
    app.sign_up(name, password)
    print("signed up as", name)

    started_again = App(url, keychain)
    assert started_again.come_to_foreground()
    print("still logged in after a restart, on", *started_again.devices())

    new_password = secrets.token_urlsafe(16)
    started_again.change_password(password, new_password)
    assert started_again.come_to_foreground()
    print("changed the password, and kept the new token")

    started_again.log_out()
    assert not started_again.come_to_foreground()
    try:
        started_again.log_in(name, "wrong")
    except Refused as refusal:
        print("a wrong password:", refusal.code)
    started_again.log_in(name, new_password)
    print("logged in again, on the same device")


def log_in(url: str, keychain: Path, username: str) -> None:
    """Log a user in, with a second factor if they have one, and out again."""
    app = App(url, keychain)
    try:
        app.log_in(username, ask("Password: ", hidden=True))
    except SecondFactorRequired as question:
        print("the account asks for one of", *question.methods)
        code = ask("Code of the authenticator app, or recovery code: ")
        app.complete_log_in(
            question, "totp" if len(code) <= len("123 456") else "recovery_code", code
        )
    print("logged in, on", *app.devices())
    app.log_out()


def ask(prompt: str, *, hidden: bool = False) -> str:
    """Ask at the terminal; without one, read a line of the standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return getpass(prompt) if hidden else input(prompt).strip()


if __name__ == "__main__":
    service_url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000"
    with TemporaryDirectory() as directory:
        kept = Path(directory, "keychain.json")
        if len(sys.argv) > 2:  # noqa: PLR2004
            log_in(service_url, kept, sys.argv[2])
        else:
            main(service_url, kept)
