"""The service as a client of an OpenID provider."""

from __future__ import annotations

from collections.abc import Collection

from service.auth.errors import InvalidChallenge
from service.auth.oidc.authorization_requests import authorization_url
from service.auth.oidc.cached import Cached
from service.auth.oidc.client_authentication import authentication_of
from service.auth.oidc.discovery import Metadata, fetch_metadata
from service.auth.oidc.failures import provider_request
from service.auth.oidc.fetching import Fetcher
from service.auth.oidc.flow import Flow
from service.auth.oidc.id_tokens import proven_identity
from service.auth.oidc.key_sets import KeySet, fetch_key_set
from service.auth.oidc.outages import Outage
from service.auth.oidc.signatures import verified
from service.auth.oidc.token_endpoint import code_form, granted
from service.model.identities import ProvenIdentity
from service.settings.oidc import OIDCProvider


class OpenIDClient:
    """The client of ``provider``: a `ProviderClient`. What it knows of it is fetched when needed.

    In development endpoints may be on this machine, without TLS.
    """

    def __init__(self, provider: OIDCProvider, *, is_production: bool) -> None:
        self.provider = provider
        self._fetcher = Fetcher()
        self._token_endpoint = Outage()
        self._is_production = is_production
        self._metadata = Cached(provider.name, self._fetch_metadata)
        self._keys = Cached(provider.name, self._fetch_keys)

    async def authorization_url(self, flow: Flow) -> str:
        """Return the URL at which a flow begins. Raises `ProviderUnavailable`."""
        async with provider_request(self.provider.name):
            self._token_endpoint.require_over()
            metadata = await self._metadata.get()
        return authorization_url(metadata.authorization_endpoint, self.provider, flow)

    async def require_issuer(self, iss: str | None) -> None:
        """Raise `InvalidChallenge` if an answer is not from this provider (RFC 9207, section 2.4).

        Raises `ProviderUnavailable`.
        """
        if iss is not None:
            if not self.provider.issues(iss):
                raise InvalidChallenge
            return
        if not self.provider.sends_iss:
            async with provider_request(self.provider.name):
                metadata = await self._metadata.get()
            if not metadata.authorization_response_iss_parameter_supported:
                return
        raise InvalidChallenge

    async def redeem(self, code: str, flow: Flow) -> ProvenIdentity:
        """Return whose account a code proves.

        Raises `InvalidCredentials` if it proves none, and `ProviderUnavailable`.
        """
        async with provider_request(self.provider.name) as limit:
            self._token_endpoint.require_over()
            metadata = await self._metadata.get()
            client = authentication_of(
                self.provider, metadata.token_endpoint_auth_methods_supported
            )
            form = code_form(code, flow) | client.form
            request = self._fetcher.post(metadata.token_endpoint, form, client.headers)
            answer = await self._token_endpoint.answer(request, limit)
            token = granted(answer, "id_token")
            return await self._identity(token, flow.nonce, [self.provider.client_id])

    async def read_id_token(self, id_token: str, nonce: str) -> ProvenIdentity:
        """Return whose account an ID token proves that the provider has given to a native app.

        Raises `InvalidCredentials` if it proves none, and `ProviderUnavailable`.
        """
        async with provider_request(self.provider.name):
            return await self._identity(id_token, nonce, self.provider.client_ids)

    async def close(self) -> None:
        """Stop what is being fetched, and close all connections."""
        await self._metadata.close()
        await self._keys.close()
        await self._fetcher.close()

    async def _identity(
        self, token: str, nonce: str, client_ids: Collection[str]
    ) -> ProvenIdentity:
        signed = await verified(token, self._keys, self.provider.algorithms)
        return proven_identity(
            signed.payload,
            self.provider,
            key_issuer=signed.key_issuer,
            nonce=nonce,
            client_ids=client_ids,
        )

    async def _fetch_metadata(self) -> Metadata:
        return await fetch_metadata(self._fetcher, self.provider, is_production=self._is_production)

    async def _fetch_keys(self) -> KeySet:
        return await fetch_key_set(self._fetcher, await self._metadata.get())
