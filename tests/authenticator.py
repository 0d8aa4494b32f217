"""An authenticator in software, and the browser before it: what ``toJSON()`` returns.

Its attributes make it lie, in the one point that a test is about.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

PrivateKey = ec.EllipticCurvePrivateKey | RSAPrivateKey

# Flags: user present and verified, backup eligible and backed up, attested data, extensions.
UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}")


def new_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def cose_key(key: PrivateKey) -> dict[int, Any]:
    """Return the public key in the form of COSE, before it is encoded."""
    if isinstance(key, RSAPrivateKey):
        rsa = key.public_key().public_numbers()
        return {1: 3, 3: -257, -1: rsa.n.to_bytes(key.key_size // 8), -2: rsa.e.to_bytes(3)}
    point = key.public_key().public_numbers()
    return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}


@dataclass(kw_only=True)
class Resident:
    """A passkey that an authenticator keeps."""

    rp_id: str
    user_handle: bytes
    key: PrivateKey


@dataclass(kw_only=True)
class Authenticator:
    """Keeps passkeys, and uses them in a page of ``origin``."""

    origin: str = "http://localhost:8000"
    flags: int = UP | UV | BE | BS
    # Of all its passkeys together. Those that are backed up do not count.
    sign_count: int = 0
    counts: bool = False
    make_key: Callable[[], PrivateKey] = new_key
    make_credential_id: Callable[[], bytes] = lambda: secrets.token_bytes(32)
    # What it does otherwise than it should.
    rp_id: str | None = None
    client_data: dict[str, Any] = field(default_factory=dict)
    write_client_data: Callable[[dict[str, Any]], bytes] = lambda each: json.dumps(each).encode()
    write_cose_key: Callable[[dict[int, Any]], bytes] = encode_cbor
    extensions: bytes = b""
    attestation: tuple[str, Any] = ("none", {})
    residents: dict[bytes, Resident] = field(default_factory=dict)

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make a passkey, by what ``navigator.credentials.create()`` is called with."""
        known = {decoded(each["id"]) for each in options["excludeCredentials"]}
        assert not known & self.residents.keys(), "there is a passkey of this user already"
        rp_id, handle = options["rp"]["id"], decoded(options["user"]["id"])
        resident = Resident(rp_id=rp_id, user_handle=handle, key=self.make_key())
        credential_id = self.make_credential_id()
        self.residents[credential_id] = resident
        attested = bytes(16) + len(credential_id).to_bytes(2) + credential_id
        attested += self.write_cose_key(cose_key(resident.key))
        data = self._authenticator_data(rp_id, AT, attested)
        form, statement = self.attestation
        attestation = encode_cbor({"fmt": form, "attStmt": statement, "authData": data})
        response = {
            "clientDataJSON": encoded(self._client_data("webauthn.create", options)),
            "attestationObject": encoded(attestation),
            "transports": ["internal", "hybrid"],
        }
        return _credential(credential_id, response)

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Use a passkey, by what ``navigator.credentials.get()`` is called with: the newest one."""
        allowed = [decoded(each["id"]) for each in options["allowCredentials"]]
        credential_id, resident = next(
            (each, resident)
            for each, resident in reversed(self.residents.items())
            if resident.rp_id == options["rpId"] and (each in allowed or not allowed)
        )
        self.sign_count += self.counts
        data = self._authenticator_data(resident.rp_id)
        client_data = self._client_data("webauthn.get", options)
        response = {
            "clientDataJSON": encoded(client_data),
            "authenticatorData": encoded(data),
            "signature": encoded(_signed(resident.key, data + sha256(client_data).digest())),
            "userHandle": encoded(resident.user_handle),
        }
        return _credential(credential_id, response)

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        members = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return self.write_client_data(members | {"crossOrigin": False} | self.client_data)

    def _authenticator_data(self, rp_id: str, flags: int = 0, attested: bytes = b"") -> bytes:
        flags |= self.flags | (ED if self.extensions else 0)
        head = sha256((self.rp_id or rp_id).encode()).digest() + bytes([flags])
        return head + self.sign_count.to_bytes(4) + attested + self.extensions


def _credential(credential_id: bytes, response: dict[str, Any]) -> dict[str, Any]:
    text = encoded(credential_id)
    return {
        "id": text,
        "rawId": text,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": response,
    }


def _signed(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, RSAPrivateKey):
        return key.sign(data, PKCS1v15(), SHA256())
    return key.sign(data, ec.ECDSA(SHA256()))
