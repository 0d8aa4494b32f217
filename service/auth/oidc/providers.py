"""The providers of the settings, and the clients of them."""

from __future__ import annotations

from service.auth.errors import NoSuchProvider
from service.auth.oidc.client import ProviderClient
from service.auth.oidc.fetching import Fetcher
from service.auth.oidc.github_client import GitHubClient
from service.auth.oidc.openid_client import OpenIDClient
from service.settings.oidc import OIDCProvider, OIDCSettings


class Providers:
    """A client for each provider. Nothing is fetched before somebody logs in at one."""

    def __init__(self, settings: OIDCSettings, *, is_production: bool) -> None:
        self._is_production = is_production
        # Loading the authorities takes time that only those pay who have a provider.
        self._fetcher = Fetcher() if settings.providers else None
        self._clients = {
            name: self._client(provider, self._fetcher)
            for name, provider in settings.providers.items()
            if self._fetcher is not None
        }

    @property
    def names(self) -> list[str]:
        """The names of all providers."""
        return list(self._clients)

    def names_of(self, issuer: str) -> list[str]:
        """Return the names of the providers whose accounts are of an issuer."""
        return [name for name, each in self._clients.items() if each.provider.issues(issuer)]

    def get(self, name: str) -> ProviderClient:
        """Return the client of a provider. Raises `NoSuchProvider`."""
        client = self._clients.get(name)
        if client is None:
            raise NoSuchProvider
        return client

    def names_of(self, issuer: str) -> list[str]:
        """Return the names of the providers whose accounts are of an issuer."""
        return [name for name, each in self._clients.items() if each.provider.issues(issuer)]

    async def close(self) -> None:
        """Close all connections, and stop what is being fetched."""
        for client in self._clients.values():
            await client.close()
        if self._fetcher is not None:
            await self._fetcher.close()

    def _client(self, provider: OIDCProvider, fetcher: Fetcher) -> OpenIDClient | GitHubClient:
        if not provider.has_id_tokens:
            return GitHubClient(provider, fetcher)
        return OpenIDClient(provider, fetcher, is_production=self._is_production)
