"""The configuration of a provider (OpenID Connect Discovery 1.0, section 4)."""

from __future__ import annotations

from msgspec import Struct

from service.auth.oidc.failures import FetchFailed
from service.auth.oidc.fetching import Fetcher
from service.settings.oidc import OIDCProvider
from service.settings.oidc_values import DISCOVERY_PATH, TENANT_ID, is_provider_url

# Microsoft's tenant where any will do.
ANY_TENANT = "common"


class Metadata(Struct, frozen=True, kw_only=True):
    """What a provider says of itself, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool | None = None


async def fetch_metadata(
    fetcher: Fetcher, provider: OIDCProvider, *, is_production: bool
) -> Metadata:
    """Return the configuration of a provider. Raises `FetchFailed`, also if it is another's.

    In development endpoints may be on this machine, without TLS.
    """
    url = _url(provider.issuer)
    answer = await fetcher.get(url)
    if not answer.is_ok:
        raise FetchFailed(f"{url} has status {answer.status}")
    metadata = answer.read(Metadata)
    if metadata.issuer != provider.issuer:
        raise FetchFailed(f"the configuration is of another issuer, {metadata.issuer!r}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        endpoint: str = getattr(metadata, name)
        if not is_provider_url(endpoint, allow_loopback=not is_production):
            raise FetchFailed(f"{name} is not a URL of https, but {endpoint!r}")
    return metadata


def _url(issuer: str) -> str:
    return issuer.replace(TENANT_ID, ANY_TENANT).removesuffix("/") + DISCOVERY_PATH
