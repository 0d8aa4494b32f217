"""By which keys and algorithms an ID token may be signed (RFC 8725, section 3)."""

from __future__ import annotations

import asyncio
import hmac
import warnings
from base64 import urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateNumbers,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_dmq1,
)
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from service.auth.oidc import cached
from service.auth.oidc.client import ProviderClient
from tests.oidc.conftest import (
    NONCE,
    Connect,
    Events,
    Pass,
    assert_refused,
    assert_unavailable,
    log_in,
)
from tests.oidc.stub_provider import CLIENT_SECRET, KEYS, StubProvider, ec_key, public, rsa_key
from tests.oidc.stub_server import Answer


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: object, claims: object) -> str:
    """Return a token with an empty signature."""
    return f"{encoded(msgspec.json.encode(header))}.{encoded(msgspec.json.encode(claims))}."


def signed_by_hand(stub: StubProvider, header: dict[str, Any]) -> str:
    """Return a token with a header that no library would sign."""
    signed = unsigned(stub.header | header, claims_of(stub)).rstrip(".")
    assert isinstance(stub.key, RSAKey)
    assert stub.key.private_key
    signature = stub.key.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{encoded(signature)}"


def swapped(key: RSAKey) -> RSAKey:
    """Return a key whose public exponent is the private one of another, and as large."""
    assert key.private_key
    numbers = key.private_key.private_numbers()
    (d, e), n = (numbers.d, numbers.public_numbers.e), numbers.public_numbers.n
    return RSAKey.import_key(
        RSAPrivateNumbers(
            p=numbers.p,
            q=numbers.q,
            d=e,
            dmp1=rsa_crt_dmp1(e, numbers.p),
            dmq1=rsa_crt_dmq1(e, numbers.q),
            iqmp=numbers.iqmp,
            public_numbers=RSAPublicNumbers(d, n),
        ).private_key()
    )


def claims_of(stub: StubProvider) -> dict[str, Any]:
    """Return claims with which a token would be accepted."""
    now = stub.now()
    times = {"iat": now, "exp": now + 300}
    return {"iss": stub.issuer, "sub": "7", "aud": "web", "nonce": NONCE, **times}


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa_key("second"), "RS256"),
        (rsa_key("second"), "PS256"),
        (ec_key("second"), "ES256"),
        (ECKey.generate_key("P-384"), "ES384"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
        (OKPKey.generate_key("Ed25519"), "Ed25519"),
    ],
)
async def test_an_id_token_is_signed_by_a_key_pair(
    stub: StubProvider, client: ProviderClient, key: Key, algorithm: str
) -> None:
    stub.rotate(key, alg=algorithm)
    assert (await log_in(client, stub)).subject == "7"


async def test_an_algorithm_that_the_settings_do_not_list_is_refused(
    stub: StubProvider, connect: Connect
) -> None:
    await assert_refused(log_in(connect(algorithms="ES256,PS256"), stub))
    assert (await log_in(connect(algorithms="ES256,RS256"), stub)).subject == "7"


@pytest.mark.parametrize("secret", [CLIENT_SECRET, "pem", "der", "jwk"])
@pytest.mark.parametrize("is_published", [False, True])
async def test_a_shared_secret_signs_nothing(
    stub: StubProvider, client: ProviderClient, secret: str, *, is_published: bool
) -> None:
    """Neither the client secret, nor what everybody knows of the provider's key."""
    assert isinstance(stub.key, RSAKey)
    texts = {
        "pem": stub.key.as_pem(),
        "der": stub.key.as_der(),
        "jwk": msgspec.json.encode(public(stub.key)),
    }
    key = texts.get(secret, secret.encode())
    if is_published:
        stub.key_set = [{"kty": "oct", "k": encoded(key), "alg": "HS256", "kid": "first"}]
    signed = unsigned({"alg": "HS256", "kid": "first"}, claims_of(stub)).rstrip(".")
    signature = hmac.digest(key, signed.encode(), "sha256")
    await assert_refused(client.read_id_token(f"{signed}.{encoded(signature)}", NONCE))


@pytest.mark.parametrize("algorithm", ["none", "nOnE", "NONE", ""])
async def test_a_token_without_signature_is_refused(
    stub: StubProvider, client: ProviderClient, algorithm: str
) -> None:
    for key_id in ({}, {"kid": "first"}):
        token = unsigned({"alg": algorithm, **key_id}, claims_of(stub))
        await assert_refused(client.read_id_token(token, NONCE))


async def test_a_key_in_the_header_is_not_looked_at(
    stub: StubProvider, client: ProviderClient
) -> None:
    key = rsa_key("of an attacker")
    stub.answers["/attacker"] = Answer(document={"keys": [public(key, kid="mine")]})
    stub.key = key
    for named in (
        {"jwk": public(key)},
        {"jku": f"{stub.url}/attacker"},
        {"x5u": f"{stub.url}/attacker"},
        {"x5c": ["MIIB"]},
    ):
        for key_id in ("mine", "first"):
            stub.header = {"alg": "RS256", "kid": key_id, **named}
            await assert_refused(log_in(client, stub))
    assert stub.count("/attacker") == 0


