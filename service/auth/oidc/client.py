"""What a client of a provider does, whichever protocol the provider has."""

from __future__ import annotations

from typing import Protocol

from service.auth.oidc.flow import Flow
from service.model.identities import ProvenIdentity
from service.settings.oidc import OIDCProvider


class ProviderClient(Protocol):
    """The service as a client of ``provider``."""

    provider: OIDCProvider

    async def authorization_url(self, flow: Flow) -> str:
        """Return the URL at which a flow begins. Raises `ProviderUnavailable`."""

    async def require_issuer(self, iss: str | None) -> None:
        """Raise `InvalidChallenge` if an answer is not from this provider (RFC 9207, section 2.4).

        Raises `ProviderUnavailable`.
        """

    async def redeem(self, code: str, flow: Flow) -> ProvenIdentity:
        """Return whose account a code proves.

        Raises `InvalidCredentials` if it proves none, and `ProviderUnavailable`.
        """

    async def read_id_token(self, id_token: str, nonce: str) -> ProvenIdentity:
        """Return whose account an ID token proves that the provider has given to a native app.

        Raises `InvalidCredentials` if it proves none, and `ProviderUnavailable`.
        """

    async def close(self) -> None:
        """Stop what is being fetched, and close all connections."""
