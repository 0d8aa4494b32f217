"""Ceremonies of passkeys: whatever a client sends is verified, or is a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs
from webauthn.helpers import encode_cbor, parse_cbor

from service.auth.errors import FieldCode, InvalidCredentials, ValidationFailed
from service.auth.factors.ceremonies import Assertion, Ceremonies
from service.auth.unstored_challenges import LIFETIME
from service.model.passkeys import NewPasskey, Passkey
from service.settings.relying_party import PasskeyOrigins, RelyingParty, RelyingPartyId
from tests.authenticator import AT, BE, BS, UP, UV, Authenticator, cose_key, decoded, encoded
from tests.factories import JSON_VALUES

ANDROID = f"android:apk-key-hash:{'A' * 43}"
ORIGIN = "https://app.example.com"
OURS = RelyingParty(
    id=RelyingPartyId("example.com"),
    name="Example",
    origins=PasskeyOrigins.parse(f"{ORIGIN},https://example.com:8443,{ANDROID}"),
)
CEREMONIES = Ceremonies(OURS)
CHALLENGE, OTHER_CHALLENGE = bytes(range(32)), bytes(32)
ALICE, BOB = bytes(range(64)), bytes(range(1, 65))
P256 = ec.derive_private_key(1, ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)

Credential = dict[str, Any]


def authenticator(**attributes: Any) -> Authenticator:
    return Authenticator(**{"origin": ORIGIN, **attributes})


def created(device: Authenticator | None = None, challenge: bytes = CHALLENGE) -> Credential:
    options = CEREMONIES.creation_options(
        challenge, user_handle=ALICE, username="Alice", exclude=[]
    )
    return (device or authenticator()).create(options)


def got(device: Authenticator, challenge: bytes = CHALLENGE) -> Credential:
    return device.get(CEREMONIES.request_options(challenge))


def passkey(new: NewPasskey, **fields: Any) -> Passkey:
    stored = Passkey(
        id=uuid4(),
        user_id=uuid4(),
        credential_id=new.credential_id,
        public_key=new.public_key,
        sign_count=new.sign_count,
        rp_id=OURS.id,
        transports=new.transports,
        name="Passkey",
        is_backup_eligible=new.is_backup_eligible,
        is_backed_up=new.is_backed_up,
        created_at=datetime.now(UTC),
        last_used_at=None,
    )
    return replace(stored, **fields)


def registered(device: Authenticator) -> Passkey:
    return passkey(CEREMONIES.verify_registration(created(device), CHALLENGE))


def verify(
    credential: Credential,
    stored: Passkey,
    *,
    challenge: bytes = CHALLENGE,
    is_handle_required: bool = True,
) -> Assertion:
    return CEREMONIES.verify_assertion(
        credential,
        challenge,
        stored,
        user_handle=ALICE,
        is_handle_required=is_handle_required,
    )


def round_trip(device: Authenticator) -> Assertion:
    """Register a passkey, and log in by it."""
    stored = registered(device)
    return verify(got(device), stored)


def register(credential: Any) -> NewPasskey:
    return CEREMONIES.verify_registration(credential, CHALLENGE)


def refuses_registration(credential: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        register(credential)
    (error,) = caught.value.errors
    assert (error.field, error.code) == ("credential", FieldCode.NOT_ALLOWED)


def refuses_assertion(credential: Any, stored: Passkey, **options: Any) -> None:
    with pytest.raises(InvalidCredentials):
        verify(credential, stored, **options)


def changed(credential: Credential, **members: Any) -> Credential:
    """Return a credential with other members, those in ``response`` if they are there."""
    inner = {name: each for name, each in members.items() if name in credential["response"]}
    outer = {name: each for name, each in members.items() if name not in inner}
    return {**credential, "response": {**credential["response"], **inner}, **outer}


def without(credential: Credential, member: str) -> Credential:
    response = {name: each for name, each in credential["response"].items() if name != member}
    rest = {name: each for name, each in credential.items() if name != member}
    return {**rest, "response": response} if member != "response" else rest


@pytest.fixture(scope="module")
def device() -> Authenticator:
    return authenticator()


@pytest.fixture(scope="module")
def stored(device: Authenticator) -> Passkey:
    return registered(device)


DEVICE = authenticator()
STORED = registered(DEVICE)


# Options.


def test_the_options_ask_for_a_verified_user_a_discoverable_passkey_and_no_attestation() -> None:
    options = CEREMONIES.creation_options(
        CHALLENGE, user_handle=ALICE, username="Alice", exclude=[]
    )
    assert options == {
        "rp": {"id": "example.com", "name": "Example"},
        "user": {"id": encoded(ALICE), "name": "Alice", "displayName": "Alice"},
        "challenge": encoded(CHALLENGE),
        "pubKeyCredParams": [
            {"type": "public-key", "alg": -7},
            {"type": "public-key", "alg": -257},
        ],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }
    assert CEREMONIES.request_options(CHALLENGE) == {
        "challenge": encoded(CHALLENGE),
        "timeout": 300_000,
        "rpId": "example.com",
        "allowCredentials": [],
        "userVerification": "required",
    }


def test_the_browser_gives_up_before_the_challenge_expires() -> None:
    assert CEREMONIES.request_options(CHALLENGE)["timeout"] < LIFETIME * 1000


def test_passkeys_are_named_with_their_transports_also_unknown_ones(stored: Passkey) -> None:
    known = replace(stored, transports=["internal", "telepathy"])
    silent = replace(stored, credential_id=b"other", transports=[])
    expected = [
        {
            "type": "public-key",
            "id": encoded(stored.credential_id),
            "transports": ["internal", "telepathy"],
        },
        {"type": "public-key", "id": encoded(b"other")},
    ]
    options = CEREMONIES.creation_options(
        CHALLENGE, user_handle=ALICE, username="Alice", exclude=[known, silent]
    )
    assert options["excludeCredentials"] == expected
    options = CEREMONIES.request_options(CHALLENGE, allow=[known, silent])
    assert options["allowCredentials"] == expected


def test_options_are_plain_json() -> None:
    options = CEREMONIES.creation_options(
        CHALLENGE, user_handle=ALICE, username="Alice", exclude=[]
    )
    for value in (options["rp"]["id"], options["pubKeyCredParams"][0]["alg"]):
        assert type(value) in {str, int}
    assert type(CEREMONIES.request_options(CHALLENGE)["rpId"]) is str


# What is right.


@pytest.mark.parametrize("key", [P256, RSA], ids=["ES256", "RS256"])
def test_a_passkey_that_was_registered_logs_in(key: Any) -> None:
    device = authenticator(make_key=lambda: key)
    assert round_trip(device) == Assertion(
        sign_count=0, is_backup_eligible=True, is_backed_up=True, has_count_gone_back=False
    )


def test_a_registration_has_all_that_the_authenticator_says() -> None:
    device = authenticator(
        sign_count=7, make_credential_id=lambda: b"id", make_key=lambda: P256, flags=UP | UV | BE
    )
    assert register(created(device)) == NewPasskey(
        credential_id=b"id",
        public_key=encode_cbor(cose_key(P256)),
        sign_count=7,
        transports=["internal", "hybrid"],
        is_backup_eligible=True,
        is_backed_up=False,
        aaguid=UUID(int=0),
    )


@pytest.mark.parametrize("origin", [ORIGIN, "https://example.com:8443", ANDROID])
def test_each_origin_of_the_relying_party_has_passkeys(origin: str) -> None:
    device = authenticator(origin=origin)
    round_trip(device)


@pytest.mark.parametrize("extensions", [{"credProtect": 2}, {"hmac-secret": True, "x": {"y": []}}])
def test_extensions_are_allowed(extensions: Any) -> None:
    device = authenticator(extensions=encode_cbor(extensions))
    round_trip(device)


def test_unknown_members_are_ignored(device: Authenticator, stored: Passkey) -> None:
    more: dict[str, Any] = {
        "publicKeyAlgorithm": -7,
        "publicKey": 5,
        "authenticatorData": None,
        "\N{SNOWMAN}": [{}],
    }
    for credential, act in (
        (created(), register),
        (got(device), lambda each: verify(each, stored)),
    ):
        response = {**more, **credential["response"]}
        act(
            changed(
                credential,
                response=response,
                authenticatorAttachment="implanted",
                clientExtensionResults=[1],
                unknown={"a": 1},
            )
        )


@pytest.mark.parametrize(
    "client_data",
    [
        {},
        {"androidPackageName": "com.example"},
        {"other_keys_can_be_added_here": "do not compare clientDataJSON against a template"},
        {"tokenBinding": {"status": "supported"}},
    ],
)
def test_unknown_members_of_client_data_are_ignored(client_data: dict[str, Any]) -> None:
    device = authenticator(client_data=client_data)
    round_trip(device)


def test_client_data_need_not_say_that_the_page_is_not_embedded() -> None:
    def write(members: dict[str, Any]) -> bytes:
        return json.dumps({n: each for n, each in members.items() if n != "crossOrigin"}).encode()

    device = authenticator(write_client_data=write)
    round_trip(device)


# Transports.


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["usb", "nfc", "usb", "telepathy"], ["usb", "nfc", "telepathy"]),
        ([], []),
        (None, []),
        ("usb", []),
        ({"usb": 1}, []),
        (["usb", 1, None, ["nfc"], {}, "", "x" * 33, "größe", "a\nb", "x" * 32], ["usb", "x" * 32]),
        ([str(n) for n in range(100_000)], [str(n) for n in range(16)]),
        ([[]] * 100_000, []),
    ],
    ids=["unknown", "empty", "null", "text", "object", "rubbish", "many", "many lists"],
)
def test_transports_are_a_few_short_words(sent: Any, kept: list[str]) -> None:
    assert register(changed(created(), transports=sent)).transports == kept


def test_transports_may_be_missing() -> None:
    assert register(without(created(), "transports")).transports == []


# The refusal table: what is wrong with both ceremonies.


WRONG_DEVICES: dict[str, dict[str, Any]] = {
    "user not present": {"flags": UV | BE | BS},
    "user not verified": {"flags": UP | BE | BS},
    "backed up without being eligible": {"flags": UP | UV | BS},
    "another relying party": {"rp_id": "example.org"},
    "origin of a sibling host": {"origin": "https://www.example.com"},
    "origin of the domain": {"origin": "https://example.com"},
    "origin by http": {"origin": "http://app.example.com"},
    "origin with default port": {"origin": "https://app.example.com:443"},
    "origin with other port": {"origin": "https://app.example.com:8443"},
    "origin with slash": {"origin": "https://app.example.com/"},
    "origin in upper case": {"origin": "https://APP.example.com"},
    "origin with another after it": {"origin": f"{ORIGIN}.evil.example"},
    "other android application": {"origin": ANDROID.replace("AAA", "AAB")},
    "origin null": {"origin": "null"},
    "origin of another type": {"client_data": {"origin": [ORIGIN]}},
    "origin missing": {"client_data": {"origin": None}},
    "wrong type": {"client_data": {"type": "webauthn.payment"}},
    "type of another type": {"client_data": {"type": ["webauthn.create", "webauthn.get"]}},
    "another challenge": {"client_data": {"challenge": encoded(OTHER_CHALLENGE)}},
    "empty challenge": {"client_data": {"challenge": ""}},
    "challenge of another type": {"client_data": {"challenge": 5}},
    "challenge outside ASCII": {"client_data": {"challenge": "é"}},
    "embedded": {"client_data": {"crossOrigin": True}},
    "embedded as text": {"client_data": {"crossOrigin": "false"}},
    "embedded as number": {"client_data": {"crossOrigin": 0}},
    "embedded null": {"client_data": {"crossOrigin": None}},
    "embedded in another page": {
        "client_data": {"crossOrigin": True, "topOrigin": "https://evil.example"}
    },
    "embedded, but it says no": {
        "client_data": {"crossOrigin": False, "topOrigin": "https://evil.example"}
    },
    "embedded in its own origin": {"client_data": {"topOrigin": ORIGIN}},
    "embedded in null": {"client_data": {"topOrigin": None}},
    "tag in extensions": {"extensions": b"\xa1\x61x\xc1\x00"},
    "two extensions": {"extensions": encode_cbor({}) * 2},
    "extensions cut off": {"extensions": b"\xa1\x61x"},
    "extensions nested": {"extensions": b"\x81" * 9 + b"\x00"},
    "extensions of indefinite length": {"extensions": b"\xbf\xff"},
    "extensions of absurd length": {"extensions": b"\xbb" + b"\xff" * 8},
}


@pytest.mark.parametrize("wrong", WRONG_DEVICES)
def test_a_registration_with_anything_wrong_is_refused(wrong: str) -> None:
    refuses_registration(created(authenticator(**WRONG_DEVICES[wrong])))


@pytest.mark.parametrize("wrong", WRONG_DEVICES)
def test_an_assertion_with_anything_wrong_is_refused(wrong: str) -> None:
    device = authenticator()
    stored = registered(device)
    for name, value in WRONG_DEVICES[wrong].items():
        setattr(device, name, value)
    refuses_assertion(got(device), stored)


WRONG_CLIENT_DATA: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda _: b"{",
    "a list": lambda each: b"[" + each + b"]",
    "nested": lambda _: b"[" * 100_000,
    "empty": lambda _: b"",
    "UTF-16": lambda each: each.decode().encode("utf-16"),
    "byte order mark": lambda each: b"\xef\xbb\xbf" + each,
    "outside UTF-8": lambda each: each.replace(b"{", b'{"x": "\xff", ', 1),
    "two origins": lambda each: each.replace(b"{", b'{"origin": "https://evil.example", ', 1),
    "embedded and not": lambda each: each.replace(b"{", b'{"crossOrigin": true, ', 1),
    "two origins, one escaped": lambda each: each.replace(b"{", b'{"\\u006frigin": "x", ', 1),
    "a number of many digits": lambda each: each.replace(b"{", b'{"x": ' + b"9" * 5000 + b",", 1),
    "text after it": lambda each: each + b" x",
}


@pytest.mark.parametrize("wrong", WRONG_CLIENT_DATA)
def test_client_data_that_can_be_read_in_two_ways_are_refused(wrong: str) -> None:
    device = authenticator()
    stored = registered(device)
    device.write_client_data = lambda each: WRONG_CLIENT_DATA[wrong](json.dumps(each).encode())
    refuses_registration(created(device))
    refuses_assertion(device.get(CEREMONIES.request_options(CHALLENGE)), stored)


def test_one_ceremony_does_not_pass_for_the_other() -> None:
    device = authenticator()
    stored = registered(device)
    device.client_data = {"type": "webauthn.get"}
    refuses_registration(created(device))
    device.client_data = {"type": "webauthn.create"}
    refuses_assertion(got(device), stored)


def test_a_valid_answer_to_another_challenge_is_refused(
    device: Authenticator, stored: Passkey
) -> None:
    refuses_registration(created(challenge=OTHER_CHALLENGE))
    refuses_assertion(got(device, OTHER_CHALLENGE), stored)


MALFORMED: dict[str, dict[str, Any]] = {
    "id of another credential": {"id": encoded(b"other")},
    "raw id of another credential": {"rawId": encoded(b"other")},
    "both ids of another credential": {"id": encoded(b"other"), "rawId": encoded(b"other")},
    "empty ids": {"id": "", "rawId": ""},
    "id null": {"id": None},
    "id a number": {"id": 5},
    "id outside ASCII": {"id": "é"},
    "raw id outside ASCII": {"rawId": "é"},
    "raw id a list": {"rawId": []},
    "another type": {"type": "password"},
    "type null": {"type": None},
    "response null": {"response": None},
    "response text": {"response": "{}"},
    "client data null": {"clientDataJSON": None},
    "client data outside ASCII": {"clientDataJSON": "é"},
    "client data a number": {"clientDataJSON": 1},
}


@pytest.mark.parametrize("wrong", MALFORMED)
def test_a_malformed_credential_is_refused(
    wrong: str, device: Authenticator, stored: Passkey
) -> None:
    refuses_registration(changed(created(), **MALFORMED[wrong]))
    refuses_assertion(changed(got(device), **MALFORMED[wrong]), stored)


@pytest.mark.parametrize(
    "member",
    [
        *("id", "rawId", "type", "response", "clientDataJSON"),
        *("attestationObject", "authenticatorData", "signature"),
    ],
)
def test_no_member_may_be_missing(member: str, device: Authenticator, stored: Passkey) -> None:
    if member not in {"authenticatorData", "signature"}:
        refuses_registration(without(created(), member))
    if member != "attestationObject":
        refuses_assertion(without(got(device), member), stored)


@given(JSON_VALUES)
def test_any_json_is_refused(value: Any) -> None:
    refuses_registration(value)
    refuses_assertion(value, STORED)
    if not isinstance(value, dict) or "id" not in value:
        with pytest.raises(ValidationFailed):
            CEREMONIES.credential_id_of(value)


@given(st.sampled_from(["attestationObject", "clientDataJSON", "id", "rawId"]), st.data())
def test_any_value_of_a_member_is_refused_at_registration(member: str, data: st.DataObject) -> None:
    value = data.draw(JSON_VALUES | st.binary().map(encoded))
    refuses_registration(changed(created(), **{member: value}))


@given(
    st.sampled_from(["authenticatorData", "clientDataJSON", "signature", "userHandle", "rawId"]),
    st.data(),
)
def test_any_value_of_a_member_is_refused_in_an_assertion(member: str, data: st.DataObject) -> None:
    value = data.draw(JSON_VALUES | st.binary().map(encoded))
    refuses_assertion(changed(got(DEVICE), **{member: value}), STORED)


@given(st.data())
def test_an_attestation_object_with_any_byte_changed_raises_nothing_else(
    data: st.DataObject,
) -> None:
    credential = created()
    raw = bytearray(decoded(credential["response"]["attestationObject"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        register(changed(credential, attestationObject=encoded(bytes(raw))))
    except ValidationFailed:
        return


def test_a_credential_that_is_nested_absurdly_is_refused(stored: Passkey) -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    refuses_registration(changed(created(), rawId=nested))
    refuses_assertion({"id": nested, "response": nested}, stored)
    register(changed(created(), clientExtensionResults=nested))


# Credential ids.


@pytest.mark.parametrize("length", [1, 16, 1023])
def test_a_credential_id_has_up_to_1023_bytes(length: int) -> None:
    device = authenticator(make_credential_id=lambda: bytes(length))
    credential = created(device)
    assert register(credential).credential_id == bytes(length)
    assert CEREMONIES.credential_id_of(credential) == bytes(length)


@pytest.mark.parametrize("length", [0, 1024, 5000])
def test_a_credential_id_of_another_length_is_refused(length: int) -> None:
    credential = created(authenticator(make_credential_id=lambda: bytes(length)))
    refuses_registration(credential)
    with pytest.raises(ValidationFailed):
        CEREMONIES.credential_id_of(credential)


@pytest.mark.parametrize("text", ["AA==", "AB", "A", "A A", "AA\n", "+/+/", "é", 5, None])
def test_a_credential_id_has_one_text(text: Any) -> None:
    with pytest.raises(ValidationFailed):
        CEREMONIES.credential_id_of({"id": text})


def test_a_passkey_does_not_answer_for_another_one() -> None:
    device = authenticator()
    first, second = registered(device), registered(device)
    refuses_assertion(got(device), first)
    verify(got(device), second)


# Public keys.


OTHER_CURVE = ec.derive_private_key(1, ec.SECP384R1()).public_key().public_numbers()
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
POINT, NUMBERS = cose_key(P256), cose_key(RSA)
EVEN = (int.from_bytes(NUMBERS[-1]) - 1).to_bytes(256)

WRONG_KEYS: dict[str, Any] = {
    "a number": 5,
    "four, which webauthn takes for an uncompressed point": 4,
    "text": "key",
    "empty": {},
    "no algorithm": {1: 2},
    "off the curve": {**POINT, -3: bytes(32)},
    "beyond the field": {**POINT, -2: b"\xff" * 32},
    "short coordinate": {**POINT, -2: POINT[-2][1:]},
    "long coordinate": {**POINT, -2: b"\0" + POINT[-2]},
    "long second coordinate": {**POINT, -3: b"\0" + POINT[-3]},
    "text for a coordinate": {**POINT, -2: "x" * 32},
    "sign of y": {**POINT, -3: True},
    "P-384 with numbers of P-256": {**POINT, -1: 2},
    "P-384": {**POINT, -1: 2, -2: OTHER_CURVE.x.to_bytes(48), -3: OTHER_CURVE.y.to_bytes(48)},
    "ES384, which was not offered": {**POINT, 3: -35},
    "ES512 on P-256": {**POINT, 3: -36},
    "RS256 with a point": {**POINT, 3: -257},
    "EdDSA, which was not offered": {1: 1, 3: -8, -1: 6, -2: ED25519},
    "ML-DSA, which was not offered": {1: 7, 3: -48, -1: bytes(1312)},
    "a symmetric key": {1: 4, 3: -7, -1: bytes(32)},
    "another member": {**POINT, 2: b"kid"},
    "another member of an RSA key": {**NUMBERS, 2: b"kid"},
    "another member with a name": {**POINT, "kid": b"kid"},
    "key operations": {**POINT, 4: [2]},
    "label true": {**{n: each for n, each in POINT.items() if n != 1}, True: 2},
    "type 2.0": {**POINT, 1: 2.0},
    "ES256 with RSA": {**NUMBERS, 3: -7},
    "RS1": {**NUMBERS, 3: -65535},
    "RS512, which was not offered": {**NUMBERS, 3: -259},
    "PS256, which was not offered": {**NUMBERS, 3: -37},
    "exponent 1": {**NUMBERS, -2: b"\x01"},
    "exponent 0": {**NUMBERS, -2: b"\x00"},
    "even exponent": {**NUMBERS, -2: b"\x01\x00\x00"},
    "huge exponent": {**NUMBERS, -2: b"\x01\x00\x00\x00\x01"},
    "no exponent": {n: each for n, each in NUMBERS.items() if n != -2},
    "empty exponent": {**NUMBERS, -2: b""},
    "1024 bits": {**NUMBERS, -1: b"\xff" * 128},
    "2047 bits": {**NUMBERS, -1: b"\x7f" + b"\xff" * 255},
    "2047 bits with zeros before": {**NUMBERS, -1: bytes(256) + b"\x7f" + b"\xff" * 255},
    "8193 bits": {**NUMBERS, -1: b"\x01" + b"\xff" * 1024},
    "even modulus": {**NUMBERS, -1: EVEN},
    "text for a modulus": {**NUMBERS, -1: "n" * 256},
}


@pytest.mark.parametrize("wrong", WRONG_KEYS)
def test_a_public_key_that_could_never_log_in_is_not_registered(wrong: str) -> None:
    device = authenticator(write_cose_key=lambda _: encode_cbor(WRONG_KEYS[wrong]))
    refuses_registration(created(device))


@pytest.mark.parametrize("exponent", [3, 65537, 2**32 - 1])
def test_rsa_keys_have_an_odd_exponent_from_3_on(exponent: int) -> None:
    key = {**NUMBERS, -2: exponent.to_bytes(4)}
    device = authenticator(write_cose_key=lambda _: encode_cbor(key))
    assert register(created(device)).public_key == encode_cbor(key)


def test_rsa_keys_have_up_to_8192_bits() -> None:
    key = {**NUMBERS, -1: b"\xff" * 1024}
    device = authenticator(write_cose_key=lambda _: encode_cbor(key))
    assert register(created(device)).public_key == encode_cbor(key)


def bomb(levels: int) -> bytes:
    """Return an array of arrays, each of which contains the one before twice, by shared values."""
    items = [b"\xd8\x1c\x81\x00"]
    for n in range(levels - 1):
        reference = b"\xd8\x1d\x19" + n.to_bytes(2)
        items.append(b"\xd8\x1c\x82" + reference * 2)
    return b"\x99" + levels.to_bytes(2) + b"".join(items)


def test_a_small_text_does_not_become_a_large_value(stored: Passkey, device: Authenticator) -> None:
    """Sixteen levels: what takes seconds with more must not be decoded at all."""
    with capture_logs() as logs:
        refuses_registration(created(authenticator(write_cose_key=lambda _: bomb(16))))
        refuses_registration(created(authenticator(extensions=bomb(16))))
        refuses_registration(changed(created(), attestationObject=encoded(bomb(16))))
        signed = authenticator(residents=device.residents, extensions=bomb(16))
        refuses_assertion(got(signed), stored)
        signed = authenticator(residents=device.residents, flags=UP | UV | AT)
        credential = got(signed)
        attested = decoded(credential["response"]["authenticatorData"]) + bytes(18) + bomb(16)
        refuses_assertion(changed(credential, authenticatorData=encoded(attested)), stored)
    assert [each["reason"] for each in logs] == ["ValueError('CBOR has a tag')"] * 5


# Attestation.


@pytest.mark.parametrize(
    "attestation",
    [
        ("none", {"sig": b"x"}),
        ("packed", {}),
        ("packed", {"alg": -7, "sig": b"x"}),
        ("packed", {"alg": -7, "sig": b"x", "x5c": 5}),
        ("packed", {"alg": -7, "sig": b"x", "x5c": [b"x"]}),
        ("tpm", {"ver": "2.0", "certInfo": 5, "pubArea": b"", "alg": -7, "sig": 1, "x5c": [1]}),
        ("fido-u2f", {"sig": [], "x5c": {}}),
        ("apple", {"x5c": [b""]}),
        ("android-key", {"alg": -7, "sig": b"x", "x5c": [b"x"]}),
        ("android-safetynet", {"ver": 5, "response": b"a.b.c"}),
        ("compound", [{"fmt": "none", "attStmt": {}}]),
        ("unknown", {}),
        ("", None),
        (5, {}),
        ([], []),
        ("none", 5),
        ("none", [[[[[[[[[]]]]]]]]]),
    ],
)
def test_a_hostile_attestation_is_refused(attestation: Any) -> None:
    refuses_registration(created(authenticator(attestation=attestation)))


def test_an_attestation_by_the_key_itself_is_accepted() -> None:
    """Browsers pass it on although none is asked for (section 5.1.3)."""
    device = authenticator(make_key=lambda: P256)
    credential = created(device)
    whole = parse_cbor(decoded(credential["response"]["attestationObject"]))
    client_data = decoded(credential["response"]["clientDataJSON"])
    signature = P256.sign(whole["authData"] + sha256(client_data).digest(), ec.ECDSA(SHA256()))
    whole |= {"fmt": "packed", "attStmt": {"alg": -7, "sig": signature}}
    register(changed(credential, attestationObject=encoded(encode_cbor(whole))))


@pytest.mark.parametrize("authenticator_data", [b"", bytes(36), bytes(37), bytes(55), 5, None, []])
def test_authenticator_data_without_a_passkey_are_refused(authenticator_data: Any) -> None:
    whole = encode_cbor({"fmt": "none", "attStmt": {}, "authData": authenticator_data})
    refuses_registration(changed(created(), attestationObject=encoded(whole)))


def test_authenticator_data_end_with_the_extensions() -> None:
    whole = parse_cbor(decoded(created()["response"]["attestationObject"]))
    for more in (b"\x00", b"\xa0", b"\xff"):
        longer = encode_cbor({**whole, "authData": whole["authData"] + more})
        refuses_registration(changed(created(), attestationObject=encoded(longer)))
        refuses_registration(
            changed(created(), attestationObject=encoded(encode_cbor(whole) + more))
        )


# User handles.


def test_the_user_handle_is_required_where_nothing_else_names_the_user(
    device: Authenticator, stored: Passkey
) -> None:
    for credential in (without(got(device), "userHandle"), changed(got(device), userHandle=None)):
        refuses_assertion(credential, stored)
        verify(credential, stored, is_handle_required=False)


@pytest.mark.parametrize(
    "handle",
    ["", encoded(BOB), encoded(ALICE[:-1]), encoded(ALICE) + "=", "é", "A", 5, True, [], {}],
)
@pytest.mark.parametrize("is_handle_required", [True, False])
def test_a_foreign_user_handle_is_refused(
    handle: Any, is_handle_required: bool, device: Authenticator, stored: Passkey
) -> None:
    credential = changed(got(device), userHandle=handle)
    refuses_assertion(credential, stored, is_handle_required=is_handle_required)


# Signatures.


def test_a_signature_of_another_key_is_refused(device: Authenticator, stored: Passkey) -> None:
    refuses_assertion(got(device), replace(stored, public_key=encode_cbor(cose_key(P256))))


@pytest.mark.parametrize("signature", ["", "AA", encoded(bytes(64)), encoded(bytes(10_000))])
def test_what_is_no_signature_is_refused(
    signature: str, device: Authenticator, stored: Passkey
) -> None:
    refuses_assertion(changed(got(device), signature=signature), stored)


@pytest.mark.parametrize("flags", [UP | UV | BE, UP | UV, UP | UV | BE | BS | 0x02])
def test_flags_are_signed(flags: int, device: Authenticator, stored: Passkey) -> None:
    credential = got(device)
    data = bytearray(decoded(credential["response"]["authenticatorData"]))
    data[32] = flags
    refuses_assertion(changed(credential, authenticatorData=encoded(bytes(data))), stored)


@pytest.mark.parametrize("key", [b"", b"\x04", b"\xa0", encode_cbor(5), encode_cbor({1: 2, 3: -7})])
def test_a_stored_key_that_cannot_be_read_is_a_refusal(
    key: bytes, device: Authenticator, stored: Passkey
) -> None:
    refuses_assertion(got(device), replace(stored, public_key=key))


# Flags and counts that move.


@pytest.mark.parametrize("flags", [0, BE, BE | BS])
@pytest.mark.parametrize("was", [(False, False), (True, False), (True, True)])
def test_backup_flags_may_change(flags: int, was: tuple[bool, bool]) -> None:
    device = authenticator(flags=UP | UV)
    stored = replace(registered(device), is_backup_eligible=was[0], is_backed_up=was[1])
    device.flags = UP | UV | flags
    assertion = verify(got(device), stored)
    assert assertion.is_backup_eligible == bool(flags & BE)
    assert assertion.is_backed_up == bool(flags & BS)


@pytest.mark.parametrize(
    ("stored", "sent", "has_gone_back"),
    [
        (0, 0, False),
        (0, 1, False),
        (5, 6, False),
        (5, 5, True),
        (5, 3, True),
        (5, 0, True),
        (5, 2**32 - 1, False),
        (2**32 - 1, 2**32 - 1, True),
        (2**32 - 1, 0, True),
    ],
)
def test_a_count_that_goes_back_is_reported(stored: int, sent: int, has_gone_back: bool) -> None:
    device = authenticator()
    passkey = replace(registered(device), sign_count=stored)
    device.sign_count = sent
    assertion = verify(got(device), passkey)
    assert assertion.sign_count == sent
    assert assertion.has_count_gone_back == has_gone_back


# The log.


def test_the_reason_of_a_refusal_is_in_the_log(device: Authenticator, stored: Passkey) -> None:
    credential = created(authenticator(origin=f"https://evil.example/{'x' * 1000}\n"))
    with capture_logs() as logs:
        refuses_registration(credential)
        refuses_assertion(got(device, OTHER_CHALLENGE), stored)
    assert [each["event"] for each in logs] == ["passkey_refused"] * 2
    assert [each["log_level"] for each in logs] == ["info"] * 2
    assert "Unexpected client data origin" in logs[0]["reason"]
    assert len(logs[0]["reason"]) == 200
    assert "challenge was not expected" in logs[1]["reason"]
    for each in (CHALLENGE, OTHER_CHALLENGE):
        assert encoded(each) not in str(logs)
