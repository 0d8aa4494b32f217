"""Challenges: each is answered once, by whom it was made for, for what it was made for."""

from __future__ import annotations

import asyncio
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from msgspec import Struct
from sqlalchemy import text

from service.auth.challenges import KINDS, Challenges, Form, Made
from service.auth.cleanup import delete_expired_challenges
from service.auth.codes import Code, code_of, link_token_of
from service.auth.errors import InvalidChallenge, InvalidCode
from service.auth.secret_keys import Keyring
from service.model.challenges import MAX_FAILURES, Challenge, Purpose, Subject
from service.settings.database import DatabaseOptions
from service.settings.secret_keys import SecretKey, SecretKeys
from service.settings.values import Duration
from service.storage.database import Database
from tests.databases import execute, fetch, fetch_value, held, wait_for_lock_waiters
from tests.factories import with_other_id, with_other_secret

RING = Keyring(SecretKeys((SecretKey("k1", bytes(range(32))),)))
ADDRESS = Subject(address="a@example.com", display_address="A@example.com")
CODES = [purpose for purpose, kind in KINDS.items() if kind.form is Form.CODE]
LINKS = [purpose for purpose, kind in KINDS.items() if kind.form is Form.LINK]


class Holder(Struct, frozen=True):
    """Who was sent a challenge, and its mail."""

    challenges: Challenges
    database: Database
    purpose: Purpose
    made: Made
    session_id: UUID | None

    @property
    def code(self) -> Code:
        return code_of(RING, "k1", self.made.id, self.purpose)

    @property
    def wrong_code(self) -> Code:
        return Code(f"{(int(self.code) + 1) % 10**8:08}")

    async def check(self, code: Code | None = None, token: str | None = None) -> Challenge:
        return await self.challenges.check_code(
            self.purpose,
            self.made.token if token is None else token,
            code or self.code,
            session_id=self.session_id,
        )

    async def check_link(self) -> Challenge:
        token = link_token_of(RING, "k1", self.made.id, self.purpose)
        return await self.challenges.check_link(self.purpose, token)

    async def answer(self) -> Challenge:
        """Give the right answer, and claim the challenge."""
        return await self.claim(await self.checked())

    async def checked(self) -> Challenge:
        """Return the challenge with the right answer; that of a factor is checked elsewhere."""
        match KINDS[self.purpose].form:
            case Form.CODE:
                return await self.check()
            case Form.LINK:
                return await self.check_link()
            case Form.FACTOR | Form.TOKEN:
                return await self.challenges.check_token(
                    self.purpose, self.made.token, session_id=self.session_id
                )

    async def claim(self, checked: Challenge) -> Challenge:
        async with self.database.transaction() as connection:
            return await self.challenges.claim(connection, checked)

    async def refusals(self, code: Code, times: int) -> list[type[Exception]]:
        results = await asyncio.gather(
            *(self.check(code) for _ in range(times)), return_exceptions=True
        )
        return [type(each) for each in results if isinstance(each, Exception)]


async def make(
    database: Database,
    purpose: Purpose = Purpose.SIGN_UP,
    subject: Subject = ADDRESS,
    *,
    is_decoy: bool = False,
) -> Holder:
    challenges = Challenges(database, RING)
    async with database.transaction() as connection:
        made = await challenges.make(connection, purpose, subject, is_decoy=is_decoy)
    return Holder(challenges, database, purpose, made, subject.session_id)


async def in_thread(work: object, *arguments: object) -> object:
    return await asyncio.to_thread(work, *arguments)  # type: ignore[arg-type]


async def add_user_with_session(url: str) -> tuple[UUID, UUID]:
    user_id, session_id = uuid4(), uuid4()
    await in_thread(execute, url, 'INSERT INTO "user" (id) VALUES ($1)', user_id)
    statement = """
        INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                             absolute_expires_at) VALUES ($1, '', $2, now(), now(), now())
    """
    await in_thread(execute, url, statement, session_id, user_id)
    return user_id, session_id


