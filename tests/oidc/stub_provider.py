"""An OpenID provider, and a GitHub, that a test controls: a real HTTP server on this machine.

A test takes codes and ID tokens from it without logging in, and changes its answers: `answers` has
those that replace the usual ones, by path; the tables of its documents can be changed, too.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

from tests.oidc.stub_server import Answer, Request, StubServer

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
TOKEN = "/token"
GITHUB_TOKEN = "/login/oauth/access_token"
GITHUB_USER = "/api/v3/user"

CLIENT_ID = "web"
CLIENT_SECRET = "a secret of the client"
ACCESS_TOKEN = "an-access-token"
REFRESH_TOKEN = "a-refresh-token"

FORM = "application/x-www-form-urlencoded"


class _Registry(JWSRegistry):
    """Signs whatever header there is, by whatever algorithm."""

    max_header_length = 64 * 1024

    def __init__(self) -> None:
        super().__init__(algorithms=list(self.algorithms), strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


class Grant(Struct, kw_only=True):
    """What a code stands for: claims of an ID token, or the user of a GitHub."""

    claims: dict[str, Any]
    redirect_uri: str | None = None
    challenge: str | None = None


class StubProvider:
    """A provider whose issuer is its address."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = StubServer(self._answer_to, tls)
        self.url = self._server.url
        self.issuer = self.url
        self.start, self.close = self._server.start, self._server.close
        self.reset()

    def reset(self) -> None:
        """Forget what a test has changed, and what it has sent."""
        self.requests: list[Request] = []
        self.token_requests: list[dict[str, str]] = []
        self.answers: dict[str, Answer] = {}
        self.client_secret = CLIENT_SECRET
        self.key: Key = rsa_key("first")
        self.key_set: list[dict[str, Any]] = [public(self.key, kid="first")]
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "first"}
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": self.url + TOKEN,
            "jwks_uri": self.url + KEYS,
        }
        self._grants: dict[str, Grant] = {}

    def environment(self, name: str = "STUB", **variables: str) -> dict[str, str]:
        """Return the settings of a service that has this provider."""
        known = {
            "issuer": self.issuer,
            "client_ids": CLIENT_ID,
            "client_secret": self.client_secret,
            "redirect_uris": "https://app.example/callback",
        }
        return {
            f"OSTIARY_OIDC_{name}_{key.upper()}": text for key, text in (known | variables).items()
        }

    def code_for(self, nonce: str = "", **claims: Any) -> str:
        """Return a code, as if the user had logged in: it gives an ID token with these claims."""
        return self._code(Grant(claims={"nonce": nonce, **claims}))

    def code_for_account(self, **account: Any) -> str:
        """Return a code of a GitHub whose user this is."""
        return self._code(Grant(claims=account))

    def log_in(self, authorization_url: str, **claims: Any) -> dict[str, str]:
        """Return what the app gets at the redirect URI after a log-in at the URL of a flow."""
        query = dict(parse_qsl(urlsplit(authorization_url).query))
        assert query["client_id"] == CLIENT_ID
        nonce = {"nonce": query["nonce"]} if "nonce" in query else {}
        grant = Grant(
            claims=nonce | claims,
            redirect_uri=query["redirect_uri"],
            challenge=query["code_challenge"],
        )
        return {"code": self._code(grant), "state": query["state"]}

    def id_token(self, nonce: str, **claims: Any) -> str:
        """Return an ID token. A claim that is ``...`` is left out."""
        now = self.now()
        usual = {"iss": self.issuer, "sub": "7", "aud": CLIENT_ID, "exp": now + 300, "iat": now}
        both = usual | {"nonce": nonce} | claims
        return self.signed({name: value for name, value in both.items() if value is not ...})

    def signed(self, claims: dict[str, Any] | bytes) -> str:
        """Return a token with the header and by the key of the moment."""
        payload = claims if isinstance(claims, bytes) else json.dumps(claims)
        return jws.serialize_compact(self.header, payload, self.key, registry=_Registry())

    def rotate(self, key: Key, *, alg: str = "RS256", kid: str = "second") -> None:
        """Sign by another key from now on, which is published beside the others."""
        self.key = key
        self.header = {"alg": alg, "kid": kid}
        self.key_set = [*self.key_set, public(key, kid=kid)]

    def now(self) -> int:
        """Return the time as tokens have it."""
        return int(time.time())

    def count(self, path: str) -> int:
        """Return how many requests there were at a path."""
        return sum(request.path == path for request in self.requests)

    def _answer_to(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.path in {TOKEN, GITHUB_TOKEN}:
            self.token_requests.append(request.form)
        if request.path in self.answers:
            return self.answers[request.path]
        if request.path.endswith(DISCOVERY):
            return Answer(document=self.metadata)
        usual = {
            KEYS: lambda _: Answer(document={"keys": self.key_set}),
            TOKEN: self._tokens,
            GITHUB_TOKEN: self._github_tokens,
            GITHUB_USER: self._github_user,
        }
        return usual.get(request.path, _not_found)(request)

    def _tokens(self, request: Request) -> Answer:
        if _client_of(request) != (CLIENT_ID, self.client_secret):
            return Answer(status=401, document={"error": "invalid_client"})
        grant = self._redeemed(request)
        if grant is None:
            return Answer(status=400, document={"error": "invalid_grant"})
        token = self.id_token(**grant.claims)
        granted = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": token}
        # Some providers issue a refresh token that was not requested.
        return Answer(document=granted | {"refresh_token": REFRESH_TOKEN})

    def _github_tokens(self, request: Request) -> Answer:
        grant = self._redeemed(request)
        if grant is None:
            return Answer(
                text=urlencode({"error": "bad_verification_code"}), headers={"Content-Type": FORM}
            )
        token = self._code(grant)
        return Answer(document={"access_token": token, "token_type": "bearer", "scope": ""})

    def _github_user(self, request: Request) -> Answer:
        token = request.headers["authorization"].removeprefix("Bearer ")
        return Answer(document=self._grants.pop(token).claims)

    def _code(self, grant: Grant) -> str:
        code = secrets.token_urlsafe()
        self._grants[code] = grant
        return code

    def _redeemed(self, request: Request) -> Grant | None:
        """Return what a code stands for, once; ``None`` unless the request is that of its flow."""
        grant = self._grants.pop(request.form.get("code", ""), None)
        if grant is None or request.form["grant_type"] != "authorization_code":
            return None
        if grant.redirect_uri not in {None, request.form["redirect_uri"]}:
            return None
        digest = sha256(request.form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        return grant if grant.challenge in {None, challenge} else None


@contextmanager
def running_stub(tls: ssl.SSLContext | None = None) -> Iterator[StubProvider]:
    """Run a provider; with ``tls`` it is ``https://localhost``."""
    provider = StubProvider(tls)
    provider.start()
    try:
        yield provider
    finally:
        provider.close()


@cache
def rsa_key(name: str) -> RSAKey:
    """Return a key that stays the same for a name: to make one takes long."""
    return RSAKey.generate_key(2048)


@cache
def ec_key(name: str) -> ECKey:
    """Return a key of P-256 that stays the same for a name."""
    return ECKey.generate_key("P-256")


def public(key: Key, **members: Any) -> dict[str, Any]:
    """Return the public part of a key, with further members: ``kid``, ``use``, ``alg``."""
    return {**key.as_dict(private=False), **members}


def _not_found(_: Request) -> Answer:
    return Answer(status=404, text="not found")


def _client_of(request: Request) -> tuple[str, str]:
    """Return the client id and secret of a request, by either method of RFC 6749."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("Basic "):
        client_id, _, secret = b64decode(authorization[6:]).decode().partition(":")
        return unquote_plus(client_id), unquote_plus(secret)
    return request.form.get("client_id", ""), request.form.get("client_secret", "")
