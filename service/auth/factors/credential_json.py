"""The JSON of a credential, as ``PublicKeyCredential.toJSON()`` returns it (section 5.1).

Members that are not read here are ignored, whatever they are: browsers and password managers send
others, and new ones.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct, field
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    PublicKeyCredentialType,
    RegistrationCredential,
)

from service.auth import base64url

# Web Authentication, section 7.1, step on the length of the credential id.
MAX_CREDENTIAL_ID = 1023

# Transports are kept as they are, for new ones appear: hints, of which browsers ignore the unknown.
MAX_TRANSPORTS, MAX_TRANSPORT_LENGTH = 16, 32


class _Identified(Struct):
    id: str


class _AttestationResponse(Struct):
    client_data_json: str = field(name="clientDataJSON")
    attestation_object: str = field(name="attestationObject")
    transports: Any = None


class _Registration(Struct):
    id: str
    raw_id: str = field(name="rawId")
    type: Literal["public-key"]
    response: _AttestationResponse


class _AssertionResponse(Struct):
    client_data_json: str = field(name="clientDataJSON")
    authenticator_data: str = field(name="authenticatorData")
    signature: str
    user_handle: str | None = field(name="userHandle", default=None)


class _Assertion(Struct):
    id: str
    raw_id: str = field(name="rawId")
    type: Literal["public-key"]
    response: _AssertionResponse


def read_credential_id(credential: object) -> bytes:
    """Return the credential id. Raises `ValueError`, as `msgspec.ValidationError` is."""
    return _credential_id(msgspec.convert(credential, _Identified).id)


def read_registration(credential: object) -> RegistrationCredential:
    """Return what a browser got from ``create()``, for ``webauthn``. Raises `ValueError`."""
    sent = msgspec.convert(credential, _Registration)
    return RegistrationCredential(
        id=sent.id,
        raw_id=_credential_id(sent.raw_id),
        response=AuthenticatorAttestationResponse(
            client_data_json=base64url.decode(sent.response.client_data_json),
            attestation_object=base64url.decode(sent.response.attestation_object),
        ),
        type=PublicKeyCredentialType.PUBLIC_KEY,
    )


def read_transports(credential: object) -> list[str]:
    """Return the transports of a new credential; none if they are no list. Raises `ValueError`."""
    sent = msgspec.convert(credential, _Registration).response.transports
    strings = [each for each in sent if isinstance(each, str)] if isinstance(sent, list) else []
    return list(dict.fromkeys(filter(_is_transport, strings)))[:MAX_TRANSPORTS]


def read_assertion(credential: object) -> AuthenticationCredential:
    """Return what a browser got from ``get()``, for ``webauthn``. Raises `ValueError`."""
    sent = msgspec.convert(credential, _Assertion)
    handle = sent.response.user_handle
    return AuthenticationCredential(
        id=sent.id,
        raw_id=_credential_id(sent.raw_id),
        response=AuthenticatorAssertionResponse(
            client_data_json=base64url.decode(sent.response.client_data_json),
            authenticator_data=base64url.decode(sent.response.authenticator_data),
            signature=base64url.decode(sent.response.signature),
            user_handle=None if handle is None else base64url.decode(handle),
        ),
        type=PublicKeyCredentialType.PUBLIC_KEY,
    )


def _credential_id(text: str) -> bytes:
    credential_id = base64url.decode(text)
    if not 0 < len(credential_id) <= MAX_CREDENTIAL_ID:
        raise ValueError(f"the credential id has {len(credential_id)} bytes")
    return credential_id


def _is_transport(text: str) -> bool:
    return 0 < len(text) <= MAX_TRANSPORT_LENGTH and text.isascii() and text.isprintable()
