"""HTTP requests to providers: bounded in size, never redirected, without state between them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from service.auth.oidc.failures import TIME_LIMIT, FetchFailed

# Bytes of a body: the documents of providers have some thousands.
MAX_SIZE = 1024 * 1024

# Connections to one provider, for each worker: one that hangs leaves the others theirs.
MAX_CONNECTIONS = 20

_HEADERS = {
    "Accept": "application/json",
    # A compressed body may be far larger than what is received, and its size is limited.
    "Accept-Encoding": "identity",
    # A provider may close a kept connection just as a code is sent, and no code is sent twice.
    "Connection": "close",
    "User-Agent": "ostiary",
}

_OK = 200
_SERVER_ERROR = 500

_T = TypeVar("_T")


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a request. Its ``repr`` hides it."""

    status: int
    media_type: str
    body: bytes

    @property
    def is_ok(self) -> bool:
        """Whether the status is 200, as that of all documents and tokens is."""
        return self.status == _OK

    def read(self, kind: type[_T]) -> _T:
        """Return the JSON document in it. Raises `FetchFailed`."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FetchFailed(f"status {self.status}, not the JSON expected: {error}") from None

    def __repr__(self) -> str:
        return f"Answer({self.status})"


class Fetcher:
    """Sends requests to a provider. The caller limits their time.

    Of the variables by which other programs are told of proxies, certificates and passwords, only
    ``SSL_CERT_FILE`` counts: the authorities in it are trusted.
    """

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a request, whatever its status is. Raises `FetchFailed`."""
        return await self._send("GET", url, headers, None)

    async def post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a form, whatever its status is. Raises `FetchFailed`."""
        return await self._send("POST", url, headers, form)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
    ) -> Answer:
        try:
            client = await self._opened()
            request = client.build_request(method, url, headers=headers, data=form)
            response = await client.send(request, stream=True)
            try:
                body = await _body(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            # `UnicodeError`: of a host that looks like an A-label and is none (encode/httpx, 0.28).
            # `OSError`: of TLS after the handshake, as from a server of TLS 1.3 that wants a
            # certificate (encode/httpcore, 1.0.9).
            raise FetchFailed(f"{url}: {type(error).__name__} {error}") from None
        media_type, _, _ = response.headers.get("content-type", "").partition(";")
        return Answer(status=response.status_code, media_type=media_type.strip().lower(), body=body)

    async def _opened(self) -> httpx.AsyncClient:
        """Return the client, which is made for the first request.

        Loading the authorities takes a tenth of a second, for which nobody else is to wait.
        """
        async with self._opening:
            if self._client is None:
                self._client = _client(await asyncio.to_thread(ssl.create_default_context))
            return self._client


def _client(authorities: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=authorities,
        headers=_HEADERS,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
        timeout=TIME_LIMIT,
        trust_env=False,
    )


async def _body(response: httpx.Response) -> bytes:
    """Return the body of an answer. Raises `FetchFailed` if it is too large, or compressed."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed("the answer is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        # The next one may be there already, and after it a million of one byte each.
        await asyncio.sleep(0)
        if len(body) > MAX_SIZE:
            raise FetchFailed(f"the answer has more than {MAX_SIZE} bytes")
    return bytes(body)
