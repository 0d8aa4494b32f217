"""The providers of the settings, and the clients of them."""

from __future__ import annotations

from service.auth.errors import NoSuchProvider
from service.auth.oidc.client import ProviderClient
from service.auth.oidc.github_client import GitHubClient
from service.auth.oidc.openid_client import OpenIDClient
from service.settings.oidc import OIDCProvider, OIDCSettings


class Providers:
    """A client for each provider. Nothing is fetched before somebody logs in at one."""

    def __init__(self, settings: OIDCSettings, *, is_production: bool) -> None:
        self._clients = {
            name: _client(provider, is_production=is_production)
            for name, provider in settings.providers.items()
        }

    @property
    def names(self) -> list[str]:
        """The names of all providers."""
        return list(self._clients)

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


def _client(provider: OIDCProvider, *, is_production: bool) -> ProviderClient:
    if not provider.has_id_tokens:
        return GitHubClient(provider)
    return OpenIDClient(provider, is_production=is_production)
