"""Hashes of other systems. The original libraries made the vectors."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from unicodedata import normalize

import argon2
import bcrypt
import pytest
import pytest_asyncio

from service.auth.hashing import legacy_hashes
from service.auth.hashing.django_hashes import DjangoScryptHash
from service.auth.hashing.hasher import Hasher, Verification
from service.auth.hashing.jobs import Verified, Verify
from service.auth.hashing.legacy_hashes import is_legacy, verify_legacy
from service.auth.hashing.pbkdf2_hashes import PBKDF2Hash
from service.auth.hashing.program import argon2_hasher, execute
from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.auth.passwords import Password
from service.settings.passwords import Argon2Cost
from tests.auth.test_hashing import PATIENT

HERE = Path(__file__).parent
VECTORS = json.loads((HERE / "lucia-vectors.json").read_text(encoding="utf-8"))

OTHERS = json.loads((HERE / "foreign-hash-vectors.json").read_text(encoding="utf-8"))


def keycloak_text(vector: dict[str, str]) -> str:
    """Return the text of a password that Keycloak keeps, as `docs/transfer.md` makes it."""
    data, secret = json.loads(vector["credential_data"]), json.loads(vector["secret_data"])
    salt, key = secret["salt"].rstrip("="), secret["value"].rstrip("=")
    if data["algorithm"] == "argon2":
        cost = {name: values[0] for name, values in data["additionalParameters"].items()}
        passes = data["hashIterations"]
        parameters = f"m={cost['memory']},t={passes},p={cost['parallelism']}"
        return f"$argon2{cost['type']}$v=19${parameters}${salt}${key}"
    digest = data["algorithm"].partition("-")[2] or "sha1"
    return f"$pbkdf2-{digest}$i={data['hashIterations']}${salt}${key}"


DJANGO = [
    (each["password"], parse_password_hash(each["hash"]).text)
    for each in OTHERS["django"]["defaults"] + OTHERS["django"]["low_cost"]
]
KEYCLOAK = [(each["password"], keycloak_text(each)) for each in OTHERS["keycloak"]["vectors"]]
BETTER_AUTH = [(each["password"], each["hash"]) for each in OTHERS["better_auth"]["vectors"]]
ALL_OTHERS = DJANGO + KEYCLOAK + BETTER_AUTH


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
OTHERS_BUT_ARGON2 = [each for each in ALL_OTHERS if not each[1].startswith("$argon2")]
OSLO_ARGON2ID = [(each["password"], each["hash"]) for each in VECTORS["oslo_argon2id"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(CHEAP, PATIENT, processes=1)
    yield hasher
    await hasher.close()


@pytest.mark.parametrize(("password", "password_hash"), FOREIGN + OTHERS_BUT_ARGON2)
def test_a_foreign_hash_verifies_its_password_and_no_other(
    password: str, password_hash: str
) -> None:
    assert is_legacy(password_hash)
    assert verify_legacy(password_hash, password)
    assert not verify_legacy(password_hash, f"not {password}")


async def renewed(hasher: Hasher, password_hash: str, password: str) -> Verification:
    stored = parse_password_hash(password_hash)
    return await hasher.verify(stored, Password(password), renew=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("password", "password_hash"), FOREIGN[:-2] + OSLO_ARGON2ID + ALL_OTHERS)
async def test_a_foreign_hash_that_matches_is_replaced_by_one_of_ours(
    hasher: Hasher, password: str, password_hash: str
) -> None:
    wrong = await renewed(hasher, password_hash, "something else")
    assert not wrong.matches
    assert wrong.new_hash is None
    right = await renewed(hasher, password_hash, password)
    assert right.matches
    assert right.new_hash is not None
    assert right.new_hash.text.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    again = await renewed(hasher, right.new_hash.text, password)
    assert again.matches
    assert again.new_hash is None


BCRYPT_SALT = b"$2b$04$CCCCCCCCCCCCCCCCCCCCC."


# Which passwords log in before and after one of them renewed a hash, however it is typed.
USUAL, FULL_WIDTH, LIGATURE = "fiancé Å1", "ｆｉａｎｃé Å1", "ﬁancé Å①"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("typed", [USUAL, FULL_WIDTH, LIGATURE])
@pytest.mark.parametrize(
    "foreign",
    [
        lucia_v1(normalize("NFKC", USUAL)),
        argon2_hasher(Argon2Cost(time_cost=2, memory_kib=64)).hash(normalize("NFKC", USUAL)),
    ],
    ids=["Lucia's scrypt", "oslo's Argon2id"],
)
async def test_every_spelling_that_logged_in_logs_in_after_a_renewal_by_any(
    hasher: Hasher, foreign: str, typed: str
) -> None:
    new = (await renewed(hasher, foreign, typed)).new_hash
    assert new is not None
    for spelling in (USUAL, FULL_WIDTH, LIGATURE):
        again = await hasher.verify(new, Password(spelling), renew=True)
        assert again.matches
        assert again.new_hash is None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_hash_of_ours_is_renewed_from_the_form_that_matched(hasher: Hasher) -> None:
    """The form of a new hash is NFC, which does not unite widths."""
    ours = argon2_hasher(Argon2Cost(time_cost=2, memory_kib=64)).hash(FULL_WIDTH)
    new = (await renewed(hasher, ours, FULL_WIDTH)).new_hash
    assert new is not None
    assert (await hasher.verify(new, Password(FULL_WIDTH))).matches
    assert not (await hasher.verify(new, Password(USUAL))).matches


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("length", [72, 73, 100])
async def test_a_bcrypt_hash_stays_if_the_password_may_be_longer_than_what_it_covers(
    hasher: Hasher, length: int
) -> None:
    """The owner's password may go on after the 72 bytes that were typed right."""
    foreign = bcrypt.hashpw(b"x" * 72, BCRYPT_SALT).decode()
    verification = await renewed(hasher, foreign, "x" * length)
    assert verification.matches
    assert verification.new_hash is None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("password", ["x" * 71, "é" * 35])