async def test_the_right_code_claims_the_challenge_once(database: Database) -> None:
    holder = await make(database)
    claimed = await holder.answer()
    assert claimed.subject == ADDRESS
    with pytest.raises(InvalidChallenge):
        await holder.answer()


async def test_the_right_link_claims_the_challenge_once(database: Database) -> None:
    holder = await make(database, Purpose.PASSWORD_RESET)
    checked = await holder.check_link()
    await holder.claim(checked)
    with pytest.raises(InvalidChallenge):
        await holder.claim(checked)
    with pytest.raises(InvalidChallenge):
        await holder.check_link()


async def test_a_claim_is_undone_with_the_transaction_of_what_it_allows(
    database: Database,
) -> None:
    """A refused password, for example, burns neither code nor link."""
    holder = await make(database)
    checked = await holder.check()
    with pytest.raises(LookupError):
        async with database.transaction() as connection:
            await holder.challenges.claim(connection, checked)
            raise LookupError
    await holder.answer()


async def test_of_simultaneous_claims_one_wins(database: Database) -> None:
    for purpose in KINDS:
        holder = await make(database, purpose)
        results = await asyncio.gather(
            *(holder.answer() for _ in range(20)), return_exceptions=True
        )
        assert [type(each) for each in results].count(Challenge) == 1
        assert all(isinstance(each, Challenge | InvalidChallenge) for each in results)


def is_possible(order: tuple[str, ...]) -> bool:
    """Return whether who claims first commits first: the other one waits for that."""
    claims = [[n for n, who in enumerate(order) if who == me] for me in "ab"]
    first, second = sorted(claims, key=lambda steps: steps[1])
    return first[2] < second[2]


@pytest.mark.parametrize("order", sorted(filter(is_possible, set(permutations("aaabbb")))))
async def test_of_two_claims_one_wins_however_they_interleave(
    database: Database, order: tuple[str, ...]
) -> None:
    """Each checks, claims and commits: the steps of the two in any order.

    The second claim may wait for the commit of the first one, so it counts as done before.
    """
    claims = sorted(order.index(me, order.index(me) + 1) for me in "ab")
    holder = await make(database)
    turns = [asyncio.Event() for _ in order]
    done = [asyncio.Event() for _ in order]

    async def answer(me: str) -> bool:
        mine = [n for n, who in enumerate(order) if who == me]
        await turns[mine[0]].wait()
        try:
            checked = await holder.check()
        except InvalidChallenge:
            for n in mine:
                done[n].set()
            return False
        done[mine[0]].set()
        await turns[mine[1]].wait()
        try:
            async with database.transaction() as connection:
                if mine[1] == claims[1]:
                    done[mine[1]].set()
                await holder.challenges.claim(connection, checked)
                done[mine[1]].set()
                await turns[mine[2]].wait()
        except InvalidChallenge:
            return False
        finally:
            done[mine[1]].set()
            done[mine[2]].set()
        return True

    async def take_turns() -> None:
        for n, turn in enumerate(turns):
            turn.set()
            await done[n].wait()

    async with asyncio.timeout(60):
        won_a, won_b, _ = await asyncio.gather(answer("a"), answer("b"), take_turns())
    assert won_a != won_b


async def test_five_wrong_codes_end_a_challenge(database: Database) -> None:
    holder = await make(database)
    for _ in range(MAX_FAILURES - 1):
        with pytest.raises(InvalidCode):
            await holder.check(holder.wrong_code)
    with pytest.raises(InvalidChallenge):
        await holder.check(holder.wrong_code)
    with pytest.raises(InvalidChallenge):
        await holder.check()


async def test_after_four_wrong_codes_the_right_one_is_accepted(database: Database) -> None:
    holder = await make(database)
    assert await holder.refusals(holder.wrong_code, MAX_FAILURES - 1) == [InvalidCode] * 4
    await holder.answer()