@pytest.mark.parametrize(
    "members",
    [
        {"alg": "PS256"},
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"kty": "EC"},
        {"n": ""},
        {"use": ["sig"]},
        {"kid": 7},
    ],
    ids=str,
)
async def test_a_key_for_something_else_verifies_nothing(
    stub: StubProvider, client: ProviderClient, members: dict[str, Any]
) -> None:
    stub.key_set = [public(stub.key, kid="first") | members]
    await assert_refused(log_in(client, stub))


async def test_private_members_of_a_key_are_not_looked_at(
    stub: StubProvider, client: ProviderClient
) -> None:
    """To compute the primes of a key from ``d`` can take for ever."""
    stub.key_set = [public(stub.key, kid="first", d="AQ")]
    assert (await log_in(client, stub)).subject == "7"


async def test_a_key_with_a_large_exponent_verifies_nothing(
    stub: StubProvider, client: ProviderClient
) -> None:
    """Each attempt would take as long as to sign."""
    stub.key = swapped(rsa_key("second"))
    stub.key_set = [public(stub.key, kid="first")]
    await assert_refused(log_in(client, stub))


@pytest.mark.filterwarnings("ignore")
async def test_a_short_key_verifies_nothing(stub: StubProvider, client: ProviderClient) -> None:
    """Also where warnings are no errors, as they are in tests."""
    with pytest.warns(UserWarning, match="2048"):
        stub.rotate(RSAKey.generate_key(1024))
    await assert_refused(log_in(client, stub))


async def test_what_becomes_of_warnings_elsewhere_stays_the_same(
    stub: StubProvider, client: ProviderClient
) -> None:
    before = [*warnings.filters]
    await log_in(client, stub)
    assert warnings.filters == before


