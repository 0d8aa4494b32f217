"""Refusals take equally long; `benchmarks` measure how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from service.auth import uniform_timing as module
from service.auth.accounts import Accounts, add_user
from service.auth.admissions import Admissions
from service.auth.challenges import Challenges
from service.auth.errors import InvalidCredentials, Overloaded, RateLimited
from service.auth.factors.existing import Factors
from service.auth.factors.passkey_answers import PasskeyAnswers
from service.auth.factors.proofs import FactorProofs
from service.auth.factors.second_factors import SecondFactors
from service.auth.hashing import pool
from service.auth.hashing.hasher import MEASURED_SCHEMES, Hasher, Verification
from service.auth.hashing.program import argon2_hasher
from service.auth.hashing.schemes import parse_password_hash
from service.auth.identifiers import Identifier
from service.auth.log_in_records import LogInRecords
from service.auth.notices import Notices
from service.auth.outbox import Outbox
from service.auth.password_changes import PasswordChanges
from service.auth.passwords import Password, PasswordPolicy
from service.auth.rate_limits import RateLimiter
from service.auth.secret_keys import Keyring
from service.auth.sessions import Sessions
from service.auth.uniform_timing import delay_refusal, measure_verify_times, uniform_timing
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.model.admissions import by_operator
from service.model.mail import Language
from service.model.request_context import RequestContext
from service.model.users import PasswordHash
from service.settings.database import DatabaseOptions
from service.settings.passwords import Argon2Cost
from service.settings.rate_limits import RateLimitSettings
from service.settings.secret_keys import SecretKeys
from service.settings.sessions import SessionSettings
from service.settings.sign_up import SignUpMode
from service.settings.totp import TOTPSettings
from service.settings.values import Rate
from service.storage.database import Database
from service.storage.session_lookups import SessionLookups
from tests.auth.test_hashing import PATIENT, process_of
from tests.auth.test_legacy_hashes import FOREIGN, OSLO_ARGON2ID, lucia_v1
from tests.databases import execute
from tests.factories import REMOVE_PASSWORDS
from tests.services import PATIENCE, SECRET_KEYS

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
RIGHT = PasswordPolicy().accept("correct horse battery staple")
WRONG = Password("incorrect horse")
HASHES = [
    *(password_hash for _, password_hash in (*FOREIGN, *OSLO_ARGON2ID)),
    lucia_v1("another", salt="b" * 16),
    argon2_hasher(CHEAP).hash("a"),
    argon2_hasher(CHEAP).hash("b"),
]


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(CHEAP, PATIENT, processes=1)
    yield hasher
    await hasher.close()


@pytest.fixture
async def accounts(database_url: str, database: Database, hasher: Hasher) -> Accounts:
    """Return accounts, of which Alice's exists; each name has one attempt."""
    lookups = SessionLookups(database_url, DatabaseOptions())
    sessions = Sessions(database, lookups, SessionSettings())
    limits = RateLimitSettings(log_in_failures_per_name=Rate.parse("1/15m"))
    async with database.transaction() as connection:
        password_hash = await hasher.hash(RIGHT)
        await add_user(connection, by_operator(), Username.parse("alice"), password_hash)
    rate_limiter = RateLimiter(database, hasher, limits, timeout=PATIENCE, device_lifetime=1)
    keyring = Keyring(SecretKeys.parse(SECRET_KEYS))
    challenges = Challenges(database, keyring)
    outbox = Outbox(database, Language.ENGLISH, is_available=False)
    notices = Notices(database, outbox, challenges)
    holds = UsernameHolds(hold=0)
    changes = PasswordChanges(challenges, notices)
    factors = Factors(database, keyring, rp_id=None)
    proofs = FactorProofs(keyring, TOTPSettings(), PasskeyAnswers(None), notices)
    second_factors = SecondFactors(
        *(
            database,
            sessions,
            challenges,
            factors,
            proofs,
            LogInRecords(sessions, notices),
            changes,
        ),
        ceremonies=None,
    )
    return Accounts(
        *(database, hasher, sessions, Admissions(database, SignUpMode.OPEN), rate_limiter),
        *(holds, changes, second_factors, notices),
    )


@pytest.fixture
async def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


