"""The URL at which a flow begins (RFC 6749, section 4.1.1; OpenID Connect Core, 3.1.2.1)."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlencode

from service.auth import base64url
from service.auth.oidc.flow import Flow
from service.settings.oidc import OIDCProvider
from service.settings.oidc_presets import Preset

# What asks the user to authenticate anew. Some providers refuse values of ``prompt`` that they do
# not have; these let the user choose the account, at least.
_CHOOSES = {"prompt": "select_account"}
_REAUTHENTICATES = {
    None: {"max_age": "0", "prompt": "login"},
    Preset.GITLAB: {"max_age": "0", "prompt": "login"},
    Preset.MICROSOFT: {"prompt": "login"},
    Preset.APPLE: {"max_age": "0"},
    Preset.GOOGLE: _CHOOSES,
    Preset.GITHUB: _CHOOSES,
}


def authorization_url(endpoint: str, provider: OIDCProvider, flow: Flow) -> str:
    """Return the URL at which a flow begins, with PKCE (RFC 7636, section 4.3)."""
    parameters = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": flow.redirect_uri,
        "state": flow.state,
        "code_challenge": base64url.encode(sha256(flow.verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    if provider.scopes:
        parameters["scope"] = " ".join(provider.scopes)
    if provider.has_id_tokens:
        parameters["nonce"] = flow.nonce
    if flow.reauthenticates:
        parameters |= _REAUTHENTICATES[provider.preset]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"
