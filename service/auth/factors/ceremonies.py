"""Ceremonies: registration of a passkey and authentication by one (sections 7.1 and 7.2).

``webauthn`` (3.0) verifies them; what it leaves to its callers is checked here and in the files
beside. It can raise exceptions of any type for what a client sends: each is a refusal.

No attestation is asked for, and none is trusted: browsers then send the format ``none``, or a
statement that the new key itself has signed. Any statement is verified, since one that is wrong
comes from no authenticator; but nothing that it proves is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import parse_cbor
from webauthn.helpers.structs import CredentialDeviceType

from service.auth.errors import InvalidCredentials
from service.auth.factors import passkey_options
from service.auth.factors.client_data import check_client_data
from service.auth.factors.cose_keys import check_public_key
from service.auth.factors.credential_json import (
    read_assertion,
    read_credential_id,
    read_registration,
    read_transports,
)
from service.auth.factors.passkey_refusals import not_allowed, refusing
from service.auth.factors.plain_cbor import check_authenticator_data, check_plain_cbor
from service.model.passkeys import NewPasskey, Passkey
from service.settings.relying_party import RelyingParty


class Assertion(Struct, frozen=True, kw_only=True):
    """What an authenticator said of itself as it signed.

    ``has_count_gone_back``: its sign count did not rise, although it counts. The passkey may have
    been copied (section 6.1.1), or two requests may have overtaken each other.
    """

    sign_count: int
    is_backup_eligible: bool
    is_backed_up: bool
    has_count_gone_back: bool


class Ceremonies:
    """The ceremonies of a relying party."""

    def __init__(self, relying_party: RelyingParty) -> None:
        self._relying_party = relying_party
        self._origins = sorted(relying_party.origins)

    @property
    def rp_id(self) -> str:
        """The domain that its passkeys belong to."""
        return str(self._relying_party.id)

    def creation_options(
        self, challenge: bytes, *, user_handle: bytes, username: str, exclude: Sequence[Passkey]
    ) -> dict[str, Any]:
        """Return the options for ``PublicKeyCredential.parseCreationOptionsFromJSON``."""
        rp = self._relying_party
        return passkey_options.creation_options(
            rp, challenge, user_handle=user_handle, username=username, exclude=exclude
        )

    def request_options(self, challenge: bytes, *, allow: Sequence[Passkey] = ()) -> dict[str, Any]:
        """Return the options for ``PublicKeyCredential.parseRequestOptionsFromJSON``."""
        return passkey_options.request_options(self._relying_party, challenge, allow=allow)

    def credential_id_of(self, credential: dict[str, Any]) -> bytes:
        """Return the credential id by which a passkey is found. Raises `ValidationFailed`."""
        with refusing(not_allowed()):
            return read_credential_id(credential)

    def verify_registration(self, credential: dict[str, Any], challenge: bytes) -> NewPasskey:
        """Return the passkey that was made for a challenge. Raises `ValidationFailed`."""
        with refusing(not_allowed()):
            sent = read_registration(credential)
            check_client_data(sent.response.client_data_json)
            check_plain_cbor(sent.response.attestation_object)
            check_authenticator_data(parse_cbor(sent.response.attestation_object)["authData"])
            verified = verify_registration_response(
                credential=sent,
                expected_challenge=challenge,
                expected_rp_id=self._relying_party.id,
                expected_origin=self._origins,
                require_user_verification=True,
            )
            if verified.credential_id != sent.raw_id:
                raise ValueError("the credential id is not that of the authenticator data")
            check_public_key(verified.credential_public_key)
            return NewPasskey(
                credential_id=verified.credential_id,
                public_key=verified.credential_public_key,
                sign_count=verified.sign_count,
                transports=read_transports(credential),
                is_backup_eligible=_is_eligible(verified.credential_device_type),
                is_backed_up=verified.credential_backed_up,
                aaguid=UUID(verified.aaguid),
            )

    def verify_assertion(
        self,
        credential: dict[str, Any],
        challenge: bytes,
        passkey: Passkey,
        *,
        user_handle: bytes,
        is_handle_required: bool,
    ) -> Assertion:
        """Check that a passkey of the user with this handle has answered a challenge.

        The handle is required where nothing else names the user (section 7.2, step 6). Raises
        `InvalidCredentials`.
        """
        with refusing(InvalidCredentials()):
            sent = read_assertion(credential)
            if sent.raw_id != passkey.credential_id:
                raise ValueError("the credential id is that of another passkey")
            handle = sent.response.user_handle
            if handle is None and is_handle_required:
                raise ValueError("the user handle is missing")
            if handle is not None and handle != user_handle:
                raise ValueError("the user handle is that of another user")
            check_client_data(sent.response.client_data_json)
            check_authenticator_data(sent.response.authenticator_data)
            verified = verify_authentication_response(
                credential=sent,
                expected_challenge=challenge,
                expected_rp_id=self._relying_party.id,
                expected_origin=self._origins,
                credential_public_key=passkey.public_key,
                # A count that goes back is reported, not refused.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
            return Assertion(
                sign_count=verified.new_sign_count,
                is_backup_eligible=_is_eligible(verified.credential_device_type),
                is_backed_up=verified.credential_backed_up,
                has_count_gone_back=verified.new_sign_count <= passkey.sign_count != 0,
            )


def _is_eligible(device_type: CredentialDeviceType) -> bool:
    return device_type is CredentialDeviceType.MULTI_DEVICE