def add_hashes(database_url: str, hashes: list[str]) -> None:
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
           INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT 'username', hash, id, hash, hash, scheme
           FROM u, unnest($1::text[], $2::text[]) AS h (hash, scheme)""",
        hashes,
        [parse_password_hash(each).scheme for each in hashes],
    )


async def test_every_scheme_in_use_is_measured_and_no_other(
    database_url: str, database: Database, hasher: Hasher
) -> None:
    await asyncio.to_thread(add_hashes, database_url, HASHES)
    await measure_verify_times(database, hasher)
    assert set(hasher._times.schemes) == {parse_password_hash(each).scheme for each in HASHES}
    await asyncio.to_thread(execute, database_url, REMOVE_PASSWORDS)
    await measure_verify_times(database, hasher)
    assert set(hasher._times.schemes) == {parse_password_hash(HASHES[-1]).scheme}


async def test_hashes_whose_stored_schemes_differ_are_measured_as_one_scheme(
    hasher: Hasher,
) -> None:
    stored = [PasswordHash(HASHES[-1], f"stored {number}") for number in range(50)]
    await hasher.measure(stored)
    assert len(hasher._times.schemes) == 1


async def test_the_p90_time_is_that_of_the_slowest_scheme(
    database_url: str, database: Database, hasher: Hasher
) -> None:
    assert hasher.refusal_time() == 0
    await measure_verify_times(database, hasher)
    ours = hasher.refusal_time()
    await asyncio.to_thread(add_hashes, database_url, HASHES)
    await measure_verify_times(database, hasher)
    assert hasher.refusal_time() > ours


async def test_the_start_of_a_process_is_not_measured(hasher: Hasher) -> None:
    await hasher.verify(None, Password("x"))
    assert not hasher._times.schemes
    await hasher.verify(None, Password("x"))
    assert len(hasher._times.schemes) == 1


@pytest.mark.parametrize(("typed", "runs"), [("wrong password", 1), ("ﬁwrong password", 2)])
async def test_a_refused_password_is_delayed_by_what_all_its_forms_take_with_the_slowest_scheme(
    hasher: Hasher, slept: list[float], typed: str, runs: int
) -> None:
    for seconds in (0.5, 2.0):
        hasher._times.keep(f"takes {seconds} s", seconds)
    verification = Verification(matches=False, seconds=0.25)
    await delay_refusal(hasher, verification, Password(typed))
    assert slept == [2.0 * runs - 0.25]


async def test_the_wait_for_a_process_does_not_count_as_work(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the slowest scheme would stand out when passwords queue."""
    await hasher.hash(RIGHT)
    clock = [0.0]
    monkeypatch.setattr(pool, "monotonic", lambda: clock[0])
    suspended = process_of(hasher)
    suspended.suspend()
    first, second = (asyncio.create_task(hasher.verify(None, WRONG)) for _ in range(2))
    for _ in range(3):
        await asyncio.sleep(0)
    clock[0] = 3.0
    suspended.resume()
    await asyncio.gather(first, second)
    assert [first.result().seconds, second.result().seconds] == [3.0, 0.0]


async def test_the_delay_of_a_refusal_is_bounded(hasher: Hasher) -> None:
    hasher._times.keep("a scheme that takes minutes", 1000.0)
    assert hasher.refusal_time(Password("ﬁwrong password")) == PATIENT.queue_timeout


async def test_a_hash_beyond_the_bounds_is_not_measured_and_told(hasher: Hasher) -> None:
    costly = "$2b$31$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"
    with capture_logs() as logs:
        await hasher.measure([parse_password_hash(costly)])
    assert set(hasher._times.schemes) == {parse_password_hash(HASHES[-1]).scheme}
    assert [each["event"] for each in logs] == ["password_hashes_unusable"]


async def test_an_exhausted_limit_is_delayed_by_the_time_of_one_form(
    hasher: Hasher, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([1000.0, 1000.25])
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    hasher._times.keep("some scheme", 2.0)
    with pytest.raises(RateLimited):
        async with uniform_timing(hasher):
            raise RateLimited(1)
    assert slept == [1.75]


@pytest.mark.parametrize("username", ["alice", "nobody"])
async def test_refused_log_ins_are_delayed_whether_the_name_exists_or_not(
    accounts: Accounts, slept: list[float], monkeypatch: pytest.MonkeyPatch, username: str
) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(pool, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(Hasher, "refusal_time", lambda *_: 2.0)
    for error in (InvalidCredentials, RateLimited):
        with pytest.raises(error):
            await accounts.log_in(Identifier.parse(username), WRONG, context=RequestContext())
    assert slept == [2.0, 2.0]


async def test_nothing_but_a_refusal_is_delayed(hasher: Hasher, slept: list[float]) -> None:
    await hasher.measure([])
    async with uniform_timing(hasher):
        pass
    with pytest.raises(Overloaded):
        async with uniform_timing(hasher):
            raise Overloaded
    assert slept == []


async def test_of_very_many_schemes_a_part_is_measured_at_a_time(hasher: Hasher) -> None:
    """Or whoever brings hashes of many costs would keep all processes busy with measuring."""
    key = "A" * 43
    stored = [
        parse_password_hash(f"pbkdf2_sha256${runs}$salt${key}=")
        for runs in range(1, 2 * MEASURED_SCHEMES + 1)
    ]
    for measured in (MEASURED_SCHEMES, 2 * MEASURED_SCHEMES):
        # Our own scheme, which is always measured, is none of that part.
        await hasher.measure([hasher._dummy_hash, *stored])
        assert len({each.scheme for each in stored} & {*hasher._times.schemes}) == measured
