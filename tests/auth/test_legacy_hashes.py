"""Hashes of other systems. The original libraries made the vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import pytest
import pytest_asyncio

from service.auth.hashing.hasher import Hasher
from service.auth.hashing.jobs import Verification
from service.auth.hashing.legacy_hashes import is_legacy, verify_legacy
from service.auth.hashing.program import argon2_hasher
from service.auth.hashing.schemes import parse_password_hash
from service.auth.passwords import Password
from service.settings.passwords import Argon2Cost
from tests.services import PATIENCE

VECTORS = json.loads((Path(__file__).parent / "lucia-vectors.json").read_text(encoding="utf-8"))


def lucia_v1(password: str, salt: str = "abcdefgh12345678") -> str:
    key = hashlib.scrypt(
        password.encode(), salt=salt.encode(), n=16384, r=8, p=1, maxmem=2**26, dklen=64
    )
    return f"{salt}:{key.hex()}"


FOREIGN = [
    *((each["password"], each["hash"]) for each in VECTORS["lucia_v2_scrypt"]),
    *((each["password"], each["hash"]) for each in VECTORS["oslo_scrypt"]),
    ("correct horse battery staple", lucia_v1("correct horse battery staple")),
    # From the test vectors of crypt_blowfish.
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
    ("x" * 100, bcrypt.hashpw(b"x" * 72, b"$2b$04$CCCCCCCCCCCCCCCCCCCCC.").decode()),
]
CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
OSLO_ARGON2ID = [(each["password"], each["hash"]) for each in VECTORS["oslo_argon2id"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(CHEAP, processes=1, queue_length=1, timeout=PATIENCE)
    yield hasher
    await hasher.close()


@pytest.mark.parametrize(("password", "password_hash"), FOREIGN)
def test_a_foreign_hash_verifies_its_password_and_no_other(
    password: str, password_hash: str
) -> None:
    assert is_legacy(password_hash)
    assert verify_legacy(password_hash, password)
    assert not verify_legacy(password_hash, f"not {password}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("password", "password_hash"), FOREIGN[:-2] + OSLO_ARGON2ID)
async def test_the_hasher_verifies_a_foreign_hash_and_requests_a_rehash(
    hasher: Hasher, password: str, password_hash: str
) -> None:
    typed, stored = Password(password), parse_password_hash(password_hash)
    assert await hasher.verify(stored, typed) == Verification(matches=True, needs_rehash=True)
    wrong = await hasher.verify(stored, Password("something else"))
    assert wrong == Verification(matches=False, needs_rehash=False)
    ours = await hasher.hash(typed)
    assert ours.text.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await hasher.verify(ours, typed) == Verification(matches=True, needs_rehash=False)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_oslo_argon2id_hash_of_a_compatibility_character_verifies_and_needs_a_rehash(
    hasher: Hasher,
) -> None:
    """Oslo hashes the password in form NFKC, unlike this service."""
    oslos = parse_password_hash(argon2_hasher(CHEAP).hash("fiancé Å1"))
    typed = Password("ﬁancé Å①")
    assert await hasher.verify(oslos, typed) == Verification(matches=True, needs_rehash=True)
    ours = await hasher.hash(typed)
    assert await hasher.verify(ours, typed) == Verification(matches=True, needs_rehash=False)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "nonsense", ["", "s2::", "s2:salt:beef", "salt:", "md5:abc", "$2b$10$short", "$argon2id$broken"]
)
async def test_an_invalid_hash_verifies_no_password(hasher: Hasher, nonsense: str) -> None:
    assert not is_legacy(nonsense)
    assert not verify_legacy(nonsense, "password")
    verification = await hasher.verify(parse_password_hash(nonsense), Password("password"))
    assert not verification.matches


@pytest.mark.parametrize("password_hash", [each for _, each in FOREIGN])
def test_a_password_that_is_not_unicode_matches_no_hash(password_hash: str) -> None:
    assert not verify_legacy(password_hash, "half a pair \ud800")


def test_the_scheme_of_a_hash_is_its_algorithm_and_cost() -> None:
    schemes = [
        parse_password_hash(text).scheme
        for text in (FOREIGN[-1][1], lucia_v1("x"), f"s2:{lucia_v1('x')}", OSLO_ARGON2ID[0][1])
    ]
    *legacy, argon2 = schemes
    assert legacy == ["$2b$04$", "scrypt r=8", "scrypt r=16"]
    assert argon2.startswith("$argon2id$v=19$m=")
    assert argon2 == OSLO_ARGON2ID[0][1].rsplit("$", 2)[0]


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("$argon2id$m=64,t=1,p=1$salt$key", "$argon2id$m=64,t=1,p=1"),
        ("$argon2id$v=19$m=64,t=1,p=1$" + "salt" * 2000 + "$a$b", "$argon2id$v=19$m=64,t=1,p=1"),
        ("$argon2id$" + "x" * 5000, "unknown"),
        ("nonsense", "unknown"),
        ("", "unknown"),
    ],
)
def test_no_salt_is_part_of_a_scheme(text: str, scheme: str) -> None:
    assert parse_password_hash(text).scheme == scheme


@pytest.mark.asyncio(loop_scope="module")
async def test_a_password_that_cannot_be_prepared_keeps_its_foreign_hash(hasher: Hasher) -> None:
    """No other hash could be made of it."""
    foreign = bcrypt.hashpw(b"a tab\t inside", b"$2b$04$CCCCCCCCCCCCCCCCCCCCC.").decode()
    verification = await hasher.verify(parse_password_hash(foreign), Password("a tab\t inside"))
    assert verification == Verification(matches=True, needs_rehash=False)