async def test_of_simultaneous_wrong_codes_five_are_compared(
    database_url: str,
) -> None:
    database = Database(database_url, DatabaseOptions(pool_timeout=Duration.parse("60s")))
    holder = await make(database)
    refusals = await holder.refusals(holder.wrong_code, 200)
    assert refusals.count(InvalidCode) == MAX_FAILURES - 1
    assert refusals.count(InvalidChallenge) == 200 - MAX_FAILURES + 1
    with pytest.raises(InvalidChallenge):
        await holder.check()
    await database.close()
    count = "SELECT failures FROM challenge"
    assert await in_thread(fetch_value, database_url, count) == MAX_FAILURES


async def test_a_right_code_that_was_checked_is_void_after_five_wrong_ones(
    database: Database,
) -> None:
    """Of guesses that are sent at once, the right one counts only among the first five."""
    holder = await make(database)
    checked = await holder.check()
    await holder.refusals(holder.wrong_code, MAX_FAILURES)
    with pytest.raises(InvalidChallenge):
        await holder.claim(checked)


async def test_a_wrong_code_is_counted_whatever_the_caller_does(
    database: Database, database_url: str
) -> None:
    holder = await make(database)
    with pytest.raises(InvalidCode):
        async with database.transaction():
            await holder.check(holder.wrong_code)
    assert await in_thread(fetch_value, database_url, "SELECT failures FROM challenge") == 1


async def test_a_decoy_answers_like_any_challenge_but_to_no_code(database: Database) -> None:
    holder = await make(database, is_decoy=True)
    with pytest.raises(InvalidCode):
        await holder.check()
    assert await holder.refusals(holder.wrong_code, MAX_FAILURES - 2) == [InvalidCode] * 3
    with pytest.raises(InvalidChallenge):
        await holder.check()
    link = await make(database, Purpose.PASSWORD_RESET, is_decoy=True)
    with pytest.raises(InvalidChallenge):
        await link.check_link()


@pytest.mark.parametrize("purpose", list(KINDS))
async def test_a_challenge_expires_by_the_clock_of_the_database(
    database: Database, database_url: str, purpose: Purpose
) -> None:
    holder = await make(database, purpose)
    checked = await holder.checked()
    lifetime = "SELECT extract(epoch FROM expires_at - created_at)::int FROM challenge"
    assert await in_thread(fetch_value, database_url, lifetime) == KINDS[purpose].lifetime
    await in_thread(execute, database_url, "UPDATE challenge SET expires_at = now()")
    with pytest.raises(InvalidChallenge):
        await holder.claim(checked)
    with pytest.raises(InvalidChallenge):
        await holder.answer()


@pytest.mark.parametrize("purpose", [each for each in KINDS if each is not Purpose.SECOND_FACTOR])
async def test_an_expired_challenge_is_cleaned_up(
    database: Database, database_url: str, purpose: Purpose
) -> None:
    """The user of a log-in that was abandoned is told first."""
    await make(database, purpose)
    await in_thread(execute, database_url, "UPDATE challenge SET expires_at = now()")
    await delete_expired_challenges(database)
    assert await in_thread(fetch_value, database_url, "SELECT count(*) FROM challenge") == 0


async def test_a_challenge_that_has_not_expired_is_not_cleaned_up(database: Database) -> None:
    holder = await make(database)
    await delete_expired_challenges(database)
    await holder.answer()


@pytest.mark.parametrize(("mine", "other"), list(permutations(KINDS, 2)))
async def test_no_challenge_is_accepted_for_another_purpose(
    database: Database, mine: Purpose, other: Purpose
) -> None:
    """Each kind of token at each other place, and then where it belongs."""
    holder = await make(database, mine)
    link = link_token_of(RING, "k1", holder.made.id, mine)
    for token in (holder.made.token, link):
        with pytest.raises(InvalidChallenge):
            await holder.challenges.check_code(other, token, holder.code)
        with pytest.raises(InvalidChallenge):
            await holder.challenges.check_link(other, token)
    await holder.answer()


