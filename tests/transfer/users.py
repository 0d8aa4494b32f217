"""Users as they are in a file, made by hypothesis."""

from __future__ import annotations

from base64 import b32encode, urlsafe_b64encode
from datetime import UTC, datetime
from functools import cache
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import strategies as st

from service.transfer.names import name_of
from service.transfer.rejections import RowRejected
from tests.auth.test_legacy_hashes import ALL_OTHERS, FOREIGN

HASHES = [text for _, text in FOREIGN + ALL_OTHERS]

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
# Hypothesis takes bounds without a time zone.
EARLIEST = datetime.fromisoformat("1970-01-02")
LATEST = datetime.fromisoformat("2026-01-01")
MOMENTS = st.datetimes(min_value=EARLIEST, max_value=LATEST, timezones=st.just(UTC)).map(
    lambda time: time.isoformat(timespec="microseconds").replace("+00:00", "Z")
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53 - 1), 2**53 - 1)
    # PostgreSQL writes greater ones as integers, which have the same digits.
    | st.floats(-1e15, 1e15)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def public_key(number: int) -> str:
    """Return a public key as an authenticator gives it (COSE, ES256)."""
    point = ec.derive_private_key(number, ec.SECP256R1()).public_key().public_numbers()
    x, y = (each.to_bytes(32) for each in (point.x, point.y))
    return base64url(cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y}))


def is_name(text: str) -> bool:
    try:
        return name_of("username", text).display_name == text
    except RowRejected:
        return False


@st.composite
def keys(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """Return keys that no other user has, oldest first."""
    username = draw(TEXT.filter(is_name))
    names = [
        ("username", f"{number}{username}"),
        ("email", f"Jane.{number}@bücher.example"),
        ("github", f"{number}"),
    ]
    made = [
        {
            "provider": provider,
            "name": name,
            "password_hash": draw(st.none() | st.sampled_from(HASHES)),
            "verified_at": draw(st.none() | MOMENTS) if provider == "email" else None,
            "created_at": draw(MOMENTS),
        }
        for provider, name in draw(st.lists(st.sampled_from(names), unique=True))
    ]
    return sorted(made, key=lambda each: (each["created_at"], each["provider"]))


SUBJECTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=240)


@st.composite
def identities(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """Return identities that no other user has, oldest first."""
    accounts = [
        ("https://github.com", f"{number + 1}"),
        ("https://accounts.google.com", f"{number}{draw(SUBJECTS)}"),
        ("https://id.example:8443/realms/b%C3%BCcher/", f"{number}{draw(SUBJECTS)}"),
        ("http://127.0.0.1:4000", f"{number}"),
    ]
    made = [
        {
            "issuer": issuer,
            "subject": subject,
            "created_at": draw(MOMENTS),
            "last_used_at": draw(st.none() | MOMENTS),
        }
        for issuer, subject in draw(st.lists(st.sampled_from(accounts), unique=True))
    ]
    return sorted(made, key=lambda each: (each["created_at"], each["issuer"]))


@st.composite
def passkeys(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    made = [
        {
            "id": str(draw(st.uuids())),
            "credential_id": base64url(b"%d.%d" % (number, position)),
            "public_key": public_key(draw(st.integers(1, 5))),
            "rp_id": "example.com",
            "name": draw(st.sampled_from(["Passkey", "Jane's phone", "노트북"])),
            "sign_count": draw(st.integers(0, 2**32 - 1)),
            "transports": draw(st.lists(st.sampled_from(["usb", "hybrid"]), unique=True)),
            "aaguid": draw(st.none() | st.uuids().map(str)),
            "backup_eligible": draw(st.booleans()),
            "backed_up": draw(st.booleans()),
            "created_at": draw(MOMENTS),
            "last_used_at": draw(st.none() | MOMENTS),
        }
        for position in range(draw(st.integers(0, 2)))
    ]
    return sorted(made, key=lambda each: (each["created_at"], each["id"]))


APPS = st.fixed_dictionaries(
    {
        "confirmed_at": MOMENTS,
        "created_at": MOMENTS,
        "last_used_at": st.none() | MOMENTS,
        "last_step": st.integers(0, 10**7),
        "secret": st.none()
        | st.binary(min_size=10, max_size=64).map(lambda raw: b32encode(raw).decode().rstrip("=")),
    }
)


@st.composite
def user(draw: st.DrawFn, number: int) -> dict[str, Any]:
    app, credentials = draw(st.none() | APPS), draw(passkeys(number))
    codes = [
        {"hash": bytes([position, *range(31)]).hex(), "created_at": draw(MOMENTS)}
        for position in range(draw(st.integers(0, 3)) if app or credentials else 0)
    ]
    disabled_at = draw(st.none() | MOMENTS)
    handle = draw(st.binary(min_size=1, max_size=64).map(base64url))
    return {
        "id": str(draw(st.uuids())),
        "created_at": draw(MOMENTS),
        "roles": sorted(draw(st.sets(st.from_regex(r"[a-z0-9_.:-]{1,64}\Z", fullmatch=True)))),
        "metadata": draw(st.dictionaries(TEXT, JSON_VALUES, max_size=3)),
        "disabled_at": disabled_at,
        "disabled_reason": draw(st.none() | TEXT) if disabled_at else None,
        "keys": draw(keys(number)),
        "identities": draw(identities(number)),
        "totp": app,
        "passkeys": credentials,
        "passkey_handle": handle if credentials else draw(st.none() | st.just(handle)),
        "recovery_codes": sorted(codes, key=lambda each: (each["created_at"], each["hash"])),
        "security_changed_at": draw(st.none() | MOMENTS),
        "security_version": draw(st.integers(0, 2**53)),
        "version": draw(st.integers(0, 2**53)),
    }


@st.composite
def users(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return users in the order of an export."""
    made = [draw(user(number)) for number in range(draw(st.integers(0, 4)))]
    unique = {each["id"]: each for each in made}
    return sorted(unique.values(), key=lambda each: str(each["id"]))
