"""Options for ``navigator.credentials``, as JSON (Web Authentication, sections 5.4 and 5.5).

They are written here, for ``webauthn`` (3.0) leaves out transports that it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.auth import base64url
from service.auth.factors.cose_keys import ALGORITHMS
from service.model.passkeys import Passkey
from service.settings.relying_party import RelyingParty

# How long browsers wait for the user, in seconds: less than the challenge can be answered.
TIMEOUT = 300


def creation_options(
    relying_party: RelyingParty,
    challenge: bytes,
    *,
    user_handle: bytes,
    username: str,
    exclude: Sequence[Passkey],
) -> dict[str, Any]:
    """Return the options for ``create()``, of a passkey on none of the devices of ``exclude``."""
    return {
        "rp": {"id": str(relying_party.id), "name": str(relying_party.name)},
        "user": {
            "id": base64url.encode(user_handle),
            "name": username,
            "displayName": username,
        },
        "challenge": base64url.encode(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": int(each)} for each in ALGORITHMS],
        "timeout": TIMEOUT * 1000,
        "excludeCredentials": [_descriptor(each) for each in exclude],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(
    relying_party: RelyingParty, challenge: bytes, *, allow: Sequence[Passkey]
) -> dict[str, Any]:
    """Return the options for ``get()``; without ``allow``, of any passkey of the relying party."""
    return {
        "challenge": base64url.encode(challenge),
        "timeout": TIMEOUT * 1000,
        "rpId": str(relying_party.id),
        "allowCredentials": [_descriptor(each) for each in allow],
        "userVerification": "required",
    }


def _descriptor(passkey: Passkey) -> dict[str, Any]:
    credential_id = base64url.encode(passkey.credential_id)
    # An empty list of transports would mean that there is no way to reach it.
    transports = {"transports": passkey.transports} if passkey.transports else {}
    return {"type": "public-key", "id": credential_id, **transports}
