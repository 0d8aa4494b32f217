"""A mobile app as a client: bearer tokens, kept in the keychain, and a device with a name.

    python examples/mobile.py [URL]                # walks through the life of a new account
    python examples/mobile.py URL USERNAME         # logs a user in, by password and a second factor
    python examples/mobile.py URL --provider NAME  # logs a user in at a provider, in the browser
    python examples/mobile.py URL --sdk NAME       # the same, by an ID token of the provider's SDK

At a provider, `http://127.0.0.1/callback` has to be one of the redirect URIs in the settings. Needs
httpx. The file `keychain.json` stands for the keychain (iOS) or the Keystore (Android).
"""

from __future__ import annotations

import json
import secrets
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from getpass import getpass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
    """The first proof was right, and one of ``methods`` has to complete the log-in."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem)
        self.methods: list[str] = problem["methods"]
        self.challenge_token: str = problem["challenge_token"]


class SignUpNeeded(Refused):
    """Nobody has this account at the provider, which suggests a ``name`` and an ``email``."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem)
        self.challenge_token: str = problem["challenge_token"]
        self.suggestions: dict[str, str] = problem["suggestions"]


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
        self._open_session("/signup", {"username": username, "password": password})

    def log_in(self, username: str, password: str) -> None:
        """Log in. Raises `SecondFactorRequired`, and `Refused`."""
        self._open_session("/login", {"username": username, "password": password})

    def complete_log_in(self, question: SecondFactorRequired, method: str, code: str) -> None:
        """Complete a log-in by a code: the method is `totp` or `recovery_code`. Raises `Refused`.

        After `invalid_code` another one may be tried, after `invalid_challenge` another log-in.
        """
        body = {"challenge_token": question.challenge_token, "method": method, "code": code}
        self._keep_session(self._call("POST", "/login/second-factor", body))

    def begin_at(self, provider: str, redirect_uri: str) -> dict[str, Any]:
        """Begin a log-in at a provider. Raises `Refused`.

        Open the ``authorization_url`` in the browser of the system, in which the user is logged in
        there and sees where they are: never in a web view (RFC 8252, section 8.12). Or give the
        ``nonce`` to the SDK of the provider. Keep the rest in memory: only who has ``flow_secret``
        can complete the log-in.
        """
        body = {"redirect_uri": redirect_uri, "client": "native"}
        begun: dict[str, Any] = self._call("POST", f"/login/oidc/{provider}", body)
        return begun

    def come_back(self, provider: str, begun: dict[str, Any], sent: dict[str, str]) -> None:
        """Complete a log-in with what the provider has sent to the redirect URI.

        Raises `SecondFactorRequired`, `SignUpNeeded`, and `Refused`: with the code
        `provider_refused` if the user has cancelled.
        """
        body = {**sent, "flow_secret": begun["flow_secret"]}
        self._open_session(f"/login/oidc/{provider}/callback", body)

    def log_in_by_id_token(self, provider: str, begun: dict[str, Any], id_token: str) -> None:
        """Complete a log-in with what an SDK gave for the nonce. Raises what `come_back` does."""
        body = {"state": begun["state"], "flow_secret": begun["flow_secret"], "id_token": id_token}
        self._open_session(f"/login/oidc/{provider}/id-token", body)

    def sign_up_at_provider(self, question: SignUpNeeded, username: str) -> None:
        """Create a user with an account at a provider. Raises `Refused`."""
        body = {"challenge_token": question.challenge_token, "username": username}
        self._open_session("/signup/oidc", body)

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

    def _open_session(self, path: str, proof: dict[str, str]) -> None:
        device_token = self._keychain.get("device_token")
        known = {} if device_token is None else {"device_token": device_token}
        body = {**proof, **known, "transport": "bearer", "device_name": DEVICE}
        self._keep_session(self._call("POST", path, body))

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
            raise REFUSALS.get(problem["code"], Refused)(problem)
        return response.json() if response.content else None


REFUSALS = {"second_factor_required": SecondFactorRequired, "sign_up_needed": SignUpNeeded}


class Redirect(HTTPServer):
    """Takes what a provider sends to ``uri``: on a phone, the system opens the app by a link.

    Programs without such links use a port of their own (RFC 8252, section 7.3).
    """

    sent: dict[str, str] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RedirectHandler)
        self.uri = f"http://127.0.0.1:{self.server_port}/callback"

    def wait(self) -> dict[str, str]:
        """Return what was sent. Browsers ask for other things, too."""
        while self.sent is None:
            self.handle_request()
        return self.sent


class RedirectHandler(BaseHTTPRequestHandler):
    """Keeps the parameters of the redirect."""

    server: Redirect

    def do_GET(self) -> None:
        """Take the parameters, and show a page."""
        url = urlsplit(self.path)
        is_redirect = url.path == "/callback"
        if is_redirect:
            self.server.sent = dict(parse_qsl(url.query))
        self.send_response(200 if is_redirect else 404)
        self.end_headers()
        self.wfile.write(b"Go back to the app." if is_redirect else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing: the address has the code."""


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
    """Log a user in by password, and out again."""
    app = App(url, keychain)
    complete(app, lambda: app.log_in(username, ask("Password: ", hidden=True)))


def log_in_at(url: str, keychain: Path, provider: str) -> None:
    """Log a user in at a provider, in the browser, and out again."""
    app = App(url, keychain)
    with Redirect() as redirect:
        begun = app.begin_at(provider, redirect.uri)
        print("open in the browser:", begun["authorization_url"], flush=True)
        complete(app, lambda: app.come_back(provider, begun, redirect.wait()))


def log_in_by_sdk(url: str, keychain: Path, provider: str) -> None:
    """Log a user in by an ID token, and out again."""
    app = App(url, keychain)
    begun = app.begin_at(provider, "http://127.0.0.1/callback")
    print("nonce for the SDK:", begun["nonce"], flush=True)
    complete(app, lambda: app.log_in_by_id_token(provider, begun, ask("ID token: ", hidden=True)))


def complete(app: App, log_in: Callable[[], None]) -> None:
    """Log a user in, with a user name or a second factor if it asks for one, and out again."""
    try:
        log_in()
    except SignUpNeeded as question:
        print("the provider suggests:", question.suggestions.get("name"))
        app.sign_up_at_provider(question, ask("User name: "))
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
    parser = ArgumentParser()
    parser.add_argument("url", nargs="?", default="http://localhost:8000")
    parser.add_argument("username", nargs="?")
    parser.add_argument("--provider")
    parser.add_argument("--sdk", metavar="PROVIDER")
    arguments = parser.parse_args()
    with TemporaryDirectory() as directory:
        kept = Path(directory, "keychain.json")
        try:
            if arguments.provider:
                log_in_at(arguments.url, kept, arguments.provider)
            elif arguments.sdk:
                log_in_by_sdk(arguments.url, kept, arguments.sdk)
            elif arguments.username:
                log_in(arguments.url, kept, arguments.username)
            else:
                main(arguments.url, kept)
        except Refused as refusal:
            sys.exit(f"{refusal.code}: {refusal}")