@pytest.mark.parametrize("purpose", [*CODES, *LINKS])
async def test_a_link_is_no_challenge_token_and_the_other_way_round(
    database: Database, purpose: Purpose
) -> None:
    holder = await make(database, purpose)
    link = link_token_of(RING, "k1", holder.made.id, purpose)
    if purpose in CODES:
        for token in (holder.made.token, link):
            with pytest.raises(InvalidChallenge):
                await holder.challenges.check_link(purpose, token)
        with pytest.raises(InvalidChallenge):
            await holder.check(token=link)
    else:
        for token in (holder.made.token, link):
            with pytest.raises(InvalidChallenge):
                await holder.check(token=token)
        with pytest.raises(InvalidChallenge):
            await holder.challenges.check_link(purpose, holder.made.token)
    await holder.answer()


async def test_a_code_is_no_answer_without_the_token_of_its_challenge(database: Database) -> None:
    holder = await make(database)
    token = holder.made.token
    for other in (with_other_secret(token), with_other_id(token), token[:-4], "", "x" * 64):
        with pytest.raises(InvalidChallenge):
            await holder.check(token=other)
    await holder.answer()


async def test_the_code_of_another_challenge_is_wrong(database: Database) -> None:
    one, another = await make(database), await make(database)
    with pytest.raises(InvalidCode):
        await one.check(another.code)
    await one.answer()
    await another.answer()


async def test_a_challenge_is_answered_in_its_session_only(
    database: Database, database_url: str
) -> None:
    user_id, session_id = await add_user_with_session(database_url)
    _, other_session = await add_user_with_session(database_url)
    subject = Subject(user_id=user_id, session_id=session_id)
    holder = await make(database, Purpose.EMAIL, subject)
    for presented in (None, other_session):
        with pytest.raises(InvalidChallenge):
            await holder.challenges.check_code(
                Purpose.EMAIL, holder.made.token, holder.code, session_id=presented
            )
    checked = await holder.check()
    await in_thread(execute, database_url, "DELETE FROM session WHERE id = $1", session_id)
    with pytest.raises(InvalidChallenge):
        await holder.claim(checked)


async def test_a_challenge_without_a_session_is_answered_in_none(
    database: Database, database_url: str
) -> None:
    _, session_id = await add_user_with_session(database_url)
    holder = await make(database)
    with pytest.raises(InvalidChallenge):
        await holder.challenges.check_code(
            holder.purpose, holder.made.token, holder.code, session_id=session_id
        )
    await holder.answer()


async def test_a_change_of_the_security_version_voids_a_challenge(
    database: Database, database_url: str
) -> None:
    user_id, _ = await add_user_with_session(database_url)
    holder = await make(
        database, Purpose.REAUTHENTICATION, Subject(user_id=user_id, security_version=0)
    )
    checked = await holder.check()
    change = 'UPDATE "user" SET security_version = security_version + 1'
    await in_thread(execute, database_url, change)
    with pytest.raises(InvalidChallenge):
        await holder.claim(checked)
    with pytest.raises(InvalidChallenge):
        await holder.check()


async def test_a_claim_waits_for_a_change_of_the_security_version_under_way(
    database: Database, database_url: str
) -> None:
    user_id, _ = await add_user_with_session(database_url)
    holder = await make(
        database, Purpose.REAUTHENTICATION, Subject(user_id=user_id, security_version=0)
    )
    checked = await holder.check()
    change = 'UPDATE "user" SET security_version = security_version + 1'

    def claim_meanwhile(loop: asyncio.AbstractEventLoop) -> type[Exception] | None:
        with held(database_url, change, end="COMMIT"):
            claim = asyncio.run_coroutine_threadsafe(holder.claim(checked), loop)
            wait_for_lock_waiters(database_url)
        exception = claim.exception(60)
        return None if exception is None else type(exception)  # type: ignore[return-value]

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(claim_meanwhile, loop) is InvalidChallenge


