"""Hashes that other systems made. The vectors were made by the original libraries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import pytest

from service.auth.foreign_hashes import is_foreign, verify_foreign
from service.auth.hash_process import Argon2Cost
from service.auth.hashing import Hasher
from service.auth.passwords import Password
from service.model import PasswordHash

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
OSLO_ARGON2ID = [(each["password"], each["hash"]) for each in VECTORS["oslo_argon2id"]]


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    cheap = Argon2Cost(time_cost=1, memory_kib=64)
    hasher = Hasher(cheap, processes=1, queue_length=1, patience=10)
    yield hasher
    await hasher.close()


@pytest.mark.parametrize(("password", "password_hash"), FOREIGN)
def test_a_foreign_hash_verifies_its_password_and_no_other(
    password: str, password_hash: str
) -> None:
    assert is_foreign(password_hash)
    assert verify_foreign(password_hash, password)
    assert not verify_foreign(password_hash, f"not {password}")


@pytest.mark.parametrize(("password", "password_hash"), FOREIGN[:-2] + OSLO_ARGON2ID)
async def test_the_hasher_verifies_and_upgrades_it(
    hasher: Hasher, password: str, password_hash: str
) -> None:
    typed, stored = Password(password), PasswordHash(password_hash)
    assert await hasher.verify(stored, typed)
    assert not await hasher.verify(stored, Password("something else"))
    ours = await hasher.rehash(stored, typed)
    assert ours is not None
    assert ours.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await hasher.verify(ours, typed)


async def test_oslos_argon2id_of_a_compatibility_character_verifies_and_is_upgraded(
    hasher: Hasher,
) -> None:
    """oslo hashes the password in form NFKC, we do not: the two look the same and are not."""
    oslos = PasswordHash(hasher._argon2.hash("fiancé Å1"))
    typed = Password("ﬁancé Å①")
    assert await hasher.verify(oslos, typed)
    ours = await hasher.rehash(oslos, typed)
    assert ours is not None
    assert await hasher.verify(ours, typed)
    assert await hasher.rehash(ours, typed) is None


@pytest.mark.parametrize(
    "nonsense", ["", "s2::", "s2:salt:beef", "salt:", "md5:abc", "$2b$10$short", "$argon2id$broken"]
)
async def test_what_is_no_hash_verifies_nothing(hasher: Hasher, nonsense: str) -> None:
    assert not is_foreign(nonsense)
    assert not verify_foreign(nonsense, "password")
    assert not await hasher.verify(PasswordHash(nonsense), Password("password"))