async def test_keys_of_unknown_kinds_are_passed_over(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.key_set = [
        *(
            {},
            {"kty": "AKP", "alg": "ML-DSA-44", "kid": "first"},
            {"kty": 7},
            {"kty": []},
            {"kty": "RSA"},
        ),
        *({"kty": "EC", "crv": "P-257", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-256"}),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "é"},
        *stub.key_set,
    ]
    assert (await log_in(client, stub)).subject == "7"


async def test_a_key_that_openssl_does_not_support_is_passed_over(
    stub: StubProvider, client: ProviderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some builds of it have fewer curves than others."""

    def refuse(_: bytes) -> None:
        raise UnsupportedAlgorithm("Ed448")

    stub.key_set = [public(OKPKey.generate_key("Ed448"), kid="a"), *stub.key_set]
    monkeypatch.setattr(Ed448PublicKey, "from_public_bytes", refuse)
    assert (await log_in(client, stub)).subject == "7"


async def test_keys_beyond_a_hundred_are_not_looked_at(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.key_set = [*[{"kty": "oct"}] * 100, *stub.key_set]
    await assert_refused(log_in(client, stub))


async def test_a_token_without_key_id_is_signed_by_the_one_key_for_its_algorithm(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.header = {"alg": "RS256"}
    stub.key_set = [
        public(ec_key("a"), kid="a"),
        public(rsa_key("b"), kid="b", use="enc"),
        public(rsa_key("b"), kid="c", key_ops=["encrypt"]),
        # Verifying by so large a key takes long.
        {"kty": "RSA", "n": encoded(b"\xff" * 2048), "e": "AQAB", "kid": "d"},
        public(stub.key, kid="first", use="sig"),
    ]
    assert (await log_in(client, stub)).subject == "7"


async def test_a_token_without_key_id_is_refused_if_two_keys_could_have_signed_it(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.header = {"alg": "RS256"}
    stub.key_set = [*stub.key_set, public(rsa_key("b"), kid="b")]
    await assert_refused(log_in(client, stub))


async def test_a_token_has_a_maximum_length(stub: StubProvider, client: ProviderClient) -> None:
    assert (await log_in(client, stub, groups="a" * 30_000)).subject == "7"
    await assert_refused(log_in(client, stub, groups="a" * 60_000))


async def test_the_signature_is_verified(stub: StubProvider, client: ProviderClient) -> None:
    header, payload, signature = stub.id_token(NONCE).split(".")
    _, other, _ = stub.id_token(NONCE, sub="8").split(".")
    await assert_refused(client.read_id_token(f"{header}.{other}.{signature}", NONCE))
    await assert_refused(client.read_id_token(f"{header}.{payload}.", NONCE))
    assert (await client.read_id_token(f"{header}.{payload}.{signature}", NONCE)).subject == "7"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"typ": "at+jwt"},
        {"typ": "application/AT+JWT"},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": 7},
        {"kid": 7},
    ],
    ids=str,
)
async def test_a_token_for_another_purpose_is_refused(
    stub: StubProvider, client: ProviderClient, header: dict[str, Any]
) -> None:
    usual = signed_by_hand(stub, {})
    assert (await client.read_id_token(usual, NONCE)).subject == "7"
    await assert_refused(client.read_id_token(signed_by_hand(stub, header), NONCE))


async def test_an_access_token_by_the_same_key_is_refused(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.header |= {"typ": "at+jwt"}
    await assert_refused(log_in(client, stub))


async def test_an_unknown_header_parameter_is_ignored(
    stub: StubProvider, client: ProviderClient
) -> None:
    """RFC 7515, section 4; a certificate makes the header long."""
    stub.header |= {"typ": "JWT", "x5t": "abc", "extra": [1], "x5c": ["A" * 2000]}
    assert (await log_in(client, stub)).subject == "7"


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "a.b.c", "....", "e30.e30.", "bnVsbA.e30.", "W10.e30.e30"),
        *("ImFsZyI.e30.e30", "é.é.é", "\ud800..", "eyJhbGciOiJSUzI1NiJ9.é.é", "a" * 70_000),
        "eyJhbGciOiJSUzI1NiJ9.\ud800.e30",
        *(f"{'W' * 8000}.e30.e30", encoded(b'{"alg":"RS256","a":' + b"[" * 40_000) + ".e30.e30"),
    ],
)
async def test_a_text_that_is_no_token_is_refused(client: ProviderClient, token: str) -> None:
    await assert_refused(client.read_id_token(token, NONCE))


@pytest.mark.parametrize("rest", ["", ".e30", ".e30.e30.e30"])
async def test_a_text_that_is_no_token_has_no_keys_fetched(
    stub: StubProvider, client: ProviderClient, rest: str
) -> None:
    header = encoded(msgspec.json.encode(stub.header))
    await assert_refused(client.read_id_token(header + rest, NONCE))
    assert stub.requests == []


@pytest.mark.parametrize(
    "payload",
    [b'{"a":' + b"[" * 40_000, b"[]", b"null", b"", b'{"sub":"\xff"}', b'{"sub":"\\ud800"}'],
)
async def test_claims_that_cannot_be_read_are_refused(
    stub: StubProvider, client: ProviderClient, payload: bytes
) -> None:
    await assert_refused(client.read_id_token(stub.signed(payload), NONCE))


async def test_a_new_key_of_the_provider_counts_at_once(
    stub: StubProvider, client: ProviderClient
) -> None:
    assert (await log_in(client, stub)).subject == "7"
    old = stub.id_token(NONCE)
    stub.rotate(rsa_key("second"))
    assert (await log_in(client, stub)).subject == "7"
    assert (await client.read_id_token(old, NONCE)).subject == "7"
    assert stub.count(KEYS) == 2


async def test_a_new_key_by_the_same_id_counts_at_once(
    stub: StubProvider, client: ProviderClient
) -> None:
    await log_in(client, stub)
    stub.key = rsa_key("second")
    stub.key_set = [public(stub.key, kid="first")]
    assert (await log_in(client, stub)).subject == "7"


async def test_unknown_key_ids_do_not_have_the_keys_fetched_again_and_again(
    stub: StubProvider, client: ProviderClient, pass_time: Pass
) -> None:
    known = stub.id_token(NONCE)
    await client.read_id_token(known, NONCE)
    for _ in range(2):
        tokens = []
        for each in range(25):
            stub.header["kid"] = f"unknown {each}"
            tokens.append(stub.id_token(NONCE))
        await asyncio.gather(
            *(assert_refused(client.read_id_token(token, NONCE)) for token in tokens)
        )
        assert (await client.read_id_token(known, NONCE)).subject == "7"
    assert stub.count(KEYS) == 2
    # A minute later they are fetched once more.
    pass_time(cached.MIN_AGE)
    await assert_refused(client.read_id_token(tokens[0], NONCE))
    await assert_refused(client.read_id_token(tokens[1], NONCE))
    assert stub.count(KEYS) == 3


async def test_old_keys_go_on_verifying_if_newer_ones_cannot_be_fetched(
    stub: StubProvider, client: ProviderClient
) -> None:
    known = stub.id_token(NONCE)
    await client.read_id_token(known, NONCE)
    stub.answers[KEYS] = Answer(status=500)
    stub.header["kid"] = "unknown"
    await assert_unavailable(client.read_id_token(stub.id_token(NONCE), NONCE))
    assert (await client.read_id_token(known, NONCE)).subject == "7"


async def test_newer_keys_that_cannot_be_fetched_are_logged_once(
    stub: StubProvider, client: ProviderClient, events: Events
) -> None:
    await log_in(client, stub)
    stub.answers[KEYS] = Answer(status=500)
    stub.header["kid"] = "unknown"
    await assert_unavailable(log_in(client, stub))
    assert [each["event"] for each in events] == ["oidc_provider_failed"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500),
        Answer(document=[]),
        Answer(document={"keys": {}}),
        Answer(document={"keys": ["a"]}),
        Answer(text="<html>"),
        Answer(text=b"\xff"),
        Answer(text="[" * 100_000),
    ],
    ids=lambda answer: str(answer.body[:20]),
)
async def test_without_keys_the_provider_is_unavailable(
    stub: StubProvider, client: ProviderClient, answer: Answer
) -> None:
    stub.answers[KEYS] = answer
    await assert_unavailable(log_in(client, stub))
