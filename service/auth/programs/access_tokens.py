"""Access tokens: JWTs (RFC 9068) that tell another program, for a minute, who a user is.

The program verifies them by itself, without asking the service: one that was issued is valid until
it expires, even if its session ends before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from joserfc import jwt
from msgspec import Struct

from service.auth.errors import FieldCode, InvalidField, NotAuthenticated, SigningUnavailable
from service.auth.programs.amr import amr_of
from service.auth.programs.signing_keys import ALGORITHM, TOKEN_LIFETIME, SigningKeys
from service.auth.sessions import LiveSession
from service.settings.jwt import Audiences, Issuer

MEDIA_TYPE = "at+jwt"


class Audience(str):
    """The audience of an access token: one of those that the settings list."""

    __slots__ = ()


class AudiencePolicy:
    """Which audiences there are."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences

    def accept(self, text: str) -> Audience:
        """Return an audience, character by character. Raises `InvalidField`."""
        if text not in self._audiences:
            raise InvalidField(FieldCode.NOT_ALLOWED, "No tokens are issued for this audience.")
        return Audience(text)


class AccessToken(Struct, frozen=True, kw_only=True):
    """A signed token, and when it expires. Its ``repr`` hides it."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return "AccessToken(…)"


class AccessTokens:
    """Issues access tokens as ``issuer``, signed by the key of the moment."""

    def __init__(self, signing_keys: SigningKeys, issuer: Issuer) -> None:
        self._signing_keys = signing_keys
        self._issuer = issuer

    async def issue(self, live: LiveSession, audience: Audience) -> AccessToken:
        """Issue a token for the user of a session.

        Raises `NotAuthenticated` if the session ended meanwhile, and `SigningUnavailable`.
        """
        signing = await self._signing_keys.signing(live.session.id)
        if not signing.is_live:
            raise NotAuthenticated
        if signing.signer is None:
            raise SigningUnavailable
        # Without fractions of a second, which not all verifiers read.
        issued_at = signing.now.replace(microsecond=0)
        expires_at = issued_at + TOKEN_LIFETIME
        header = {"typ": MEDIA_TYPE, "alg": ALGORITHM, "kid": str(signing.signer.key_id)}
        claims = {
            **self._claims_of(live, audience),
            "iat": _seconds(issued_at),
            "exp": _seconds(expires_at),
        }
        key = self._signing_keys.open(signing.signer)
        token = jwt.encode(header, claims, key, algorithms=[ALGORITHM])
        return AccessToken(token=token, expires_at=expires_at)

    def _claims_of(self, live: LiveSession, audience: Audience) -> dict[str, Any]:
        """Return the claims of a session (RFC 9068, section 2.2), without those of time.

        The service registers no clients: ``client_id`` is the audience, whose own user interface
        asks for the token.
        """
        session = live.session
        return {
            "iss": str(self._issuer),
            "sub": str(live.user.id),
            "aud": str(audience),
            "client_id": str(audience),
            "jti": str(uuid4()),
            "sid": str(session.id),
            "amr": amr_of(session.methods),
            "auth_time": _seconds(session.authenticated_at),
            "roles": live.user.roles,
        }


def _seconds(moment: datetime) -> int:
    """Return a NumericDate (RFC 7519, section 2)."""
    return int(moment.timestamp())