async def test_the_challenges_of_a_user_end_by_purpose_and_with_the_user(
    database: Database, database_url: str
) -> None:
    user_id, session_id = await add_user_with_session(database_url)
    reset = await make(database, Purpose.PASSWORD_RESET, Subject(user_id=user_id))
    other = await make(database, Purpose.EMAIL, Subject(user_id=user_id, session_id=session_id))
    async with database.transaction() as connection:
        await reset.challenges.end_all_of(connection, user_id, [Purpose.PASSWORD_RESET])
    with pytest.raises(InvalidChallenge):
        await reset.check_link()
    checked = await other.check()
    await in_thread(execute, database_url, 'DELETE FROM "user" WHERE id = $1', user_id)
    with pytest.raises(InvalidChallenge):
        await other.claim(checked)


async def test_a_code_whose_key_was_removed_is_void(database: Database) -> None:
    holder = await make(database)
    later = Challenges(database, Keyring(SecretKeys((SecretKey("k2", bytes(32)),))))
    with pytest.raises(InvalidChallenge):
        await later.check_code(holder.purpose, holder.made.token, holder.code)


@pytest.mark.parametrize("purpose", LINKS)
async def test_a_link_whose_key_was_removed_is_void(database: Database, purpose: Purpose) -> None:
    holder = await make(database, purpose)
    token = link_token_of(RING, "k1", holder.made.id, purpose)
    later = Challenges(database, Keyring(SecretKeys((SecretKey("k2", bytes(32)),))))
    with pytest.raises(InvalidChallenge):
        await later.check_link(purpose, token)
    assert (await holder.check_link()).purpose == purpose


async def test_what_a_passkey_signs_is_of_the_key_that_the_challenge_was_made_with(
    database: Database,
) -> None:
    made, old, new = uuid4(), RING, Keyring(SecretKeys((SecretKey("k2", bytes(32)),)))
    both = Keyring(SecretKeys((SecretKey("k2", bytes(32)), SecretKey("k1", bytes(range(32))))))
    signed = Challenges(database, old).passkey_challenge_of(made)
    assert Challenges(database, both).passkey_challenge_of(made, "k1") == signed
    assert Challenges(database, both).passkey_challenge_of(made) != signed
    with pytest.raises(InvalidChallenge):
        Challenges(database, new).passkey_challenge_of(made, "k1")


async def test_a_challenge_that_was_made_before_a_rotation_is_answered_after_it(
    database: Database,
) -> None:
    holder = await make(database)
    keys = SecretKeys((SecretKey("k2", bytes(32)), SecretKey("k1", bytes(range(32)))))
    rotated = Challenges(database, Keyring(keys))
    await rotated.check_code(holder.purpose, holder.made.token, holder.code)


async def test_the_database_holds_neither_token_nor_code_nor_link(
    database: Database, database_url: str
) -> None:
    for purpose in KINDS:
        await make(database, purpose)
    made = [await make(database, purpose) for purpose in KINDS]
    rows = await in_thread(fetch, database_url, "SELECT c::text FROM challenge AS c")
    stored = str(rows)
    for holder in made:
        assert holder.code not in stored
        assert holder.made.token not in stored
        assert link_token_of(RING, "k1", holder.made.id, holder.purpose)[22:] not in stored
        assert holder.made.token not in repr(holder.made)


async def test_the_undo_of_a_change_ends_that_of_a_later_one_which_began_before(
    database: Database, database_url: str
) -> None:
    """Whose turn it is, the lock on the user decides: not when a transaction began."""
    user_id, _ = await add_user_with_session(database_url)
    subject = Subject(user_id=user_id, address="a@example.com", display_address="a@example.com")
    challenges = Challenges(database, RING)
    async with database.transaction() as connection:
        await connection.execute(text("SELECT"))
        first = await make(database, Purpose.UNDO, subject)
        made = await challenges.make(connection, Purpose.UNDO, subject)
    later = Holder(challenges, database, Purpose.UNDO, made, None)
    async with database.transaction() as connection:
        claimed = await challenges.claim(connection, await first.check_link())
        await challenges.end_later_undos(connection, claimed)
    with pytest.raises(InvalidChallenge):
        await later.check_link()