async def test_a_bcrypt_hash_of_a_password_it_covers_is_renewed(
    hasher: Hasher, password: str
) -> None:
    foreign = bcrypt.hashpw(password.encode(), BCRYPT_SALT).decode()
    new = (await renewed(hasher, foreign, password)).new_hash
    assert new is not None
    assert (await hasher.verify(new, Password(password))).matches


COSTLY = [
    "pbkdf2_sha256$2000001$salt$" + "A" * 43 + "=",
    "pbkdf2_sha256$9999999$salt$" + "A" * 43 + "=",
    "pbkdf2_sha256$4294967295$salt$" + "A" * 43 + "=",
    "$pbkdf2-sha256$i=1000001$c2FsdA$" + "A" * 86,
    "$pbkdf2-sha512$i=4294967295$c2FsdA$" + "A" * 86,
    "scrypt$65536$salt$16$1$" + "A" * 86 + "==",
    "scrypt$16384$salt$8$9$" + "A" * 86 + "==",
    "scrypt$1048576$salt$1$1$" + "A" * 86 + "==",
    "bcrypt_sha256$$2b$15$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    "$2b$15$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    "$2b$31$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=1048577,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=64,t=4294967295,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=4096,t=1,p=17$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2i$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2d$v=19$m=64,t=99999999,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
]
NOT_STORABLE = [
    "s2:a\0b:" + "a" * 128,
    "pbkdf2_sha256$1$a\0b$" + "A" * 43 + "=",
    "scrypt$2$a\0b$1$1$" + "A" * 86 + "==",
]
MALFORMED = [
    *NOT_STORABLE,
    "",
    "pbkdf2_sha256$0$salt$" + "A" * 43 + "=",
    "pbkdf2_sha256$1$$" + "A" * 43 + "=",
    "pbkdf2_sha256$1$salt$" + "A" * 42 + "==",
    "pbkdf2_sha1$1$salt$" + "A" * 43 + "=",
    "pbkdf2_md5$1$salt$" + "A" * 43 + "=",
    "pbkdf2_sha256$1$half\ud800$" + "A" * 43 + "=",
    "$pbkdf2-sha256$i=1$c2FsdA$" + "A" * 20,
    "$pbkdf2-sha256$i=1$c2FsdA$" + "A" * 25,
    "$pbkdf2-sha256$i=1$c2FsdA$" + "A" * 180,
    "$pbkdf2-sha256$i=1$c2Fsd$" + "A" * 43,
    "$pbkdf2-sha256$1$c2FsdA$" + "A" * 43,
    "scrypt$16385$salt$8$1$" + "A" * 86 + "==",
    "scrypt$1$salt$8$1$" + "A" * 86 + "==",
    "scrypt$1024$half\ud800$8$1$" + "A" * 86 + "==",
    "bcrypt_sha256$$2b$03$" + "A" * 53,
    "bcrypt$$2b$10$short",
    "argon2$argon2id$broken",
    "!YyeE3tDkiqSXDVYEBKo5oi1dNWqrjgXk5BSLGB9q",
    "s2::",
    "s2:salt:beef",
    "salt:",
    "md5:abc",
    "$2b$10$short",
    "$2b$03$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    "$2b$04$CCCCCCCCCCCCCCCCCCCCCz7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    "$2x$04$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    f"s2:{'salt' * 100}:{'ab' * 64}",
    "$argon2id$broken",
    "$argon2id$v=19$m=64,t=1,p=1$!!!!!!!!!!!$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$YWJj",
    "$argon2id$v=19$m=64,t=1,p=1$short$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=8,t=1,p=16$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=7$m=64,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
    "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + "A" * 2000,
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("password_hash", COSTLY + MALFORMED)
async def test_no_password_matches_a_hash_that_is_malformed_or_beyond_the_bounds(
    hasher: Hasher, password_hash: str
) -> None:
    assert not is_verifiable(password_hash)
    verification = await renewed(hasher, password_hash, "password")
    assert not verification.matches
    assert verification.new_hash is None


def test_a_hash_of_django_that_takes_the_most_memory_is_verified() -> None:
    """Its memory exceeds the default limit of OpenSSL (``maxmem``, 32 MiB)."""
    cost = {"n": 32768, "r": 16, "p": 1, "maxmem": 2**27}
    key = b64encode(hashlib.scrypt(b"password", salt=b"salt", **cost)).decode()
    assert verify_legacy(f"scrypt$32768$salt$16$1${key}", "password")
    assert not verify_legacy(f"scrypt$32768$salt$16$1${key}", "another")


@pytest.mark.parametrize("password_hash", MALFORMED)
def test_whatever_a_hash_contains_is_no_match_for_the_program(password_hash: str) -> None:
    job = Verify(password_hash=password_hash, forms=["a", "b"], prepared="a", text="a", renew=True)
    assert execute(job, argon2_hasher(CHEAP)) == Verified(matches=False)


@pytest.mark.parametrize(
    "password_hash",
    [
        "$2b$14$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
        "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
        "$argon2id$v=19$m=262144,t=3,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
        "$argon2i$m=64,t=1,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts",
        "pbkdf2_sha256$2000000$salt$" + "A" * 43 + "=",
        "$pbkdf2-sha256$i=1000000$c2FsdA$" + "A" * 86,
        "scrypt$16384$salt$8$8$" + "A" * 86 + "==",
        "scrypt$32768$salt$16$1$" + "A" * 86 + "==",
        *(each for _, each in FOREIGN + OSLO_ARGON2ID + ALL_OTHERS),
    ],
)
def test_what_other_systems_use_is_within_the_bounds(password_hash: str) -> None:
    assert is_verifiable(password_hash)


def test_a_current_cost_beyond_the_bounds_is_verified() -> None:
    password_hash = "$argon2id$v=19$m=2097152,t=2,p=1$c29tZXNhbHQ$YWJjZGVmZ2hpamts"
    assert not is_verifiable(password_hash)
    assert is_verifiable(password_hash, Argon2Cost(memory_kib=2097152, time_cost=2))


@pytest.mark.parametrize("forms", [["typed"], ["prepared", "typed"], ["a", "b", "typed"]])
@pytest.mark.parametrize(
    "password_hash",
    [
        *(lucia_v1("x"), *(each for _, each in FOREIGN[-3:]), argon2_hasher(CHEAP).hash("x")),
        *(next(text for _, text in DJANGO if text.startswith(each)) for each in ("pb", "bc", "sc")),
    ],
    ids=lambda password_hash: password_hash[:9],
)
def test_a_refusal_takes_as_many_runs_of_any_scheme_as_the_password_has_forms(
    monkeypatch: pytest.MonkeyPatch, password_hash: str, forms: list[str]
) -> None:
    runs = []

    def count(*_: object, **__: object) -> bool:
        runs.append(1)
        return False

    monkeypatch.setattr(legacy_hashes, "_verify_scrypt", count)
    monkeypatch.setattr(bcrypt, "checkpw", count)
    monkeypatch.setattr(PBKDF2Hash, "verify", count)
    monkeypatch.setattr(DjangoScryptHash, "verify", count)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", count)
    job = Verify(password_hash=password_hash, forms=forms, prepared=None, text="typed", renew=False)
    assert execute(job, argon2_hasher(CHEAP)) == Verified(matches=False)
    assert len(runs) == len(forms)


@pytest.mark.parametrize("password_hash", [each for _, each in FOREIGN + OTHERS_BUT_ARGON2])
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


def test_the_schemes_of_other_systems_differ_wherever_the_work_does() -> None:
    key = "A" * 43
    schemes = [
        parse_password_hash(text).scheme
        for text in (
            f"pbkdf2_sha256$1000$salt${key}=",
            f"$pbkdf2-sha256$i=1000$c2FsdA${key}",
            f"$pbkdf2-sha256$i=1001$c2FsdA${key}",
            f"$pbkdf2-sha512$i=1000$c2FsdA${key}",
            f"$pbkdf2-sha256$i=1000$c2FsdA${key * 2}",
            f"scrypt$1024$salt$8$1${key * 2}==",
            f"scrypt$2048$salt$8$1${key * 2}==",
            f"scrypt$1024$salt$8$5${key * 2}==",
        )
    ]
    assert schemes == [
        "pbkdf2-sha256 i=1000 l=32",
        "pbkdf2-sha256 i=1000 l=32",
        "pbkdf2-sha256 i=1001 l=32",
        "pbkdf2-sha512 i=1000 l=32",
        "pbkdf2-sha256 i=1000 l=64",
        "scrypt n=1024 r=8 p=1",
        "scrypt n=2048 r=8 p=1",
        "scrypt n=1024 r=8 p=5",
    ]


def test_hashes_are_kept_without_the_prefixes_of_django() -> None:
    kept = [parse_password_hash(each["hash"]).text for each in OTHERS["django"]["low_cost"]]
    prefixes = {each.partition("$")[0] for each in kept}
    assert prefixes == {"", "pbkdf2_sha256", "pbkdf2_sha1", "bcrypt_sha256", "scrypt"}
    assert parse_password_hash("bcrypt$bcrypt$$2b$04$").text == "bcrypt$bcrypt$$2b$04$"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("typed", [normalize("NFD", "fiancé Å1"), "two\u2003spaces"])
async def test_a_hash_of_what_was_typed_matches_though_no_form_is_the_same(
    hasher: Hasher, typed: str
) -> None:
    """Django and Keycloak hash passwords as they are."""
    foreign = argon2_hasher(CHEAP).hash(typed)
    assert (await renewed(hasher, foreign, typed)).matches
    assert not (await renewed(hasher, foreign, "fiancé Å1")).matches


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
    verification = await renewed(hasher, foreign, "a tab\t inside")
    assert verification.matches
    assert verification.new_hash is None
