"""The service as a client of GitHub, which is no OpenID provider: it has no ID tokens.

See https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from service.auth.errors import InvalidChallenge
from service.auth.oidc.authorization_requests import authorization_url
from service.auth.oidc.client_authentication import POST, authentication_of
from service.auth.oidc.failures import FetchFailed, ProofRefused, provider_request
from service.auth.oidc.fetching import Fetcher
from service.auth.oidc.flow import Flow
from service.auth.oidc.id_tokens import suggestion
from service.auth.oidc.outages import Outage
from service.auth.oidc.token_endpoint import code_form, granted
from service.model.identities import ProvenIdentity
from service.settings.oidc import OIDCProvider

MEDIA_TYPE = "application/vnd.github+json"


class Account(Struct, frozen=True, kw_only=True):
    """An account of GitHub. Only the id stays: a login can be another's tomorrow."""

    id: Annotated[int, Meta(gt=0, lt=2**53)]
    login: Any = None
    name: Any = None
    email: Any = None


class GitHubClient:
    """The client of ``provider``, a GitHub: a `ProviderClient`."""

    def __init__(self, provider: OIDCProvider) -> None:
        self.provider = provider
        self._fetcher = Fetcher()
        self._token_endpoint = Outage()
        self._user_endpoint = Outage()
        self._base = provider.issuer.removesuffix("/") + "/login/oauth"

    async def authorization_url(self, flow: Flow) -> str:
        """Return the URL at which a flow begins. Raises `ProviderUnavailable`."""
        async with provider_request(self.provider.name):
            self._require_no_outage()
        return authorization_url(f"{self._base}/authorize", self.provider, flow)

    async def require_issuer(self, iss: str | None) -> None:
        """Raise `InvalidChallenge` if an answer is not from this provider (RFC 9207, section 2.4).

        GitHub names itself by the URL of its authorization server, if at all: it did so for some
        days in April 2026 (langfuse/langfuse#13091).
        """
        if iss is None and self.provider.sends_iss:
            raise InvalidChallenge
        if iss not in {None, self.provider.issuer, self._base}:
            raise InvalidChallenge

    async def redeem(self, code: str, flow: Flow) -> ProvenIdentity:
        """Return whose account a code proves.

        Raises `InvalidCredentials` if it proves none, and `ProviderUnavailable`.
        """
        async with provider_request(self.provider.name) as limit:
            self._require_no_outage()
            client = authentication_of(self.provider, [POST])
            form = code_form(code, flow) | client.form
            request = self._fetcher.post(f"{self._base}/access_token", form)
            answer = await self._token_endpoint.answer(request, limit)
            account = await self._account(granted(answer, "access_token"), limit)
        return ProvenIdentity(
            issuer=self.provider.issuer,
            subject=str(account.id),
            email=suggestion(account.email),
            name=suggestion(account.name) or suggestion(account.login),
        )

    async def read_id_token(self, id_token: str, nonce: str) -> ProvenIdentity:
        """Raise `InvalidCredentials`: GitHub has no ID tokens."""
        async with provider_request(self.provider.name):
            raise ProofRefused("the provider has no ID tokens")

    async def close(self) -> None:
        """Close all connections."""
        await self._fetcher.close()

    def _require_no_outage(self) -> None:
        self._token_endpoint.require_over()
        self._user_endpoint.require_over()

    async def _account(self, access_token: str, limit: asyncio.Timeout) -> Account:
        headers = {"Authorization": f"Bearer {access_token}", "Accept": MEDIA_TYPE}
        request = self._fetcher.get(_user_url(self.provider.issuer), headers)
        answer = await self._user_endpoint.answer(request, limit)
        if not answer.is_ok:
            raise FetchFailed(f"the user of the access token has status {answer.status}")
        try:
            return msgspec.convert(answer.read(dict[str, Any]), Account)
        except msgspec.ValidationError:
            raise ProofRefused("the account has no id that is a whole number") from None


def _user_url(issuer: str) -> str:
    """Return the URL of the user of an access token, also of a GitHub Enterprise."""
    host = urlsplit(issuer).netloc
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}/user"
    return f"{issuer.removesuffix('/')}/api/v3/user"
