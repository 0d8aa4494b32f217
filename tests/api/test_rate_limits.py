"""Rate limits on log-ins and sign-ups, which do not lock owners out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, log_in, sign_up
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service, running, wait_until_measured

HOME = "192.0.2.1"

Start = Callable[..., Service]


def with_limits(**limits: str) -> dict[str, str]:
    """Return the environment of a service behind a proxy that has these limits only."""
    settings = {f"OSTIARY_{name.upper()}": value for name, value in limits.items()}
    return {"OSTIARY_TRUSTED_PROXIES": "127.0.0.1", **NO_LIMITS, **settings}


@pytest.fixture
def start(services: ServicePool) -> Start:
    return lambda **limits: services.service(with_limits(**limits))


@pytest.fixture
def database_url(services: ServicePool) -> str:
    return services.database_url


def at(service: Service, address: str) -> AbstractContextManager[httpx.Client]:
    return service.client(headers={"X-Forwarded-For": address})


def guess(service: Service, address: str, username: str = "Alice", password: str = "wrong") -> int:
    with at(service, address) as client:
        return log_in(client, username, password=password).status_code


def advance_time(database_url: str, seconds: int) -> None:
    execute(database_url, "UPDATE rate_limit SET tat = tat - make_interval(secs => $1)", seconds)


@pytest.fixture
def alice(start: Start) -> None:
    with start().client() as client:
        sign_up(client, "Alice")


def test_failed_log_ins_from_one_address_are_limited(start: Start) -> None:
    service = start(log_in_failures_per_address="3/15m")
    assert [guess(service, HOME, f"name{n}") for n in range(5)] == [401, 401, 401, 429, 429]
    assert guess(service, "192.0.2.2") == 401


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("username", ["Alice", "Nobody", "no body", "\0"])
def test_failed_log_ins_for_one_name_are_limited_whether_it_exists_or_not(
    start: Start, username: str
) -> None:
    service = start(log_in_failures_per_name="3/15m")
    statuses = [guess(service, HOME, username) for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def test_a_refusal_states_when_to_retry(start: Start) -> None:
    service = start(log_in_failures_per_address="2/10m")
    guess(service, HOME)
    guess(service, HOME)
    with at(service, HOME) as client:
        response = log_in(client)
    assert response.json()["code"] == "rate_limited"
    assert 295 <= int(response.headers["retry-after"]) <= 300
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "limits",
    [
        {"log_in_failures_per_name": "2/10m"},
        {"log_in_failures_per_address": "2/10m"},
        {"log_in_failures_per_name": "1/10m", "log_in_failures_per_address": "2/15m"},
        {"log_ins_per_name_and_address": "2/10m"},
    ],
)
def test_an_attempt_succeeds_after_the_time_a_refusal_states(
    start: Start, database_url: str, limits: dict[str, str]
) -> None:
    service = start(**limits)
    with at(service, HOME) as client:
        while (refusal := log_in(client)).status_code != 429:
            assert refusal.status_code == 401
        advance_time(database_url, int(refusal.headers["retry-after"]) - 5)
        assert log_in(client).status_code == 429
        advance_time(database_url, 5)
        assert log_in(client).status_code == 401


def test_attempts_are_restored_one_by_one(start: Start, database_url: str) -> None:
    service = start(log_in_failures_per_name="2/10m")
    assert [guess(service, HOME) for _ in range(3)] == [401, 401, 429]
    advance_time(database_url, 300)
    assert [guess(service, HOME) for _ in range(2)] == [401, 429]
    advance_time(database_url, 600)
    assert [guess(service, HOME) for _ in range(3)] == [401, 401, 429]


@pytest.mark.usefixtures("alice")
def test_successful_log_ins_are_refunded(start: Start) -> None:
    service = start(log_in_failures_per_name="2/15m", log_in_failures_per_address="2/15m")
    guess(service, HOME)
    assert {guess(service, HOME, password=PASSWORD) for _ in range(5)} == {200}
    assert [guess(service, HOME) for _ in range(2)] == [401, 429]


@pytest.mark.usefixtures("alice")
def test_an_attacker_does_not_lock_the_owner_out(start: Start) -> None:
    service = start(log_in_failures_per_name="3/15m")
    assert [guess(service, f"203.0.113.{n % 2}") for n in range(5)][-2:] == [429, 429]
    assert guess(service, HOME, password=PASSWORD) == 200
    assert guess(service, "203.0.113.1", password=PASSWORD) == 429


@pytest.mark.usefixtures("alice")
def test_under_attack_a_new_address_has_one_attempt(start: Start, database_url: str) -> None:
    service = start(log_in_failures_per_name="2/10m")
    assert [guess(service, "203.0.113.1") for _ in range(3)] == [401, 401, 429]
    assert [guess(service, "203.0.113.2") for _ in range(3)] == [401, 429, 429]
    advance_time(database_url, 290)
    assert guess(service, "203.0.113.2") == 429
    advance_time(database_url, 310)
    assert guess(service, "203.0.113.2") == 401


def test_all_spellings_of_a_name_are_one_name(start: Start) -> None:
    service = start(log_in_failures_per_name="3/15m")
    spellings = ["alice", "ALICE", "ＡＬＩＣＥ", "Alice"]
    assert [guess(service, HOME, spelling) for spelling in spellings] == [401, 401, 401, 429]


def test_all_spellings_of_an_address_are_one_name(start: Start) -> None:
    service = start(log_in_failures_per_name="3/15m")
    spellings = ["bob@faß.de", "BOB@FAß.de", "bob@xn--fa-hia.de", "bob@faß.de"]
    assert [guess(service, HOME, spelling) for spelling in spellings] == [401, 401, 401, 429]


def test_failures_for_one_name_use_up_no_attempts_for_another(start: Start) -> None:
    service = start(log_in_failures_per_name="1/15m")
    names = ["Alice", "Alice", "Bobby"]
    assert [guess(service, HOME, name) for name in names] == [401, 429, 401]


def test_an_ipv6_network_of_64_bits_is_one_address(start: Start) -> None:
    service = start(log_in_failures_per_address="2/15m")
    addresses = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:3::", "2001:db8:0:1::1"]
    assert [guess(service, address) for address in addresses] == [401, 401, 429, 401]


# Networks of 64 bits: three in one /56, another in the /48, and one elsewhere.
NEIGHBOURS = ["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"]
SAME_SITE = ["2001:db8:0:100::1", "2001:db8:0:200::1"]
OTHER_SITE = "2001:db8:1::1"


def test_under_attack_larger_ipv6_networks_have_growing_allowances(start: Start) -> None:
    service = start(log_in_failures_per_name="1/15m")
    assert guess(service, HOME) == 401
    addresses = [NEIGHBOURS[0], *NEIGHBOURS, *SAME_SITE, OTHER_SITE]
    assert [guess(service, address) for address in addresses] == [401, 429, 401, 429, 401, 429, 401]


def test_spraying_from_an_ipv6_site_is_limited(start: Start) -> None:
    """A /56 has twice, and a /48 three times, the failures of a /64."""
    service = start(log_in_failures_per_address="2/15m")
    names = iter(range(100))

    def spray(address: str) -> list[int]:
        return [guess(service, address, f"name{next(names)}") for _ in range(3)]

    assert [spray(address) for address in NEIGHBOURS] == [
        *([401, 401, 429], [401, 401, 429]),
        [429, 429, 429],
    ]
    assert [spray(address) for address in SAME_SITE] == [[401, 401, 429], [429, 429, 429]]
    assert spray(OTHER_SITE) == [401, 401, 429]


def test_sign_ups_from_an_ipv6_site_are_limited(start: Start) -> None:
    service = start(sign_ups_per_address="1/15m")
    statuses = []
    for number, address in enumerate([*NEIGHBOURS, *SAME_SITE, OTHER_SITE]):
        with at(service, address) as client:
            statuses.append(sign_up(client, f"user{number}").status_code)
    assert statuses == [201, 201, 429, 201, 429, 201]


def test_processes_share_their_limits(start: Start, tmp_path: Path) -> None:
    limits = {"log_in_failures_per_name": "3/15m"}
    one = start(**limits)
    with running(one.database_url, tmp_path / "other.log", with_limits(**limits)) as other:
        statuses = [guess(service, HOME) for service in (one, other, one, other, one)]
        assert statuses == [401, 401, 401, 429, 429]
        with ThreadPoolExecutor(24) as pool:
            guesses = pool.map(lambda n: guess((one, other)[n % 2], HOME, "Bobby"), range(24))
            assert Counter(guesses) == {401: 3, 429: 21}
            with one.client() as client:
                sign_up(client, "Carol")
            right = pool.map(
                lambda n: guess((one, other)[n % 2], HOME, "Carol", PASSWORD), range(24)
            )
            assert set(right) == {200}


def test_simultaneous_guesses_do_not_exceed_the_limit(start: Start) -> None:
    service = start(log_in_failures_per_address="5/15m", log_in_failures_per_name="5/15m")
    with ThreadPoolExecutor(20) as pool:
        statuses = Counter(pool.map(lambda _: guess(service, HOME), range(20)))
    assert statuses == {401: 5, 429: 15}


def test_simultaneous_guesses_at_many_names_do_not_deadlock(start: Start) -> None:
    service = start(
        log_in_failures_per_address="999/15m",
        log_in_failures_per_name="999/15m",
        hash_queue_length="1000",
    )
    tries = [(f"192.0.2.{n % 3}", f"name{n % 4}") for n in range(120)]
    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(pool.map(lambda attempt: guess(service, *attempt), tries))
    assert statuses == {401: 120}


def test_a_forged_header_does_not_evade_the_limit(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "2/15m"})
    assert [guess(service, f"198.51.100.{n}") for n in range(3)] == [401, 401, 429]


def test_zero_means_no_limit(start: Start) -> None:
    service = start()
    assert {guess(service, HOME) for _ in range(60)} == {401}


def send_two_with_capacity_for_one(service: Service, send: Callable[[], int]) -> list[int]:
    """Send two simultaneous requests to a service that hashes one password and queues none."""
    wait_until_measured(service)
    (hashing,) = [
        process
        for process in service.process.children(recursive=True)
        if "service.auth.hashing.program" in process.cmdline()
    ]
    with ThreadPoolExecutor(2) as pool:
        hashing.suspend()
        try:
            both = [pool.submit(send) for _ in range(2)]
            wait(both, return_when=FIRST_COMPLETED)
        finally:
            hashing.resume()
    return sorted(each.result() for each in both)


ONE_AT_A_TIME = {"hash_processes": "1", "hash_queue_length": "0", "log_level": "debug"}


def test_a_log_in_refused_for_overload_is_refunded(start: Start) -> None:
    service = start(log_in_failures_per_address="2/15m", **ONE_AT_A_TIME)
    assert send_two_with_capacity_for_one(service, lambda: guess(service, HOME)) == [401, 503]
    assert [guess(service, HOME) for _ in range(2)] == [401, 429]


def test_a_sign_up_refused_for_overload_is_refunded(start: Start) -> None:
    service = start(sign_ups_per_address="2/1h", **ONE_AT_A_TIME)
    usernames = iter(["Alice", "Bobby", "Carol", "David"])

    def attempt() -> int:
        with at(service, HOME) as client:
            return sign_up(client, next(usernames)).status_code

    assert send_two_with_capacity_for_one(service, attempt) == [201, 503]
    assert [attempt() for _ in range(2)] == [201, 429]


def test_submitted_names_are_not_stored(start: Start, database_url: str) -> None:
    service = start(log_in_failures_per_name="3/15m")
    guess(service, HOME, "hunter2-in-the-wrong-field")
    written = "SELECT string_agg(encode(bucket, 'escape'), ' ') FROM rate_limit"
    assert "hunter2" not in fetch_value(database_url, written)


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [("PUT", "/me/password", "current_password"), ("DELETE", "/me", "password")],
)
def test_guesses_at_the_current_password_are_limited(
    start: Start, method: str, path: str, field: str
) -> None:
    service = start(log_in_failures_per_device="2/15m")
    with at(service, HOME) as client:
        sign_up(client)
        body = {field: "wrong", "new_password": "an entirely different one"}
        if method == "DELETE":
            del body["new_password"]
        statuses = [client.request(method, path, json=body).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert guess(service, HOME, password=PASSWORD) == 200


def test_attempts_elsewhere_do_not_keep_a_user_from_changing_the_password(start: Start) -> None:
    service = start(log_in_failures_per_name="2/15m", log_in_failures_per_address="3/15m")
    with at(service, HOME) as client:
        sign_up(client)
        assert [guess(service, HOME) for _ in range(4)][-2:] == [429, 429]
        client.cookies.delete("auth_device")
        body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
        assert client.put("/me/password", json=body).status_code == 200


def test_each_session_has_checks_of_the_password_of_its_own(start: Start) -> None:
    service = start(log_in_failures_per_device="1/15m")
    with at(service, HOME) as thief, at(service, HOME) as owner:
        sign_up(owner)
        log_in(thief)
        wrong = {"password": "wrong"}
        assert [thief.request("DELETE", "/me", json=wrong).status_code for _ in range(2)] == [
            *(401, 429)
        ]
        assert owner.request("DELETE", "/me", json={"password": PASSWORD}).status_code == 204


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("wrong", [0, 1])
def test_simultaneous_right_log_ins_are_not_limited(start: Start, wrong: int) -> None:
    """An attempt in flight is no failure."""
    service = start(log_in_failures_per_name="3/15m", log_in_failures_per_address="3/15m")
    passwords = [*["wrong"] * wrong, *[PASSWORD] * 12]
    with ThreadPoolExecutor(len(passwords)) as pool:
        statuses = Counter(
            pool.map(lambda password: guess(service, HOME, password=password), passwords)
        )
    assert statuses == {200: 12, **({401: wrong} if wrong else {})}


@pytest.mark.usefixtures("alice")
def test_an_attempt_waits_for_one_in_flight_in_another_process(
    start: Start, database_url: str
) -> None:
    """The reservation is in the database."""
    service = start(log_in_failures_per_address="1/15m")
    guess(service, HOME)
    advance_time(database_url, 899)
    reserve = "UPDATE rate_limit SET {} WHERE tat > now() + interval '1 minute'"
    execute(database_url, "UPDATE rate_limit SET tat = now() + interval '15 minutes'")
    execute(
        database_url,
        "UPDATE rate_limit SET reserved = '15 minutes', reserved_until = now() + interval '1 hour'",
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(guess, service, HOME, password=PASSWORD)
        done, _ = wait([waiting], timeout=0.2)
        assert not done
        execute(database_url, reserve.format("tat = now(), reserved = '0'"))
        assert waiting.result() == 200


def test_a_reservation_expires(start: Start, database_url: str) -> None:
    """Its process has died. The attempt counts as a failure: its outcome is unknown."""
    service = start(log_in_failures_per_address="1/15m")
    guess(service, HOME)
    execute(
        database_url,
        "UPDATE rate_limit SET reserved = '15 minutes', reserved_until = now()",
    )
    assert guess(service, HOME) == 429


@pytest.mark.usefixtures("alice")
def test_log_ins_with_the_right_password_are_limited_for_a_name_and_address(
    start: Start,
) -> None:
    service = start(log_ins_per_name_and_address="3/15m")
    assert [guess(service, HOME, password=PASSWORD) for _ in range(4)] == [200, 200, 200, 429]
    assert guess(service, "192.0.2.2", password=PASSWORD) == 200
    assert guess(service, HOME, "Nobody") == 401


def test_log_ins_with_the_right_password_are_limited_on_a_known_device(start: Start) -> None:
    service = start(log_ins_per_name_and_address="3/15m")
    with at(service, HOME) as client:
        sign_up(client)
        assert [log_in(client).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert guess(service, HOME, password=PASSWORD) == 200


def test_sign_ups_from_one_address_are_limited(start: Start, database_url: str) -> None:
    service = start(sign_ups_per_address="2/1h")
    with at(service, HOME) as client:
        statuses = []
        for n in range(4):
            client.cookies.clear()
            statuses.append(sign_up(client, f"user{n}").status_code)
        assert statuses == [201, 201, 429, 429]
        advance_time(database_url, 1800)
        assert sign_up(client, "user9").status_code == 201
    with at(service, "192.0.2.2") as client:
        assert sign_up(client, "another").status_code == 201


def test_sign_ups_with_a_taken_name_are_limited(start: Start) -> None:
    service = start(sign_ups_per_address="3/1h")
    with at(service, HOME) as client:
        sign_up(client, "Alice")
        client.cookies.clear()
        assert [sign_up(client, "Alice").status_code for _ in range(3)] == [409, 409, 429]


def test_an_invalid_sign_up_does_not_count(start: Start) -> None:
    service = start(sign_ups_per_address="1/1h")
    with at(service, HOME) as client:
        assert [sign_up(client, "x").status_code for _ in range(3)] == [400, 400, 400]
        assert sign_up(client).status_code == 201
