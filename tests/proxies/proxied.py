"""The application as clients reach it: through a proxy, by TLS."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing

import httpx

from tests.factories import log_in, sign_up
from tests.proxies.application import Application, Seen
from tests.proxies.recipes import HOST
from tests.services import NO_CONNECTION_IS_CLOSED, PATIENCE, Service

COOKIE = "__Host-auth_session"
ORIGIN = f"https://{HOST}"
FOREIGN = "https://evil.example"

Headers = list[tuple[str, str]]


def unverified() -> ssl.SSLContext:
    """Return a context that takes any certificate: what is tested is behind it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Proxied:
    """The proxy on a port of this machine, the service and the application."""

    def __init__(self, port: int, service: Service, application: Application) -> None:
        self.port = port
        self.service = service
        self.application = application
        self._client = httpx.Client(
            base_url=f"https://127.0.0.1:{port}",
            verify=unverified(),
            timeout=PATIENCE,
            limits=NO_CONNECTION_IS_CLOSED,
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def send(
        self, method: str, path: str = "/", headers: Headers | None = None, body: bytes = b""
    ) -> httpx.Response:
        """Send a request with just these headers, and the host of the application."""
        self._client.cookies.clear()
        return self._client.request(
            method,
            path,
            headers=[("Host", HOST), *(headers or [])],
            content=body or None,
            extensions={"sni_hostname": HOST},
        )

    def get(self, *headers: tuple[str, str]) -> httpx.Response:
        return self.send("GET", "/", list(headers))

    def seen(self) -> Seen:
        """Return the only request that the application has received since it was last asked."""
        (seen,) = self.application.seen
        self.application.seen.clear()
        return seen

    def has_seen_nothing(self) -> bool:
        return not self.application.seen

    def open_websocket(self, *headers: tuple[str, str]) -> bytes:
        """Send the handshake of a WebSocket; return the beginning of the answer."""
        return self.upgrade(
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            *headers,
        )

    def upgrade(self, *headers: tuple[str, str]) -> bytes:
        """Ask for another protocol on the connection; return the beginning of the answer."""
        sent: Headers = [("Host", HOST), ("Connection", "Upgrade, HTTP2-Settings"), *headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in sent)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        with closing(unverified().wrap_socket(plain, server_hostname=HOST)) as connection:
            connection.sendall(f"GET /socket HTTP/1.1\r\n{head}\r\n".encode())
            return connection.recv(4096)

    def session(self, username: str = "Alice") -> tuple[str, str]:
        """Sign a user up; return the header with the cookie of their session."""
        with self.service.client() as client:
            return "Cookie", f"{COOKIE}={sign_up(client, username).cookies[COOKIE]}"

    def user_id(self, cookie: tuple[str, str]) -> str:
        with self.service.client() as client:
            user_id: str = client.get("/me", headers=[cookie]).json()["user"]["id"]
            return user_id

    def bearer_token(self) -> str:
        with self.service.client() as client:
            token: str = log_in(client, transport="bearer").json()["session"]["token"]
            return token
